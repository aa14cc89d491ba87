//! The oracle: watches the simulated Engine, knows whose everything truly is and what the controller was told to want, and says at
//! each step whether it was allowed. It shares no code with the planner.

mod border;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use controller::engine::simulated::{Call, CallKind, CallOutcome, ContainerView, View, Witness};
use controller::store::memory::MemoryKv;
use crds_schema::ObjectKey;
use planner::observed::ContainerState;

use super::files::File;
use super::gaps::Gaps;
use super::known::Known;
use super::leadership::Leadership;
use super::trace::Trace;
use super::wanted::{App, Spec};

/// How long a container must have served before what it replaces may go.
const MIN_READY_MS: u64 = 5_000;
/// How long a pass may last that has made something.
const PASS_MS: u64 = 30_000;
/// The label that nothing bears but what was made for an object.
const OWNER_LABEL: &str = "evenkeel.dev/kind";
/// The share of all objects, in percent, that may go without a word of a user.
const PRUNE_LIMIT_PERCENT: usize = 30;

/// The oracle. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    trace: Trace,
    violations: Vec<String>,
    /// Full ids of containers and networks and names of volumes that were made by calls of ours.
    ours: BTreeSet<String>,
    records: BTreeMap<Arc<str>, Record>,
    known: Known,
    leadership: Leadership,
    /// What the last reading said, file by file, at its last good version.
    good_files: BTreeMap<String, Vec<(ObjectKey, Spec)>>,
    /// Objects that are missing from the manifests and may go.
    removable: BTreeSet<ObjectKey>,
    is_confirmed: bool,
    /// Every file of the last reading was good.
    is_last_whole: bool,
    /// When each process made its first call.
    first_calls: BTreeMap<u32, u64>,
    /// What was there before the call that is being made.
    before: BTreeSet<String>,
    gaps: Gaps,
}

/// What the oracle remembers of one container of ours, also when it is gone.
#[derive(Debug, Clone)]
struct Record {
    owner: ObjectKey,
    ordinal: u32,
    serving_since_ms: Option<u64>,
    /// It has served for long enough once.
    is_proved: bool,
    /// It has served once.
    has_served: bool,
    is_up: bool,
    /// Its present run was begun by a call of ours, and nobody meddled since.
    is_started_by_us: bool,
    /// When it was created.
    created_ms: u64,
    /// When it was first seen to be gone.
    gone_ms: Option<u64>,
    /// A call of ours began some run of it.
    was_started_by_us: bool,
    /// Which process began it, and when.
    started: Option<(u32, u64)>,
    /// The limit that it was made with.
    memory: i64,
    /// The image and the environment that it was made with.
    made: (String, Vec<String>),
}

impl Oracle {
    /// An oracle of an empty Engine.
    pub(crate) fn new(trace: Trace) -> Self {
        let state = State {
            gaps: Gaps::new(trace.clone()),
            trace,
            violations: Vec::new(),
            ours: BTreeSet::new(),
            records: BTreeMap::new(),
            known: Known::default(),
            leadership: Leadership::default(),
            good_files: BTreeMap::new(),
            removable: BTreeSet::new(),
            is_confirmed: false,
            is_last_whole: false,
            first_calls: BTreeMap::new(),
            before: BTreeSet::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A process was started with this disk.
    pub(crate) fn began(&self, disk: MemoryKv) {
        self.lock().gaps.set_disk(disk);
    }

    /// The witness that tells it.
    pub(crate) fn witness(&self) -> impl Witness + 'static {
        OracleWitness(self.clone())
    }

    /// What was not allowed, in order.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    /// Says that something was not allowed.
    pub(crate) fn accuse(&self, what: String) {
        self.lock().accuse(what);
    }

    /// Whether a call of ours made it: a container or network by full id, a volume by name.
    pub(crate) fn is_ours(&self, id: &str) -> bool {
        self.lock().ours.contains(id)
    }

    /// S6: a changing call leaves a process while another one leads. One that stood at the border while its process was frozen is
    /// counted: nothing but the Engine could refuse it.
    pub(crate) fn check_leader(&self, instance: &str, pid: u32, was_frozen: bool, what: &str) {
        let mut state = self.lock();
        match state.leadership.rival_of(instance, pid) {
            None => {}
            Some(_) if was_frozen => state.trace.count("gap: call of a thawed process, sent before it was frozen"),
            Some(rival) => state.accuse(format!("S6: {what} is sent by #{pid} although #{rival} leads")),
        }
    }

    /// How many objects there ever were.
    pub(crate) fn objects_ever(&self) -> usize {
        self.lock().known.objects_ever()
    }

    /// Whether an object that was wanted was in no manifest for a while.
    pub(crate) fn was_ever_missing(&self, key: &ObjectKey) -> bool {
        self.lock().known.was_ever_missing(key)
    }

    /// A user confirms every prune from now on.
    pub(crate) fn confirm(&self) {
        self.lock().is_confirmed = true;
    }

    /// Whether the controller read nothing last that is at fault: a user who confirms prune otherwise gets what he asked for.
    pub(crate) fn is_last_reading_whole(&self) -> bool {
        self.lock().is_last_whole
    }

    /// A process has read these files.
    pub(crate) fn files_were_read(&self, is_problem: bool, files: &BTreeMap<String, File>) {
        self.lock().files_were_read(is_problem, files);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OracleWitness(Oracle);

impl Witness for OracleWitness {
    fn before(&mut self, call: &Call, view: &View<'_>) {
        if call.kind.is_mutating() {
            self.0.lock().before(call, view);
        }
    }

    fn after(&mut self, call: &Call, outcome: &CallOutcome, view: &View<'_>) {
        let mut state = self.0.lock();
        let word = match outcome {
            CallOutcome::Done => String::new(),
            CallOutcome::Refused { status, text } => format!(" -> {status} {text}"),
            CallOutcome::Dropped => " -> dropped".to_owned(),
        };
        let subject = &call.subject[..call.subject.len().min(28)];
        state.trace.say(&format!("#{} {:?} {subject}{word}", call.actor, call.kind));
        state.trace.count("engine: call");
        if call.kind.is_mutating() {
            if *outcome == CallOutcome::Done {
                state.leadership.after(call);
                state.after(call, view);
            }
            state.look(view);
        }
    }

    fn changed(&mut self, view: &View<'_>) {
        self.0.lock().look(view);
    }
}

impl State {
    fn accuse(&mut self, what: String) {
        self.trace.say(&format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    fn files_were_read(&mut self, is_problem: bool, files: &BTreeMap<String, File>) {
        if is_problem {
            return;
        }
        self.good_files.retain(|name, _| files.contains_key(name));
        for (name, file) in files {
            if let Some(meaning) = &file.meaning {
                self.good_files.insert(name.clone(), meaning.clone());
            }
        }
        let now = self.good_files.values().flatten().cloned().collect();
        let is_whole = files.values().all(|file| file.meaning.is_some());
        self.is_last_whole = is_whole;
        self.known.take(now);
        let missing = self.known.missing();
        self.removable.retain(|key| missing.contains(key));
        let open: Vec<ObjectKey> = missing.into_iter().filter(|key| !self.removable.contains(key)).collect();
        let percent = open.len() * 100 / (open.len() + self.known.present()).max(1);
        let is_few = open.len() <= 1 || percent <= PRUNE_LIMIT_PERCENT;
        if self.is_confirmed || (is_whole && is_few && !files.is_empty()) {
            self.removable.extend(open);
        }
    }

    /// Whether a call is allowed, at the moment when it takes effect.
    fn before(&mut self, call: &Call, view: &View<'_>) {
        self.first_calls.entry(call.actor).or_insert(call.sent_ms);
        let name = view.container(&call.subject).map_or(call.subject.as_str(), |container| container.name());
        if !name.starts_with("evenkeel-lease") && call.kind != CallKind::ImportImage {
            self.trace.count("engine: change");
        }
        match call.kind {
            CallKind::CreateNetwork => self.before = view.networks().map(|(id, _)| id.to_string()).collect(),
            // The create of a container makes the volumes that are not there, with the labels that it brings along.
            CallKind::CreateVolume | CallKind::CreateContainer => {
                self.before = view.volumes().map(ToString::to_string).collect();
            }
            CallKind::RemoveNetwork => self.check_ours(call, view.networks().any(|(id, _)| **id == *call.subject)),
            CallKind::RemoveVolume => self.before_remove_volume(call, view),
            CallKind::StartContainer
            | CallKind::StopContainer
            | CallKind::UnpauseContainer
            | CallKind::RenameContainer
            | CallKind::UpdateContainer
            | CallKind::RemoveContainer
            | CallKind::ConnectNetwork
            | CallKind::DisconnectNetwork => self.before_on_container(call, view),
            _ => {}
        }
    }

    /// S1: what is changed is ours, and named by its full id.
    fn check_ours(&mut self, call: &Call, is_there: bool) {
        if is_there && !self.ours.contains(&call.subject) {
            self.accuse(format!("S1: {:?} on `{}`, which is not ours", call.kind, call.subject));
        }
    }

    fn before_on_container(&mut self, call: &Call, view: &View<'_>) {
        let is_full_id = call.subject.len() == 64 && call.subject.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_full_id {
            self.accuse(format!("S1: {:?} names `{}`, which is no full id", call.kind, call.subject));
        }
        let Some(container) = view.container(&call.subject) else { return };
        self.check_ours(call, true);
        let Some((owner, ordinal)) = slot_of(&container) else { return };
        match call.kind {
            CallKind::StopContainer => self.before_stop(call, view, &container, (&owner, ordinal)),
            CallKind::StartContainer => self.before_start(call, view, &container, (&owner, ordinal)),
            CallKind::RemoveContainer => self.before_remove(call, &container, &owner),
            _ => {}
        }
    }

    /// A call was done.
    fn after(&mut self, call: &Call, view: &View<'_>) {
        match call.kind {
            CallKind::CreateContainer => self.after_create(call, view),
            CallKind::CreateNetwork => {
                let new: Vec<String> = view.networks().map(|(id, _)| id.to_string()).collect();
                let new = new.into_iter().filter(|id| !self.before.contains(id)).collect::<Vec<_>>();
                self.ours.extend(new);
            }
            CallKind::CreateVolume if !self.before.contains(&call.subject) => {
                self.ours.insert(call.subject.clone());
            }
            CallKind::RemoveVolume | CallKind::RemoveNetwork => {
                self.ours.remove(&call.subject);
            }
            CallKind::StartContainer => {
                if let Some(container) = view.container(&call.subject)
                    && let Some(record) = self.records.get_mut(container.id())
                    && !record.is_up
                {
                    // One that nobody waited for any more is as if somebody else had begun it.
                    record.is_started_by_us = !self.gaps.came_too_late(call, view.now_ms(), None);
                    record.was_started_by_us |= record.is_started_by_us;
                    record.is_up = true;
                    record.started = Some((call.actor, view.now_ms()));
                }
            }
            _ => {}
        }
    }

    /// The versions of a deployment that a call may follow which was sent then: what its manifest said, and, in front of that, what served
    /// before and was brought back in place of what has not come to serve in its time.
    fn specs_of(&self, owner: &ObjectKey, sent_ms: u64, now_ms: u64) -> Vec<Option<App>> {
        let specs = self.known.during(owner, sent_ms);
        let records = || self.records.values().filter(|record| record.owner == *owner);
        let is_of = |record: &Record, app: &App| {
            record.made.0 == app.image && record.made.1.contains(&format!("VERSION={}", app.version))
        };
        let has_failed = |app: &App| {
            let deadline_ms = u64::try_from(app.deadline().as_millis()).unwrap_or(u64::MAX);
            !app.is_paused && records().any(|record| is_of(record, app) && record.created_ms + deadline_ms <= now_ms)
        };
        if !specs.iter().flatten().any(has_failed) {
            return specs;
        }
        let has_served = |app: &&App| records().any(|record| is_of(record, app) && record.has_served);
        let earlier = self.known.before(owner, sent_ms).into_iter().filter(has_served).cloned().map(Some);
        earlier.chain(specs).collect()
    }

    /// S7: what is created is what some version of the manifests said that was good and read, as a whole.
    fn after_create(&mut self, call: &Call, view: &View<'_>) {
        let Some(container) = view.container(&call.subject) else { return };
        self.ours.insert(container.id().to_string());
        let is_ours = |name: &&str| !self.before.contains(*name) && view.volume_label(name, OWNER_LABEL).is_some();
        let made: Vec<String> = container.volume_names().filter(is_ours).map(str::to_owned).collect();
        self.ours.extend(made);
        let Some((owner, ordinal)) = slot_of(&container) else { return };
        let specs = self.specs_of(&owner, call.sent_ms, view.now_ms());
        let version = |app: &App| format!("VERSION={}", app.version);
        let is_meant = |app: &App| {
            app.image == container.config().image
                && container.config().env.contains(&version(app))
                && ordinal < app.replicas
        };
        if !specs.iter().flatten().any(is_meant) {
            let (name, image, env) = (container.name(), &container.config().image, &container.config().env);
            let fault = if self.known.is_mixture(&owner, image, env) {
                format!("S18: `{name}` is created half as one version of its manifest says, half as another")
            } else {
                format!("S7: `{name}` is created as no manifest says")
            };
            self.accuse(format!("{fault}: {image} {env:?}"));
        }
        let record = Record {
            owner,
            ordinal,
            serving_since_ms: None,
            is_proved: false,
            has_served: false,
            is_up: false,
            is_started_by_us: false,
            created_ms: view.now_ms(),
            gone_ms: None,
            was_started_by_us: false,
            started: None,
            memory: container.limits().memory,
            made: (container.config().image.clone(), container.config().env.clone()),
        };
        self.records.insert(Arc::clone(container.id()), record);
    }

    /// Looks at everything, whatever changed it.
    fn look(&mut self, view: &View<'_>) {
        let now_ms = view.now_ms();
        self.known.advance(now_ms);
        let mut up: BTreeMap<(ObjectKey, u32), usize> = BTreeMap::new();
        for record in self.records.values_mut() {
            record.serving_since_ms = record.serving_since_ms.filter(|_| record.is_up);
        }
        for container in view.containers() {
            let Some(record) = self.records.get_mut(container.id()) else { continue };
            let is_up = container.state() == ContainerState::Running;
            if is_up && !record.is_up {
                record.is_started_by_us = false;
            }
            record.is_up = is_up;
            let is_serving = container.is_serving();
            record.has_served |= is_serving;
            if is_serving {
                let since_ms = *record.serving_since_ms.get_or_insert(now_ms);
                record.is_proved |= now_ms >= since_ms + MIN_READY_MS;
            } else {
                record.is_proved |= record.serving_since_ms.is_some_and(|since_ms| now_ms >= since_ms + MIN_READY_MS);
                record.serving_since_ms = None;
            }
            if is_up && record.is_started_by_us && !self.gaps.is_lost_to_us(container.id(), container.name()) {
                *up.entry((record.owner.clone(), record.ordinal)).or_default() += 1;
            }
        }
        let gone: Vec<Arc<str>> = self.records.keys().filter(|id| view.container(id).is_none()).cloned().collect();
        for id in gone {
            if let Some(record) = self.records.get_mut(&id) {
                record.gone_ms.get_or_insert(now_ms);
                record.is_up = false;
                record.serving_since_ms = None;
            }
        }
        if let Some(((owner, ordinal), count)) = up.into_iter().find(|(_, count)| *count > 2) {
            self.accuse(format!("S5: {count} containers run for {owner}, number {ordinal}"));
        }
    }
}

/// Whose a container is by its labels, and which of its object's.
pub(crate) fn slot_of(container: &ContainerView<'_>) -> Option<(ObjectKey, u32)> {
    let key = ObjectKey {
        kind: crds_schema::Kind::parse(container.label("evenkeel.dev/kind")?)?,
        namespace: container.label("evenkeel.dev/namespace")?.parse().ok()?,
        name: container.label("evenkeel.dev/name")?.parse().ok()?,
    };
    Some((key, container.label("evenkeel.dev/ordinal")?.parse().ok()?))
}
