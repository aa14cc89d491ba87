//! One container of the simulated Engine, kept small: what many share is shared.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use planner::observed::{
    ContainerConfig, ContainerDetail, ContainerState, ContainerStatus, ContainerSummary, Endpoint, Health, Limits,
    MountConfig, MountKind,
};

use super::image::Healthcheck;
use super::programs::Program;
use super::state::State;

/// The name of the simulated host.
pub(super) const HOST_NAME: &str = "simulated";

/// Pairs of shared texts.
pub(super) type SharedPairs = Box<[(Arc<str>, Arc<str>)]>;

/// A container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) image_id: Arc<str>,
    /// What it was created with, the image's share included, without labels and anonymous volumes.
    pub(super) config: Arc<ContainerConfig>,
    pub(super) labels: SharedPairs,
    /// Path and name of each volume that the Engine made because the image declares the path.
    pub(super) anonymous_volumes: SharedPairs,
    pub(super) limits: Limits,
    pub(super) attachments: Vec<Attachment>,
    pub(super) program: Arc<Program>,
    pub(super) check: Option<Arc<Healthcheck>>,
    pub(super) created_ms: u64,
    pub(super) state: ContainerState,
    /// Counts starts; what is due for another run is void.
    pub(super) run: u32,
    pub(super) started_ms: Option<u64>,
    pub(super) finished_ms: Option<u64>,
    pub(super) exit_code: i64,
    pub(super) is_oom_killed: bool,
    pub(super) error: Option<Box<str>>,
    pub(super) health: Health,
    pub(super) failing_streak: u32,
    pub(super) restart_count: u32,
    /// The last pause between two runs; 0 before the first.
    pub(super) restart_delay_ms: u64,
    /// Stopped or killed by hand: no restart policy applies until it is started by hand.
    pub(super) is_disarmed: bool,
    /// Stops that wait for its end, each of which makes an event.
    pub(super) pending_stops: u32,
    /// It ended while it was frozen, which shows when it goes on.
    pub(super) frozen_exit: Option<(i64, bool)>,
}

/// An endpoint, or the wish for one.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    pub(super) network_name: Arc<str>,
    /// Set by the first start; from then on the network is found by it and by nothing else.
    pub(super) network_id: Option<Arc<str>>,
    pub(super) aliases: Box<[Arc<str>]>,
    pub(super) fixed_ipv4: Option<Ipv4Addr>,
    pub(super) address: Option<Ipv4Addr>,
    /// Whether there is an endpoint now.
    pub(super) is_joined: bool,
}

impl Attachment {
    pub(super) fn to(network_name: &Arc<str>) -> Self {
        Self {
            network_name: Arc::clone(network_name),
            network_id: None,
            aliases: Box::default(),
            fixed_ipv4: None,
            address: None,
            is_joined: false,
        }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            network_id: self.network_id.as_deref().unwrap_or_default().to_owned(),
            aliases: self.aliases.iter().map(ToString::to_string).collect(),
            fixed_ipv4: self.fixed_ipv4,
            address: self.address.map(IpAddr::V4),
        }
    }
}

impl Container {
    /// What the Engine calls running: restarting ones too.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
    }

    /// Whether it has a process, and so endpoints, ports and mounts.
    pub(super) const fn has_endpoints(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused)
    }

    /// The volumes that it refers to, running or not.
    pub(super) fn volume_names(&self) -> impl Iterator<Item = &str> {
        let named = self.config.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Volume(name) => Some(name.as_str()),
            MountKind::Bind(_) | MountKind::Tmpfs(_) => None,
        });
        named.chain(self.anonymous_volumes.iter().map(|(_, name)| &**name))
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| &**label == key).map(|(_, value)| &**value)
    }

    pub(super) fn summary(&self, state: &State) -> ContainerSummary {
        let network_ids = self.attachments.iter().filter_map(|attachment| attachment.network_id.as_deref());
        let mut network_ids: Vec<String> = network_ids.map(str::to_owned).collect();
        network_ids.sort();
        let joined = self.attachments.iter().filter(|attachment| attachment.is_joined);
        let mut addresses: Vec<IpAddr> = joined.filter_map(|attachment| attachment.address.map(IpAddr::V4)).collect();
        addresses.sort_unstable();
        ContainerSummary {
            id: self.id.to_string(),
            name: self.name.to_string(),
            state: self.state,
            // The list's text tells health only of what runs.
            health: if self.state == ContainerState::Running { self.health } else { Health::None },
            labels: self.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            network_ids,
            addresses,
            image_id: self.image_id.to_string(),
            // The list tells whole seconds.
            created_ms: state.timestamp(self.created_ms) / 1000 * 1000,
        }
    }

    pub(super) fn detail(&self, state: &State) -> ContainerDetail {
        let mut config = ContainerConfig::clone(&self.config);
        config.labels = self.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        if config.hostname.is_empty() {
            let name = if config.network_mode == "host" { HOST_NAME } else { &self.id[..12] };
            name.clone_into(&mut config.hostname);
        }
        config.mounts.extend(self.anonymous_volumes.iter().map(|(path, name)| MountConfig {
            destination: path.to_string(),
            kind: MountKind::Volume(name.to_string()),
            read_only: false,
        }));
        config.mounts.sort();
        let endpoints = self.attachments.iter();
        ContainerDetail {
            id: self.id.to_string(),
            name: self.name.to_string(),
            created_ms: state.timestamp(self.created_ms),
            image_id: self.image_id.to_string(),
            status: ContainerStatus {
                state: self.state,
                exit_code: self.exit_code,
                oom_killed: self.is_oom_killed,
                error: self.error.as_deref().unwrap_or_default().to_owned(),
                health: self.health,
                started_ms: self.started_ms.map(|at| state.timestamp(at)),
                finished_ms: self.finished_ms.map(|at| state.timestamp(at)),
            },
            config,
            limits: self.limits.clone(),
            endpoints: endpoints.map(|endpoint| (endpoint.network_name.to_string(), endpoint.endpoint())).collect(),
            restart_count: self.restart_count,
        }
    }
}
