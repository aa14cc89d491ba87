//! The intake: takes readings of the source into the world, the store and the board, and asks prune about what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds_schema::yaml::Loader;
use crds_schema::{AnyObject, Diagnostic, ObjectKey, Severity};
use planner::world::Removal;
use tokio::sync::Mutex;

use crate::core::Core;
use crate::desired::{DIRECTORY_SOURCE, DesiredState, Merged};
use crate::event::NewEvent;
use crate::host_path;
use crate::prune::{Candidate, PruneFacts, SourceState, decide};
use crate::reconcile::Reconciler;
use crate::source::Reading;
use crate::status::{ObjectRecord, ObjectStatus, RolledBack};
use crate::store::record::{ArchivedManifest, GoodFile, InventoryEntry};
use crate::user_word::UserWord;
use crate::wording::with_causes;

/// How prune is set.
#[derive(Debug, Clone, Copy)]
pub struct PruneSettings {
    /// The share of all objects, in percent, that may go without asking.
    pub limit_percent: u8,
    /// How long an object must have been missing, in milliseconds.
    pub delay_ms: i64,
}

/// Takes readings in.
#[derive(Debug)]
pub struct Intake {
    core: Arc<Core>,
    reconciler: Arc<Reconciler>,
    loader: Loader,
    prune: PruneSettings,
    state: Mutex<IntakeState>,
}

#[derive(Debug, Default)]
struct IntakeState {
    desired: DesiredState,
    wanted: BTreeMap<ObjectKey, AnyObject>,
    /// What the source is known to hold or to have held.
    inventory: BTreeMap<ObjectKey, InventoryEntry>,
    /// Since when each missing object has been missing.
    missing_since: BTreeMap<ObjectKey, i64>,
    begun: BTreeSet<ObjectKey>,
    problem: Option<String>,
    is_empty: bool,
    /// The first file whose content could not be taken.
    broken_file: Option<String>,
    /// What the source holds, and is not wanted because it clashes with something else.
    refused: BTreeSet<ObjectKey>,
    /// No reading has been taken yet.
    is_unread: bool,
    is_restricted: bool,
    confirmed: Option<String>,
}

impl Intake {
    /// An intake that begins with what the store remembers. `is_restricted`: the store is new or was lost.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn restore(
        core: Arc<Core>,
        reconciler: Arc<Reconciler>,
        prune: PruneSettings,
        is_restricted: bool,
    ) -> Result<Self, crate::store::StoreError> {
        let mut state = IntakeState { is_restricted, is_unread: true, ..IntakeState::default() };
        for (name, file) in core.store.good_files()? {
            state.desired.restore_file(&name, &file.manifests);
        }
        state.inventory = core.store.inventory(DIRECTORY_SOURCE)?;
        for (key, entry) in &state.inventory {
            state.desired.restore_object(key, &entry.manifest);
        }
        // How long they have been missing by a wall clock that may have been set since says nothing: the time begins anew.
        let now_ms = core.clock.now_ms();
        state.missing_since = core.store.tombstones()?.into_keys().map(|key| (key, now_ms)).collect();
        let state = Mutex::new(state);
        Ok(Self { core, reconciler, loader: Loader::new(), prune, state })
    }

    /// Takes a reading in. Returns whether it was without errors.
    pub async fn take(&self, reading: Reading) -> bool {
        let mut state = self.state.lock().await;
        if let Some(problem) = &reading.problem {
            if state.problem.as_ref() != Some(problem) {
                tracing::warn!(problem = %problem, "the manifests cannot be read; nothing changes");
                self.core.record(NewEvent::controller_warning("SourceUnavailable", problem.clone()));
            }
            state.problem = Some(problem.clone());
            self.core.board.update_controller(|controller| controller.source_problem.clone_from(&reading.problem));
            self.decide_prune(&mut state);
            return false;
        }
        state.problem = None;
        state.is_unread = false;
        state.is_empty = reading.files.is_empty();
        let merged = state.desired.merge(&self.loader, &reading, host_path::check);
        let is_clean = !merged.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        state.broken_file = merged.broken_files.first().cloned();
        state.refused.clone_from(&merged.refused);
        self.report(&merged.diagnostics);
        self.apply(&mut state, merged);
        self.decide_prune(&mut state);
        is_clean
    }

    /// Decides about prune again: time has passed, or a full list has shown what is in the Engine.
    pub async fn reconsider_prune(&self) {
        let mut state = self.state.lock().await;
        self.decide_prune(&mut state);
        // The restriction is over once the manifests have been read and every object was looked at, however late that is. What is
        // missing is an object too from the decision above on, so that each is held first, and said to be.
        if state.is_restricted && !state.is_unread && self.core.is_every_object_looked_at() {
            state.is_restricted = false;
        }
    }

    /// Does as a user says.
    pub async fn hear(&self, word: UserWord) {
        match word {
            UserWord::ConfirmPrune(token) => self.confirm_prune(token).await,
            UserWord::RetryRollout(key) => self.retry_rollout(&key).await,
        }
    }

    async fn retry_rollout(&self, key: &ObjectKey) {
        tracing::info!(object = %key, "a rollout is tried again");
        if let Err(error) = self.core.rollouts.retry(&self.core, key).await {
            let error = with_causes(&error);
            tracing::warn!(object = %key, error = %error, "the store does not take that a rollout is tried again");
        }
        self.reconciler.forget_the_past(key);
        self.core.wake_with_dependents(key);
    }

    /// A user confirms what prune holds.
    async fn confirm_prune(&self, token: String) {
        let mut state = self.state.lock().await;
        state.confirmed = Some(token);
        self.decide_prune(&mut state);
    }

    fn report(&self, diagnostics: &[Diagnostic]) {
        let before = self.core.board.controller().diagnostics;
        for diagnostic in diagnostics.iter().filter(|diagnostic| !before.contains(diagnostic)) {
            let line = diagnostic.one_line();
            match diagnostic.severity {
                Severity::Error => {
                    tracing::warn!(fault = %line, "a manifest is refused; its objects stay as they were");
                    self.core.record(NewEvent::controller_warning("InvalidManifest", line));
                }
                Severity::Warning => tracing::info!(fault = %line, "a manifest has a warning"),
            }
        }
        let diagnostics = diagnostics.to_vec();
        self.core.board.update_controller(|controller| {
            controller.diagnostics = diagnostics;
            controller.source_problem = None;
        });
    }

    /// Takes what is wanted into the world, the store and the board.
    fn apply(&self, state: &mut IntakeState, merged: Merged) {
        let mut write = self.core.store.write();
        for (name, objects) in &merged.changed_files {
            let manifests: Vec<serde_json::Value> = objects.iter().map(AnyObject::to_json).collect();
            let text: Vec<String> = manifests.iter().map(ToString::to_string).collect();
            let text_hash = planner::hash::hash_template(&text.join("\n"));
            write.put_good_file(name, &GoodFile { text_hash, manifests });
        }
        for name in &merged.gone_files {
            write.remove_good_file(name);
        }
        let mut woken = Vec::new();
        for (key, object) in &merged.wanted {
            if state.wanted.get(key) == Some(object) {
                continue;
            }
            let manifest = object.to_json();
            let generation = write.observe_manifest(key, &manifest);
            let lowered = object.spec.lower(&object.metadata);
            let entry = InventoryEntry {
                protect: object.is_protected(),
                delete_with_object: lowered.deletes_volume(),
                manifest: manifest.clone(),
            };
            if state.inventory.get(key) != Some(&entry) {
                write.put_inventory(DIRECTORY_SOURCE, key, &entry);
                state.inventory.insert(key.clone(), entry);
            }
            if state.missing_since.remove(key).is_some() {
                write.remove_tombstone(key);
            }
            state.begun.remove(key);
            let rolled_back = self.core.rollouts.want(&self.core, object, &mut write);
            self.put_on_board(object, (manifest, rolled_back), generation);
            self.reconciler.forget_the_past(key);
            woken.push(key.clone());
        }
        state.wanted = merged.wanted;
        if let Err(error) = write.commit_lazily() {
            let error = with_causes(&error);
            tracing::warn!(error = %error, "the store does not take what is wanted; it is held until it does");
        }
        for key in &woken {
            self.core.wake_with_dependents(key);
        }
    }

    fn put_on_board(
        &self,
        object: &AnyObject,
        (manifest, rolled_back): (serde_json::Value, Option<RolledBack>),
        generation: u64,
    ) {
        let key = object.key();
        let before = self.core.board.object(&key);
        let status = before.as_ref().map_or_else(ObjectStatus::default, |record| record.status.clone());
        self.core.board.put_object(ObjectRecord {
            key,
            manifest,
            source: object.source.clone(),
            created_ms: before.map_or_else(|| self.core.clock.now_ms(), |record| record.created_ms),
            rolled_back,
            status: ObjectStatus { generation, ..status },
        });
    }

    fn decide_prune(&self, state: &mut IntakeState) {
        if state.is_unread && state.problem.is_none() {
            return;
        }
        let now_ms = self.core.clock.now_ms();
        let missing = self.find_missing(state, now_ms);
        let facts = PruneFacts {
            wanted: state.wanted.len(),
            limit_percent: self.prune.limit_percent,
            delay_ms: self.prune.delay_ms,
            now_ms,
            source: match (&state.problem, &state.broken_file) {
                (Some(problem), _) => SourceState::Unavailable(problem),
                (None, _) if state.is_empty => SourceState::Empty,
                (None, Some(file)) => SourceState::Incomplete(file),
                (None, None) => SourceState::Read,
            },
            is_restricted: state.is_restricted,
            confirmed: state.confirmed.as_deref(),
            missing,
        };
        let decision = decide(&facts);
        drop(facts);
        for (key, removal) in decision.removals {
            self.apply_removal(state, &key, removal);
        }
        self.core.board.update_controller(|controller| {
            if controller.prune_held != decision.held {
                controller.prune_held = decision.held;
            }
        });
    }

    /// What was there, or owns something, and is not wanted; with since when.
    fn find_missing(&self, state: &mut IntakeState, now_ms: i64) -> BTreeMap<ObjectKey, Candidate> {
        let orphans = self.core.world().orphans();
        let known = state.inventory.keys().filter(|key| !state.wanted.contains_key(*key)).cloned();
        // What is only told of is the trace of something whose removal was cut short, or whose record outlived the rest of the store.
        let told = self.core.board.objects().into_iter().map(|record| record.key.clone());
        let told = told.filter(|key| !state.wanted.contains_key(key));
        let keys: BTreeSet<ObjectKey> = known.chain(orphans).chain(told).collect();
        let mut write = self.core.store.write();
        let mut missing = BTreeMap::new();
        for key in keys {
            let is_new = !state.missing_since.contains_key(&key);
            let since_ms = *state.missing_since.entry(key.clone()).or_insert(now_ms);
            if is_new {
                write.put_tombstone(&key, since_ms);
            }
            let entry = state.inventory.get(&key);
            let is_label_protected = self.core.world().is_protected(&key);
            let candidate = Candidate {
                is_protected: entry.map_or(is_label_protected, |entry| entry.protect),
                delete_volumes: entry.is_some_and(|entry| entry.delete_with_object),
                since_ms,
                is_begun: state.begun.contains(&key),
                is_refused: state.refused.contains(&key),
            };
            missing.insert(key, candidate);
        }
        let gone: Vec<ObjectKey> =
            state.missing_since.keys().filter(|key| !missing.contains_key(*key)).cloned().collect();
        for key in gone {
            state.missing_since.remove(&key);
            write.remove_tombstone(&key);
        }
        if let Err(error) = write.commit_lazily() {
            tracing::debug!(error = %error, "a tombstone is held until the store is back");
        }
        missing
    }

    fn apply_removal(&self, state: &mut IntakeState, key: &ObjectKey, removal: Removal) {
        if self.core.world().removal(key) == Some(&removal) {
            return;
        }
        if self.core.board.object(key).is_none() {
            self.put_orphan_on_board(state, key);
        }
        match &removal {
            Removal::Approved { .. } if state.begun.insert(key.clone()) => self.archive(state, key),
            Removal::Approved { .. } | Removal::Tombstone(_) => {}
            Removal::Held(reason) => {
                tracing::warn!(object = %key, reason = %reason, "prune holds an object back");
                self.core.record(NewEvent::warning(key, "PruneHeld", reason.clone()));
            }
        }
        self.core.rollouts.unwant(key);
        self.core.board.change_object(key, |record| ObjectRecord { rolled_back: None, ..record.clone() });
        self.core.world().set_removal(key, removal);
        self.core.wake_with_dependents(key);
    }

    /// An object that no manifest is known of, but that has something in the Engine, is shown until it is gone.
    fn put_orphan_on_board(&self, state: &IntakeState, key: &ObjectKey) {
        let manifest = state.inventory.get(key).map(|entry| entry.manifest.clone()).unwrap_or_default();
        self.core.board.put_object(ObjectRecord {
            key: key.clone(),
            manifest,
            source: crds_schema::SourceLocation::default(),
            created_ms: self.core.clock.now_ms(),
            rolled_back: None,
            status: ObjectStatus::default(),
        });
    }

    /// Keeps the manifest of what is about to be removed.
    fn archive(&self, state: &mut IntakeState, key: &ObjectKey) {
        let mut write = self.core.store.write();
        if let Some(entry) = state.inventory.remove(key) {
            write.archive_manifest(&ArchivedManifest {
                key: key.clone(),
                source: DIRECTORY_SOURCE.to_owned(),
                manifest: entry.manifest.clone(),
                removed_ms: self.core.clock.now_ms(),
            });
            // Kept in the store until the removal is done, so that a crash in the middle of it forgets nothing.
            state.inventory.insert(key.clone(), entry);
        }
        if let Err(error) = write.commit_lazily() {
            tracing::debug!(error = %error, "an archived manifest is held until the store is back");
        }
        self.core.record(NewEvent::normal(key, "Pruning", "it is not in the manifests any more, and is removed"));
    }

    /// An object whose removal is done is forgotten here too.
    pub async fn forget_removed(&self) {
        let mut state = self.state.lock().await;
        let done: Vec<ObjectKey> =
            state.begun.iter().filter(|key| self.core.world().removal(key).is_none()).cloned().collect();
        for key in done {
            state.begun.remove(&key);
            state.inventory.remove(&key);
            state.missing_since.remove(&key);
        }
    }

    /// Whether anything is missing that is not gone yet.
    pub async fn has_missing(&self) -> bool {
        !self.state.lock().await.missing_since.is_empty()
    }

    /// Every key that is wanted.
    pub async fn wanted_keys(&self) -> Vec<ObjectKey> {
        self.state.lock().await.wanted.keys().cloned().collect()
    }
}
