//! The hook for oracles: who watches the simulated Engine sees every call with its true effect, at the moment it takes effect.

use std::fmt;
use std::sync::Arc;

use planner::observed::{ContainerConfig, ContainerState, Health, Limits};

use super::calls::{Call, CallOutcome};
use super::container::Container;
use super::state::State;

/// Somebody who watches. It must not call the Engine that tells it.
pub trait Witness: Send {
    /// A call is about to take effect.
    fn before(&mut self, call: &Call, view: &View<'_>);

    /// It took effect, or was refused.
    fn after(&mut self, call: &Call, outcome: &CallOutcome, view: &View<'_>);

    /// Something changed without a call: a program ended, or somebody else acted.
    fn changed(&mut self, view: &View<'_>);
}

/// The Engine's true state at one moment.
#[derive(Debug)]
pub struct View<'state> {
    state: &'state State,
}

/// One container in its true state.
#[derive(Debug, Clone, Copy)]
pub struct ContainerView<'state> {
    container: &'state Container,
}

impl<'state> View<'state> {
    pub(super) const fn of(state: &'state State) -> Self {
        Self { state }
    }

    /// Milliseconds since the Engine began.
    pub const fn now_ms(&self) -> u64 {
        self.state.now_ms
    }

    /// Every container, in the order of the ids.
    pub fn containers(&self) -> impl Iterator<Item = ContainerView<'state>> {
        self.state.containers.values().map(|container| ContainerView { container })
    }

    /// The container that a call names.
    pub fn container(&self, id_or_name: &str) -> Option<ContainerView<'state>> {
        let id = self.state.find_container(id_or_name).ok()?;
        self.state.containers.get(&id).map(|container| ContainerView { container })
    }

    /// The networks as (id, name), in the order of the ids.
    pub fn networks(&self) -> impl Iterator<Item = (&'state Arc<str>, &'state Arc<str>)> {
        self.state.networks.iter().map(|(id, network)| (id, &network.name))
    }

    /// How many containers have an endpoint in a network.
    pub fn network_members(&self, id: &str) -> usize {
        self.state.networks.get(id).map_or(0, |network| network.members.len())
    }

    /// The names of the volumes.
    pub fn volumes(&self) -> impl Iterator<Item = &'state Arc<str>> {
        self.state.volumes.keys()
    }

    /// The label of a volume.
    pub fn volume_label(&self, name: &str, key: &str) -> Option<&'state str> {
        self.state.volumes.get(name).and_then(|volume| volume.label(key))
    }
}

impl<'state> ContainerView<'state> {
    /// Its full id.
    pub const fn id(&self) -> &'state Arc<str> {
        &self.container.id
    }

    /// Its name.
    pub fn name(&self) -> &'state str {
        &self.container.name
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&'state str> {
        self.container.label(key)
    }

    /// Its state.
    pub const fn state(&self) -> ContainerState {
        self.container.state
    }

    /// Its health.
    pub const fn health(&self) -> Health {
        self.container.health
    }

    /// Whether it runs, and passes its health check where it has one.
    pub fn is_serving(&self) -> bool {
        self.container.state == ContainerState::Running
            && matches!(self.container.health, Health::None | Health::Healthy)
    }

    /// What its last run exited with; `None` while it runs, and before its first run.
    pub fn exit_code(&self) -> Option<i64> {
        let has_ended = self.container.state == ContainerState::Exited && self.container.started_ms.is_some();
        has_ended.then_some(self.container.exit_code)
    }

    /// Whether no restart policy applies, since it was stopped or killed by hand.
    pub const fn is_disarmed(&self) -> bool {
        self.container.is_disarmed
    }

    /// When its last run began, in milliseconds since the Engine did.
    pub const fn started_ms(&self) -> Option<u64> {
        self.container.started_ms
    }

    /// What it was created with.
    pub fn config(&self) -> &'state ContainerConfig {
        &self.container.config
    }

    /// Its limits and its restart policy.
    pub const fn limits(&self) -> &'state Limits {
        &self.container.limits
    }

    /// The names of the volumes that it mounts.
    pub fn volume_names(&self) -> impl Iterator<Item = &'state str> {
        self.container.volume_names()
    }
}

impl fmt::Debug for dyn Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}
