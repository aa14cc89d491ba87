//! A tiny model of an engine for tests and benchmarks: applies plans to a world, and refuses what an engine would refuse.
//!
//! Every call that a real engine answers with an error is a panic here: a planner that asks for one is wrong.

mod engine;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crds_schema::object::{Metadata, SourceLocation};
use crds_schema::{AnyObject, ObjectKey};
use serde_json::Value;

use crate::observed::{
    ContainerConfig, ContainerDetail, ContainerState, Endpoint, ImageDetail, NetworkDetail, TimestampMs, VolumeDetail,
};
use crate::ownership::Identity;
use crate::plan::{Action, ContainerRef, EndpointCreate, Outcome, Plan, Step};
use crate::progress::RolloutStage;
use crate::world::{Completed, World};
pub(crate) use engine::Engine;

/// A world, the engine that it observes, and a clock.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// What the planner sees.
    pub(crate) world: World,
    /// What there is.
    pub(crate) engine: Engine,
    /// The time.
    pub(crate) now_ms: TimestampMs,
}

/// An object from JSON.
///
/// # Panics
/// When the key or the spec is not valid.
pub(crate) fn object(key: &str, spec: Value) -> AnyObject {
    let key: ObjectKey = key.parse().unwrap();
    AnyObject {
        metadata: Metadata {
            name: key.name.clone(),
            namespace: key.namespace.clone(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        },
        spec: key.kind.spec_from_json(spec).unwrap(),
        source: SourceLocation::default(),
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

impl Scene {
    /// An empty engine.
    pub(crate) fn new() -> Self {
        let identity = Identity { instance: "main".parse().unwrap(), key: [7; 32] };
        Self { world: World::new(identity), engine: Engine::default(), now_ms: 1_000_000 }
    }

    /// Wants an object.
    pub(crate) fn want(&mut self, key: &str, spec: Value) {
        self.world.set_desired(&object(key, spec));
    }

    /// Plans one object.
    pub(crate) fn plan(&self, key: &str) -> Plan {
        crate::plan(&self.world, &key.parse().unwrap(), self.now_ms)
    }

    /// Plans one object and executes the plan.
    pub(crate) fn run(&mut self, key: &str) {
        let plan = self.plan(key);
        self.world.set_leaving(&key.parse().unwrap(), &plan.leaving, self.now_ms);
        self.world.set_tried(&key.parse().unwrap(), &plan.rollout.tried, self.now_ms);
        self.execute(&plan.steps);
    }

    /// Plans and executes every object until none has steps or a time to wake. Returns the text of the passes that did something.
    pub(crate) fn settle(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..60 {
            match self.pass(&mut text) {
                Passed::Acted => (),
                Passed::Waits(ms) => self.now_ms += ms,
                Passed::Rests => {
                    self.note_completed();
                    return text;
                }
            }
        }
        panic!("does not settle:\n{text}");
    }

    /// One pass over every object.
    fn pass(&mut self, text: &mut String) -> Passed {
        let mut acted = false;
        let mut wake: Option<i64> = None;
        for key in self.world.all_keys() {
            let plan = crate::plan(&self.world, &key, self.now_ms);
            assert_eq!(plan, crate::plan(&self.world, &key, self.now_ms), "the same twice");
            self.world.clear_lost(&key, &plan.findings);
            self.world.set_leaving(&key, &plan.leaving, self.now_ms);
            self.world.set_tried(&key, &plan.rollout.tried, self.now_ms);
            if !plan.steps.is_empty() {
                write!(text, "{key} at {}\n{}", self.clock(), describe(&plan)).unwrap();
                acted = true;
            }
            wake = wake.into_iter().chain(plan.wake_ms).min();
            self.execute(&plan.steps);
        }
        match (acted, wake) {
            (true, _) => Passed::Acted,
            (false, Some(ms)) => Passed::Waits(ms),
            (false, None) => Passed::Rests,
        }
    }

    /// Notes which rollouts are complete, as the controller does when what serves has done so for long enough.
    pub(crate) fn note_completed(&mut self) {
        for key in self.world.all_keys() {
            let plan = crate::plan(&self.world, &key, self.now_ms);
            let Some(desired) = self.world.desired(&key) else { continue };
            let (template_hash, spec_hash) = (desired.hash.clone(), desired.spec_hash.clone());
            if matches!(plan.rollout.stage, RolloutStage::Serving { .. }) {
                self.world.set_completed(&key, Some(Completed { template_hash, spec_hash, is_blocked: false }));
            }
        }
    }

    fn clock(&self) -> String {
        format!("{}s", (self.now_ms - 1_000_000) / 1_000)
    }

    /// Executes steps in their order.
    pub(crate) fn execute(&mut self, steps: &[Step]) {
        let mut created = BTreeMap::new();
        for step in steps {
            assert!(step.after.iter().all(|after| *after < step.id), "step {} is after a later one", step.id);
            self.execute_step(step, &mut created);
        }
    }

    /// Executes one step. `created` holds the ids of what earlier steps made.
    pub(crate) fn execute_step(&mut self, step: &Step, created: &mut BTreeMap<u32, String>) {
        let id_of = |container: &ContainerRef| match container {
            ContainerRef::Existing { id, .. } => id.clone(),
            ContainerRef::Created { step, .. } => created[step].clone(),
        };
        let now_ms = self.now_ms;
        match &step.action {
            Action::PullImage { reference } => self.world.observe_image(reference, Some(ImageDetail::default())),
            Action::CreateNetwork(network) => {
                let taken = self.engine.networks.values().any(|other| other.name == network.name);
                assert!(!taken, "network name {} is taken", network.name);
                let id = self.engine.new_id();
                let detail = NetworkDetail {
                    id: id.clone(),
                    name: network.name.clone(),
                    driver: network.driver.clone(),
                    internal: network.internal,
                    attachable: network.attachable,
                    ipv6: network.ipv6,
                    subnets: network.subnets.clone(),
                    options: network.options.clone(),
                    labels: network.labels.clone(),
                    created_ms: now_ms,
                };
                self.world.observe_network(&detail);
                self.engine.networks.insert(id, detail);
            }
            Action::RemoveNetwork { id, .. } => self.remove_network(id, true),
            Action::CreateVolume(volume) => {
                let detail = VolumeDetail {
                    name: volume.name.clone(),
                    driver: volume.driver.clone(),
                    options: volume.options.clone(),
                    labels: volume.labels.clone(),
                    created_ms: now_ms,
                };
                self.world.observe_volume(&detail);
                let before = self.engine.volumes.insert(detail.name.clone(), detail);
                assert!(before.is_none(), "volume {} exists", volume.name);
            }
            Action::RemoveVolume { name } => {
                assert!(!self.engine.uses_volume(name), "volume {name} is in use");
                assert!(self.engine.volumes.remove(name).is_some(), "no volume {name}");
                self.world.expect_gone(name);
                self.world.volume_gone(name);
            }
            Action::CreateContainer(create) => {
                let id = self.engine.create(create, now_ms);
                created.insert(step.id, id.clone());
                self.observe(&id);
            }
            Action::VerifyContainer { container, expected } => {
                let actual = &self.engine.containers[&id_of(container)];
                let config = ContainerConfig { labels: actual.config.labels.clone(), ..expected.config.clone() };
                assert_eq!(actual.config, config, "as asked");
                assert_eq!(actual.limits, expected.limits, "as asked");
            }
            Action::ConnectNetwork { container, endpoint } => self.connect(&id_of(container), endpoint),
            Action::DisconnectNetwork { container, network_id, .. } => self.disconnect(&id_of(container), network_id),
            Action::StartContainer { container } => self.start(&id_of(container)),
            Action::StopContainer { container, .. } => {
                let id = id_of(container);
                assert!(self.engine.containers[&id].is_up(), "stops what is stopped");
                self.change(&id, |detail| {
                    detail.status.state = ContainerState::Exited;
                    detail.status.exit_code = 143;
                });
            }
            Action::UnpauseContainer { container } => {
                let id = id_of(container);
                assert_eq!(self.engine.containers[&id].status.state, ContainerState::Paused);
                self.change(&id, |detail| detail.status.state = ContainerState::Running);
            }
            Action::RenameContainer { container, name } => self.rename(&id_of(container), name),
            Action::UpdateContainer { container, limits } => {
                let id = id_of(container);
                let state = self.engine.containers[&id].status.state;
                assert!(!matches!(state, ContainerState::Dead | ContainerState::Removing), "updates what is dead");
                self.change(&id, |detail| {
                    let set = |field: &mut i64, value: i64| {
                        if value != 0 {
                            *field = value;
                        }
                    };
                    set(&mut detail.limits.nano_cpus, limits.nano_cpus);
                    set(&mut detail.limits.memory, limits.memory);
                    set(&mut detail.limits.memory_swap, limits.memory_swap);
                    set(&mut detail.limits.pids, limits.pids);
                    if !limits.restart.is_empty() {
                        detail.limits.restart.clone_from(&limits.restart);
                    }
                });
            }
            Action::RemoveContainer { container } => {
                let id = id_of(container);
                let state = self.engine.containers[&id].status.state;
                assert!(!self.engine.containers[&id].is_up(), "removes what runs");
                assert_ne!(state, ContainerState::Removing, "removes what is being removed");
                self.remove(&id, true);
            }
        }
    }

    /// The id of a container by name.
    pub(crate) fn id(&self, name: &str) -> String {
        self.engine.containers.values().find(|detail| detail.name == name).unwrap().id.clone()
    }

    /// The names of all containers of an object, in order.
    pub(crate) fn names(&self, key: &str) -> Vec<String> {
        let key: ObjectKey = key.parse().unwrap();
        let mut names: Vec<String> =
            self.world.containers_of(&key).map(|container| container.name.to_string()).collect();
        names.sort();
        names
    }

    /// The id of the only network of a name.
    pub(crate) fn network_id(&self, name: &str) -> String {
        self.engine.networks.values().find(|detail| detail.name == name).unwrap().id.clone()
    }

    /// Changes a container and observes it.
    pub(crate) fn change(&mut self, id: &str, change: impl FnOnce(&mut ContainerDetail)) {
        change(self.engine.containers.get_mut(id).unwrap());
        self.observe(id);
    }

    /// Changes the only container of an object.
    pub(crate) fn change_only(&mut self, key: &str, change: impl FnOnce(&mut ContainerDetail)) {
        let names = self.names(key);
        assert_eq!(names.len(), 1, "{names:?}");
        self.change(&self.id(&names[0]), change);
    }

    /// Puts a container into a state.
    pub(crate) fn set_state(&mut self, key: &str, state: ContainerState) {
        self.change_only(key, |detail| {
            detail.status.state = state;
            detail.status.exit_code = if state == ContainerState::Exited { 137 } else { 0 };
        });
    }

    /// Observes a container.
    pub(crate) fn observe(&mut self, id: &str) {
        self.world.observe_container(&self.engine.containers[id], self.now_ms);
    }

    /// Removes a container.
    pub(crate) fn remove(&mut self, id: &str, by_us: bool) {
        assert!(self.engine.containers.remove(id).is_some(), "no container {id}");
        if by_us {
            self.world.expect_gone(id);
        }
        self.world.container_gone(id);
    }

    /// Removes a network.
    pub(crate) fn remove_network(&mut self, id: &str, by_us: bool) {
        let is_member = |detail: &&ContainerDetail| {
            detail.is_up() && detail.endpoints.values().any(|endpoint| endpoint.network_id == id)
        };
        let member = self.engine.containers.values().find(is_member);
        assert!(member.is_none(), "network has the active endpoint {}", member.unwrap().name);
        assert!(self.engine.networks.remove(id).is_some(), "no network {id}");
        if by_us {
            self.world.expect_gone(id);
        }
        self.world.network_gone(id);
    }

    /// Connects a container to a network.
    pub(crate) fn connect(&mut self, id: &str, endpoint: &EndpointCreate) {
        let network = self.engine.networks.get(&endpoint.network_id).unwrap();
        let (name, network_id) = (network.name.clone(), network.id.clone());
        let has_endpoint = self.engine.containers[id]
            .endpoints
            .iter()
            .any(|(known, other)| other.network_id == network_id || (*known == name || *known == network_id));
        assert!(!has_endpoint, "endpoint already exists in network {name}");
        self.change(id, |detail| {
            let (aliases, fixed_ipv4) = (endpoint.aliases.clone(), endpoint.ipv4);
            detail.endpoints.insert(name, Endpoint { network_id, aliases, fixed_ipv4, address: None });
        });
    }

    /// Disconnects a container from a network.
    pub(crate) fn disconnect(&mut self, id: &str, network_id: &str) {
        let before = self.engine.containers[id].endpoints.len();
        self.change(id, |detail| detail.endpoints.retain(|_, endpoint| endpoint.network_id != network_id));
        assert_eq!(self.engine.containers[id].endpoints.len() + 1, before, "was connected");
    }

    /// Gives a container another name.
    pub(crate) fn rename(&mut self, id: &str, name: &str) {
        assert!(!self.engine.containers.values().any(|other| other.name == name), "container name {name} is taken");
        self.change(id, |detail| name.clone_into(&mut detail.name));
    }

    /// Starts a container.
    pub(crate) fn start(&mut self, id: &str) {
        let error = self.engine.start(id, self.now_ms).err();
        if let Some(error) = error {
            self.change(id, |detail| {
                detail.status.error = error;
                detail.status.exit_code = 128;
            });
        } else {
            self.observe(id);
        }
    }

    /// The text of one object's plan.
    pub(crate) fn text(&self, key: &str) -> String {
        describe(&self.plan(key))
    }
}

/// What a pass came to.
enum Passed {
    Acted,
    Waits(i64),
    Rests,
}

/// A plan's text, with what it found and what it refuses.
pub(crate) fn describe(plan: &Plan) -> String {
    let mut text = plan.to_string();
    for finding in &plan.findings {
        writeln!(text, "found: {} {}: {}", finding.subject, finding.reason, finding.message).unwrap();
    }
    for change in plan.changes.iter().filter(|change| change.outcome == Outcome::Refused) {
        let fields: Vec<String> = change.fields.iter().map(ToString::to_string).collect();
        writeln!(text, "refused: {} {}", change.subject, fields.join(", ")).unwrap();
    }
    text
}

/// Replaces the hash in each container's name by a letter, in the order in which they appear.
pub(crate) fn letter_hashes(text: &str) -> String {
    let mut letters: Vec<String> = Vec::new();
    let parts: Vec<String> = text
        .split('-')
        .map(|part| {
            if part.len() != 8 || !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return part.to_owned();
            }
            let index = letters.iter().position(|known| known == part).unwrap_or_else(|| {
                letters.push(part.to_owned());
                letters.len() - 1
            });
            char::from(b'A' + u8::try_from(index).unwrap()).to_string().repeat(8)
        })
        .collect();
    parts.join("-")
}
