//! What there is in the model of an engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::observed::{
    ContainerDetail, ContainerState, ContainerStatus, Endpoint, Health, NetworkDetail, TimestampMs, VolumeDetail,
};
use crate::plan::ContainerCreate;

/// What there is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Engine {
    /// Containers by id.
    pub(crate) containers: BTreeMap<String, ContainerDetail>,
    /// Networks by id.
    pub(crate) networks: BTreeMap<String, NetworkDetail>,
    /// Volumes by name.
    pub(crate) volumes: BTreeMap<String, VolumeDetail>,
    /// The health that a container takes when it is started, by image; none where there is no entry.
    pub(crate) health: BTreeMap<String, Health>,
    /// Images whose containers do not start.
    pub(crate) broken: BTreeSet<String>,
    next_id: u64,
}

impl Engine {
    pub(super) fn new_id(&mut self) -> String {
        self.next_id += 1;
        format!("{:064x}", self.next_id)
    }

    pub(super) fn uses_volume(&self, name: &str) -> bool {
        let is_it =
            |mount: &crate::observed::MountConfig| mount.kind == crate::observed::MountKind::Volume(name.to_owned());
        self.containers.values().any(|detail| detail.config.mounts.iter().any(is_it))
    }

    pub(super) fn create(&mut self, create: &ContainerCreate, now_ms: TimestampMs) -> String {
        let is_taken = self.containers.values().any(|other| other.name == create.name);
        assert!(!is_taken, "container name {} is taken", create.name);
        let id = self.new_id();
        let mut endpoints = BTreeMap::new();
        if let Some(primary) = &create.primary_endpoint {
            let (aliases, fixed_ipv4) = (primary.aliases.clone(), primary.ipv4);
            let endpoint = Endpoint { network_id: String::new(), aliases, fixed_ipv4, address: None };
            endpoints.insert(primary.network_id.clone(), endpoint);
        }
        let status = ContainerStatus {
            state: ContainerState::Created,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            health: Health::None,
            started_ms: None,
            finished_ms: None,
        };
        let detail = ContainerDetail {
            id: id.clone(),
            name: create.name.clone(),
            created_ms: now_ms,
            image_id: format!("id of {}", create.config.image),
            status,
            config: create.config.clone(),
            limits: create.limits.clone(),
            endpoints,
            restart_count: 0,
        };
        self.containers.insert(id.clone(), detail);
        id
    }

    pub(super) fn start(&mut self, id: &str, now_ms: TimestampMs) -> Result<(), String> {
        let detail = &self.containers[id];
        let name = detail.name.clone();
        assert!(!detail.is_up(), "starts {name}, which runs");
        let mut endpoints = BTreeMap::new();
        for (known, endpoint) in &detail.endpoints {
            let asked = if endpoint.network_id.is_empty() { known } else { &endpoint.network_id };
            let found = self.networks.values().find(|network| network.id == *asked || network.name == *asked);
            let network = found.unwrap_or_else(|| panic!("starts {name}: network {asked} not found"));
            endpoints.insert(network.name.clone(), Endpoint { network_id: network.id.clone(), ..endpoint.clone() });
        }
        for other in self.containers.values().filter(|other| other.is_up()) {
            for binding in detail.config.port_bindings.values().flatten() {
                let holds = other.config.port_bindings.values().flatten().any(|held| held == binding);
                assert!(!holds, "starts {name}: {} holds port {binding}", other.name);
            }
            for endpoint in endpoints.values().filter(|endpoint| endpoint.fixed_ipv4.is_some()) {
                let holds = other.endpoints.values().any(|held| held.fixed_ipv4 == endpoint.fixed_ipv4);
                assert!(!holds, "starts {name}: {} holds its address", other.name);
            }
        }
        if self.broken.contains(&detail.config.image) {
            return Err("exec: not found".into());
        }
        let health = self.health.get(&detail.config.image).copied().unwrap_or_default();
        let status = &detail.status;
        // Two runs never begin at the same instant.
        let started_ms = status.started_ms.map_or(now_ms, |before| now_ms.max(before + 1));
        let status = ContainerStatus {
            state: ContainerState::Running,
            exit_code: 0,
            error: String::new(),
            health,
            started_ms: Some(started_ms),
            ..status.clone()
        };
        let detail = self.containers.get_mut(id).unwrap();
        (detail.status, detail.endpoints) = (status, endpoints);
        Ok(())
    }
}

impl ContainerDetail {
    /// Whether its process runs.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.status.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
    }
}
