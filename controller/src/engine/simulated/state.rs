//! Everything that the simulated Engine knows, behind one lock that is never held across an await.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use planner::observed::{ContainerConfig, ContainerSummary, TimestampMs};
use planner::ownership::LABEL_INSTANCE;

use super::container::Container;
use super::events::Events;
use super::image::Images;
use super::interner::Interner;
use super::networks::Network;
use super::ports::HostPorts;
use super::programs::Program;
use super::refusal::{Answer, Refusal};
use super::timeline::{Timeline, Transition, What};
use super::volumes::Volume;

/// The Engine's state.
#[derive(Debug)]
pub(super) struct State {
    seed: u64,
    epoch_ms: TimestampMs,
    id_counter: u64,
    /// Milliseconds since the Engine began, as of the last look at the clock.
    pub(super) now_ms: u64,
    pub(super) containers: BTreeMap<Arc<str>, Container>,
    /// Name to full id.
    pub(super) names: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) networks: BTreeMap<Arc<str>, Network>,
    pub(super) volumes: BTreeMap<Arc<str>, Volume>,
    pub(super) images: Images,
    pub(super) ports: HostPorts,
    pub(super) events: Events,
    pub(super) timeline: Timeline,
    pub(super) interner: Interner,
    /// Configs of the last creates, to share.
    pub(super) recent_configs: VecDeque<Arc<ContainerConfig>>,
    /// What a pulled image of which nothing was said does.
    pub(super) default_program: Program,
    /// Paths of the host that do not exist; all others do.
    pub(super) missing_paths: BTreeSet<String>,
}

impl State {
    pub(super) fn new(seed: u64, epoch_ms: TimestampMs, default_program: Program) -> Self {
        let mut state = Self {
            seed,
            epoch_ms,
            id_counter: 0,
            now_ms: 0,
            containers: BTreeMap::new(),
            names: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: Images::default(),
            ports: HostPorts::default(),
            events: Events::default(),
            timeline: Timeline::default(),
            interner: Interner::default(),
            recent_configs: VecDeque::new(),
            default_program,
            missing_paths: BTreeSet::new(),
        };
        state.add_predefined_networks();
        state
    }

    /// Moves the clock on: everything that is due happens, each thing at its own time. Returns whether anything did.
    pub(super) fn advance(&mut self, now_ms: u64) -> bool {
        let mut has_happened = false;
        while let Some((due_ms, transition)) = self.timeline.pop_due(now_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.happen(&transition);
            has_happened = true;
        }
        self.now_ms = self.now_ms.max(now_ms);
        has_happened
    }

    fn happen(&mut self, transition: &Transition) {
        let Some(container) = self.containers.get(&transition.container_id) else { return };
        if container.run != transition.run {
            return;
        }
        let id = Arc::clone(&transition.container_id);
        match transition.what {
            What::Exit { code, is_out_of_memory } => self.exit_by_itself(&id, code, is_out_of_memory),
            What::Kill => self.kill_after_grace(&id),
            What::Restart => self.restart(&id),
            What::Probe => self.probe_health(&id),
        }
    }

    pub(super) fn schedule(&mut self, after_ms: u64, container_id: &Arc<str>, run: u32, what: What) {
        let due_ms = self.now_ms.saturating_add(after_ms);
        self.timeline.schedule(due_ms, Transition { container_id: Arc::clone(container_id), run, what });
    }

    pub(super) fn timestamp(&self, elapsed_ms: u64) -> TimestampMs {
        self.epoch_ms.saturating_add(i64::try_from(elapsed_ms).unwrap_or(i64::MAX))
    }

    /// A new id: 64 hex digits, decided by the seed and a counter.
    pub(super) fn next_id(&mut self) -> String {
        self.id_counter += 1;
        (0..4).fold(String::with_capacity(64), |id, word| {
            let mixed = mix(self.seed ^ mix(self.id_counter.wrapping_mul(4).wrapping_add(word)));
            id + &format!("{mixed:016x}")
        })
    }

    /// By full id, then by name, then by the beginning of the id, as Docker looks containers up.
    pub(super) fn find_container(&self, id_or_name: &str) -> Answer<Arc<str>> {
        if let Some((id, _)) = self.containers.get_key_value(id_or_name) {
            return Ok(Arc::clone(id));
        }
        if let Some(id) = self.names.get(id_or_name) {
            return Ok(Arc::clone(id));
        }
        let mut by_prefix =
            self.containers.range::<str, _>((Bound::Included(id_or_name), Bound::Unbounded)).map(|(id, _)| id);
        match by_prefix.next() {
            Some(id) if !id_or_name.is_empty() && id.starts_with(id_or_name) => Ok(Arc::clone(id)),
            Some(_) | None => Err(Refusal::no_container(id_or_name)),
        }
    }

    pub(super) fn list_containers(&self, instance: &str) -> Vec<ContainerSummary> {
        let ours = self.containers.values().filter(|container| container.label(LABEL_INSTANCE) == Some(instance));
        ours.map(|container| container.summary(self)).collect()
    }
}

/// The finaliser of `SplitMix64`: spreads a counter over 64 bits.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
