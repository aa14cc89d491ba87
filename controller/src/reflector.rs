//! The reflector: keeps the observed half of the world true. It is the only caller of the Engine's list methods.
//!
//! It subscribes first, then lists, then works the events off. Events are hints that something changed: what a thing is now is
//! always asked. The stream's reader does nothing but read, because the Engine slows down for everyone when it is not read. A full
//! list on every reconnect and on a timer finds what no event told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crds_schema::ObjectKey;
use futures_util::StreamExt as _;
use planner::observed::ContainerSummary;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::core::Core;
use crate::engine::{EngineError, EngineEvent, EngineInfo, EventSubject};
use crate::event::NewEvent;
use crate::store::write::Write;

mod doubts;
mod hints;
mod lists;

use hints::Hints;

/// How many events wait to be looked at before a full list takes their place.
const EVENT_CAPACITY: usize = 4_096;
/// How long things that changed are gathered before they are looked at.
const GATHER_TIME: Duration = Duration::from_millis(15);
/// How long after a container ended it is looked at: the Engine may be starting it again.
const END_SETTLE_TIME: Duration = Duration::from_millis(300);
/// How soon it is looked again whether the pass that changes a container is over; the pass itself asks at its end.
const PASS_LOOK_TIME: Duration = Duration::from_millis(50);
/// How long a look at a container waits for the pass that changes it.
const PASS_PATIENCE: Duration = Duration::from_secs(2);
/// How old an inspection may be before a full list repeats it.
const INSPECTION_AGE: Duration = Duration::from_mins(5);
/// The pause before a list that contradicts what is known is asked for again.
const SECOND_LOOK_TIME: Duration = Duration::from_millis(100);
/// How long an inspection is waited for beside others.
const INSPECT_PATIENCE: Duration = Duration::from_secs(3);
/// How many inspections run at once.
const INSPECT_CONCURRENCY: usize = 8;
/// The delays between attempts to reach the Engine.
const RECONNECT_DELAYS: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Keeps the observed half of the world true.
#[derive(Debug)]
pub struct Reflector {
    core: Arc<Core>,
    resync: Duration,
    relist_asked: Notify,
    /// When each container was last asked for; also which are known at all.
    inspected: std::sync::Mutex<BTreeMap<String, Instant>>,
    has_volumes: AtomicBool,
    /// Containers that were changed and not looked at since, by id, and whose they are.
    doubted: std::sync::Mutex<BTreeMap<String, ObjectKey>>,
    /// What answers now was asked who it is, and is the engine that the store belongs to.
    is_engine_known: AtomicBool,
}

impl Reflector {
    /// A reflector that lists everything every `resync`.
    pub fn new(core: Arc<Core>, resync: Duration) -> Self {
        Self {
            core,
            resync,
            relist_asked: Notify::new(),
            inspected: std::sync::Mutex::default(),
            has_volumes: AtomicBool::new(true),
            doubted: std::sync::Mutex::default(),
            // The first one was asked when the controller was built.
            is_engine_known: AtomicBool::new(true),
        }
    }

    /// Whether what answers at the Engine's address is the engine that the store belongs to, as far as can be told: after a
    /// connection has ended, not before it was asked.
    pub fn is_engine_known(&self) -> bool {
        self.is_engine_known.load(Ordering::Relaxed)
    }

    /// Asks for a full list soon.
    pub fn ask_relist(&self) {
        self.relist_asked.notify_one();
    }

    /// Runs until it is dropped: connects, lists, follows events, and connects again. `on_relisted` is told after each full list.
    pub async fn run(self: Arc<Self>, on_relisted: impl Fn() + Send + Sync) {
        let mut attempts = 0;
        loop {
            let ended = self.follow(&on_relisted, &mut attempts).await;
            self.is_engine_known.store(false, Ordering::Relaxed);
            let delay = RECONNECT_DELAYS.get(attempts).or(RECONNECT_DELAYS.last()).copied().unwrap_or_default();
            attempts += 1;
            if attempts == 2 {
                tracing::warn!(error = %ended, "the engine cannot be reached; trying again");
                let message = format!("the engine cannot be reached: {}", ended.text);
                self.core.record(NewEvent::controller_warning("EngineUnreachable", message));
            }
            if attempts >= 2 {
                self.core.board.update_controller(|controller| controller.is_engine_reachable = false);
            }
            tokio::time::sleep(delay).await;
        }
    }

    /// One connection, from subscription to its end.
    async fn follow(&self, on_relisted: &(impl Fn() + Send + Sync), attempts: &mut usize) -> EngineError {
        let engine = &self.core.engine;
        // What comes back may be another version, or another engine; the first one was asked when the controller was built.
        if *attempts > 0 {
            match engine.info().await {
                Ok(info) if self.is_another_engine(&info) => return another_engine(&info.id),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        self.is_engine_known.store(true, Ordering::Relaxed);
        let mut stream = match engine.events().await {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        let (tx, mut rx) = mpsc::channel::<EngineEvent>(EVENT_CAPACITY);
        let is_overrun = Arc::new(AtomicBool::new(false));
        let reader_overrun = Arc::clone(&is_overrun);
        // It ends with the stream, or when the receiver is dropped with this function.
        let reader = tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        if let Err(mpsc::error::TrySendError::Closed(_)) = tx.try_send(event).inspect_err(|_| {
                            reader_overrun.store(true, Ordering::Relaxed);
                        }) {
                            return None;
                        }
                    }
                    Err(error) => return Some(error),
                }
            }
            None
        });
        let _reader_ends_with_us = AbortOnDrop(reader.abort_handle());
        self.doubt_inspections();
        if *attempts > 0 {
            self.core.world().forget_trials();
        }
        if let Err(error) = self.relist().await {
            return error;
        }
        self.core.board.update_controller(|controller| controller.is_engine_reachable = true);
        *attempts = 0;
        on_relisted();
        if let Err(error) = self.work_off(&mut rx, &is_overrun, on_relisted).await {
            error
        } else {
            let text =
                reader.await.ok().flatten().map_or_else(|| "the event stream ended".to_owned(), |error| error.text);
            let kind = crate::engine::ErrorKind::Unreachable;
            EngineError { operation: "follow events".into(), status: None, text, kind }
        }
    }

    /// Whether what answers at the address now is not the engine that the store belongs to: then nothing is looked at or done.
    fn is_another_engine(&self, info: &EngineInfo) -> bool {
        let known = self.core.store.engine_id().ok().flatten();
        known.is_some_and(|known| known != info.id)
    }

    /// Works off events until the stream ends.
    async fn work_off(
        &self,
        rx: &mut mpsc::Receiver<EngineEvent>,
        is_overrun: &AtomicBool,
        on_relisted: &(impl Fn() + Send + Sync),
    ) -> Result<(), EngineError> {
        let mut hints = Hints::default();
        let mut next_resync = Instant::now() + self.resync;
        loop {
            let next_look =
                hints.containers.values().map(|hint| hint.due).min().unwrap_or(next_resync).min(next_resync);
            // Each arm only takes something that stays where it is when another arm wins: a message in the channel, a
            // permit in the notify, a time.
            tokio::select! {
                biased;
                event = rx.recv() => match event {
                    Some(event) => self.take_hint(&event, &mut hints),
                    None => return Ok(()),
                },
                () = self.relist_asked.notified() => next_resync = Instant::now(),
                () = tokio::time::sleep_until(next_look) => {}
            }
            while let Ok(event) = rx.try_recv() {
                self.take_hint(&event, &mut hints);
            }
            if is_overrun.swap(false, Ordering::Relaxed) {
                self.doubt_inspections();
                next_resync = Instant::now();
            }
            if next_resync <= Instant::now() {
                (hints.networks, hints.volumes) = (false, false);
                self.relist().await?;
                on_relisted();
                next_resync = Instant::now() + self.resync;
            }
            // After a full list as well: it does not show everything that events tell of, such as a container's limits.
            self.look(&mut hints).await?;
        }
    }

    /// Events were missed, and lists show only a part of what they told: the next list inspects every container.
    fn doubt_inspections(&self) {
        self.inspected.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }

    fn take_hint(&self, event: &EngineEvent, hints: &mut Hints) {
        let action = event.action.split(':').next().unwrap_or_default();
        match event.subject {
            EventSubject::Container => match action {
                "destroy" => self.container_gone(&event.id),
                // Nothing of the container changes by these, and health checks send three of them each.
                "exec_create" | "exec_start" | "exec_die" | "top" | "attach" | "resize" | "archive-path" | "export" => {
                }
                _ => {
                    let is_birth = matches!(action, "create" | "start" | "rename");
                    if is_birth || self.core.world().container(&event.id).is_some() {
                        let settle =
                            if matches!(action, "die" | "kill" | "oom") { END_SETTLE_TIME } else { GATHER_TIME };
                        hints.put(&event.id, settle);
                    }
                }
            },
            EventSubject::Network => match action {
                "connect" | "disconnect" => {
                    // A stranger that leaves may have kept it from going.
                    hints.networks |= !self.core.world().foreign_members(&event.id).is_empty();
                    if self.core.world().container(&event.actor).is_some() {
                        hints.put(&event.actor, GATHER_TIME);
                    }
                }
                "destroy" => self.network_gone(&event.id),
                _ => hints.networks = true,
            },
            EventSubject::Volume => match action {
                "mount" | "unmount" => {}
                _ => hints.volumes = true,
            },
            EventSubject::Image => hints.images = true,
        }
    }

    /// Looks at what is due of what events said something about.
    async fn look(&self, hints: &mut Hints) -> Result<(), EngineError> {
        if std::mem::take(&mut hints.networks) {
            self.list_networks().await?;
        }
        if std::mem::take(&mut hints.volumes) {
            self.list_volumes().await?;
        }
        if std::mem::take(&mut hints.images) {
            self.core.world().forget_images();
            self.inspect_images().await;
        }
        let due = self.take_due(hints);
        self.inspect_all(due).await;
        Ok(())
    }

    /// Takes the containers that are to be asked for now. Those that were asked for since the event are known already, and those
    /// that a pass changes at this moment are asked for by the pass, at its end.
    fn take_due(&self, hints: &mut Hints) -> Vec<String> {
        let now = Instant::now();
        let inspected = self.inspected.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut due = Vec::new();
        hints.containers.retain(|id, hint| {
            if inspected.get(id).is_some_and(|asked| *asked > hint.since) {
                return false;
            }
            if hint.due > now {
                return true;
            }
            let owner = self.core.world().container(id).map(|container| container.owner.clone());
            if now < hint.first + PASS_PATIENCE && owner.is_some_and(|owner| self.core.queue.is_running(&owner)) {
                hint.due = now + PASS_LOOK_TIME;
                return true;
            }
            due.push(id.clone());
            false
        });
        due
    }

    /// Lists everything and inspects what the lists show as changed, or have not been inspected for long.
    ///
    /// # Errors
    /// When a list fails; what was listed before it is kept.
    pub async fn relist(&self) -> Result<(), EngineError> {
        let (known_before, remembered_before): (BTreeSet<String>, BTreeSet<String>) = {
            let world = self.core.world();
            let known = world.containers().map(|container| container.id.to_string());
            (known.collect(), world.remembered_ids().map(str::to_owned).collect())
        };
        let instance = self.core.world().identity().instance.clone();
        self.list_networks().await?;
        if self.has_volumes.load(Ordering::Relaxed) || self.wants_volumes() {
            self.list_volumes().await?;
        }
        let summaries = self.core.engine.list_containers(instance.as_str()).await?;
        let listed: BTreeSet<&str> = summaries.iter().map(|summary| summary.id.as_str()).collect();
        // A list may be older than what is known by now: what it lacks is asked for by its id before it counts as gone.
        let lacking = known_before.iter().filter(|id| !listed.contains(id.as_str())).cloned();
        let mut asked_for: Vec<String> = lacking.collect();
        asked_for.extend(summaries.iter().filter(|summary| self.is_changed(summary)).map(|summary| summary.id.clone()));
        let unseen = self.inspect_all(asked_for).await;
        self.forget_gone(remembered_before.iter().filter(|id| !listed.contains(id.as_str()))).await?;
        for summary in summaries.iter().filter(|summary| unseen.contains(&summary.id)) {
            let ownership = self.core.world().identity().read(&summary.labels);
            if let planner::Ownership::Ours(claim) = ownership {
                // What it is cannot be told, but that its object has it can.
                self.doubt(&claim.owner, &summary.id);
            }
        }
        self.inspect_images().await;
        Ok(())
    }

    fn wants_volumes(&self) -> bool {
        let world = self.core.world();
        world.desired_keys().any(|key| key.kind == crds_schema::Kind::Volume)
    }

    fn is_changed(&self, summary: &ContainerSummary) -> bool {
        let inspected = self.inspected.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if inspected.get(&summary.id).is_none_or(|at| at.elapsed() > INSPECTION_AGE) {
            return true;
        }
        drop(inspected);
        let world = self.core.world();
        // A stranger with our label was inspected once, and is left alone.
        let Some(container) = world.container(&summary.id) else { return false };
        let mut ids: Vec<&str> = container
            .endpoints
            .iter()
            .map(|(_, endpoint)| endpoint.network_id.as_str())
            .filter(|id| !id.is_empty())
            .collect();
        ids.sort_unstable();
        let mut listed: Vec<&str> = summary.network_ids.iter().map(String::as_str).collect();
        listed.sort_unstable();
        let mut addresses: Vec<_> = container.endpoints.iter().filter_map(|(_, endpoint)| endpoint.address).collect();
        addresses.sort_unstable();
        addresses != summary.addresses
            || container.state != summary.state
            || *container.name != *summary.name
            || container.health != summary.health
            || ids != listed
    }

    /// Asks what containers are now, several at a time. Returns those of which nothing could be learnt in time; nothing is decided
    /// about the owner of one that is known before it has been looked at.
    pub async fn inspect_all(&self, ids: Vec<String>) -> BTreeSet<String> {
        let inspections = futures_util::stream::iter(ids).map(|id| async move {
            // One that hangs must not hold up what is told of the others.
            match tokio::time::timeout(INSPECT_PATIENCE, self.inspect(&id)).await {
                Ok(Ok(())) => return None,
                Ok(Err(error)) => tracing::debug!(error = %error, "an inspection failed; it is repeated"),
                Err(_) => tracing::debug!(container = %id, "an inspection takes long; it is repeated"),
            }
            let owner = self.core.world().container(&id).map(|container| container.owner.clone());
            if let Some(owner) = owner {
                self.doubt(&owner, &id);
            }
            Some(id)
        });
        inspections.buffer_unordered(INSPECT_CONCURRENCY).filter_map(std::future::ready).collect().await
    }

    /// Asks what a container is now, and wakes its owner.
    ///
    /// # Errors
    /// When the Engine does not answer; nothing is known then.
    pub async fn inspect(&self, id: &str) -> Result<(), EngineError> {
        let asked = Instant::now();
        match self.core.engine.inspect_container(id).await? {
            None => self.container_gone(id),
            Some(detail) => self.observe(&detail, asked),
        }
        Ok(())
    }

    /// Puts what an inspection told into the world, and wakes the owner where that is news. `asked` is when it was asked for, or some
    /// time before.
    pub fn observe(&self, detail: &planner::observed::ContainerDetail, asked: Instant) {
        let now_ms = self.core.clock.now_ms();
        self.inspected
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .entry(detail.id.clone())
            .and_modify(|last| *last = (*last).max(asked))
            .or_insert(asked);
        self.lock_doubted().remove(&detail.id);
        let mut world = self.core.world();
        let before = world.container(&detail.id).cloned();
        let was_impostor = world.is_impostor(&detail.id);
        let owner = world.observe_container(detail, now_ms);
        let is_news = before.as_ref() != world.container(&detail.id);
        let is_new_impostor = !was_impostor && world.is_impostor(&detail.id);
        let not_remembered = owner.as_ref().filter(|_| !world.remembers(&detail.id));
        if not_remembered.is_some() {
            world.remember_ids([detail.id.clone()]);
        }
        drop(world);
        if let Some(owner) = not_remembered {
            // A crash, or the loss of the store, took away that we made it: under another name it would be nobody's.
            let mut write = self.core.store.write();
            write.put_known_container(&detail.id, owner);
            hold_until_the_store_is_back(write);
        }
        if is_new_impostor {
            let name = &detail.name;
            let message = format!("container `{name}` bears our labels without their proof; it is left alone");
            self.core.record(NewEvent::controller_warning("UnprovenOwnership", message));
        }
        if let Some(owner) = owner.filter(|_| is_news) {
            self.core.wake(&owner);
        }
    }

    /// Forgets containers that were remembered as ours and are gone, whoever removed them. A list alone does not decide: under another
    /// name, one that was forgotten would be nobody's for ever.
    async fn forget_gone(&self, ids: impl Iterator<Item = &String>) -> Result<(), EngineError> {
        let mut write = self.core.store.write();
        for id in ids {
            if self.core.engine.inspect_container(id).await?.is_none() {
                self.core.world().forget_id(id);
                write.remove_known_container(id);
            }
        }
        hold_until_the_store_is_back(write);
        Ok(())
    }

    fn container_gone(&self, id: &str) {
        self.lock_doubted().remove(id);
        self.inspected.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id);
        let owner = self.core.world().container_gone(id);
        if let Some(owner) = owner {
            self.core.wake_with_dependents(&owner);
        }
    }
}

/// Commits what is to be remembered of containers. Where the store has failed, it holds the changes until it is back.
fn hold_until_the_store_is_back(write: Write) {
    if write.is_empty() {
        return;
    }
    if let Err(error) = write.commit_lazily() {
        tracing::debug!(error = %error, "a container's id is held until the store is back");
    }
}

fn another_engine(id: &str) -> EngineError {
    EngineError {
        operation: "follow events".into(),
        status: None,
        text: format!("another engine answers at this address now: `{id}`"),
        kind: crate::engine::ErrorKind::Unreachable,
    }
}

/// Ends a task when its owner goes.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
