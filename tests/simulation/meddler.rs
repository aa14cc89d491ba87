//! The second actor: somebody with a Docker client, who does to our things and beside them whatever people do.

use std::collections::BTreeMap;

use planner::observed::{ContainerConfig, ContainerDetail, ContainerState, Limits};
use planner::plan::{ContainerCreate, EndpointCreate};

use super::random_wanted::pick;
use super::sim::Sim;

/// What the names begin with that the meddler gives.
pub(crate) const MEDDLED: &str = "meddled-";

/// Somebody with a Docker client.
#[derive(Debug, Default)]
pub(crate) struct Meddler {
    /// What was made, to be taken away when people stop meddling.
    strangers: Vec<String>,
    ports: Vec<u16>,
    made: u32,
}

impl Meddler {
    /// Does something.
    pub(crate) fn meddle(&mut self, sim: &mut Sim) {
        let ids: Vec<String> = sim.engine.all_container_ids();
        let ours: Vec<String> = ids.into_iter().filter(|id| is_workload(sim, id)).collect();
        let chosen = pick(&ours, &mut sim.random).and_then(|id| sim.engine.peek(id));
        match (sim.random.u8(0..19), chosen) {
            (0..=12, Some(container)) => self.meddle_with(sim, &container),
            (13, _) => Self::remove_network(sim),
            (14, _) => Self::remove_volume(sim),
            (15, Some(container)) => self.copy(sim, &container),
            (16, Some(container)) => self.squat(sim, &container),
            (17, _) => self.take_port(sim),
            (18, Some(container)) => {
                let is_dropped = sim.engine.drop_image(&container.config.image);
                note(sim, "meddle: image removed", is_dropped);
            }
            (_, _) => {}
        }
    }

    /// Takes away what is in the way of convergence: strangers that hold names and ports.
    pub(crate) fn leave(&mut self, sim: &Sim) {
        for id in self.strangers.drain(..) {
            // Somebody else may have removed it.
            drop(sim.engine.external_remove(&id));
        }
        for port in self.ports.drain(..) {
            sim.engine.host_port_freed(port);
        }
    }

    fn meddle_with(&mut self, sim: &mut Sim, container: &ContainerDetail) {
        let id = &container.id;
        let engine = &sim.engine;
        let (name, result) = match sim.random.u8(0..13) {
            0 => ("meddle: process killed", engine.external_kill(id, 137)),
            1 => ("meddle: process ended", engine.external_kill(id, 0)),
            2 => ("meddle: docker kill", engine.external_docker_kill(id)),
            3 => ("meddle: docker stop", engine.external_stop(id, 3)),
            4 => ("meddle: docker start", engine.external_start(id)),
            5 => ("meddle: docker rm -f", engine.external_remove(id)),
            6 => ("meddle: docker pause", engine.external_pause(id)),
            7 => {
                // One that does not run cannot be paused before.
                drop(engine.external_pause(id));
                ("meddle: docker unpause", engine.external_unpause(id))
            }
            8 => {
                self.made += 1;
                ("meddle: docker rename", engine.external_rename(id, &format!("{MEDDLED}{}", self.made)))
            }
            9 => {
                let limits = Limits { memory: 96 << 20, memory_swap: 192 << 20, ..Limits::default() };
                ("meddle: docker update", engine.external_update(id, &limits))
            }
            10 => {
                let limits = Limits { restart: "no".to_owned(), ..Limits::default() };
                ("meddle: restart policy taken", engine.external_update(id, &limits))
            }
            11 => {
                let Some(network) = container.endpoints.keys().next() else { return };
                ("meddle: network disconnect", engine.external_disconnect(id, network))
            }
            _ => {
                let networks = engine.peek_networks();
                let others: Vec<_> = networks.iter().filter(|network| network.driver == "bridge").collect();
                let Some(network) = pick(&others, &mut sim.random) else { return };
                let endpoint = EndpointCreate {
                    network_id: network.id.clone(),
                    network_name: network.name.clone(),
                    ..EndpointCreate::default()
                };
                ("meddle: network connect", sim.engine.external_connect(id, &endpoint))
            }
        };
        note(sim, name, result.is_ok());
    }

    fn remove_network(sim: &mut Sim) {
        let networks = sim.engine.peek_networks();
        let ours: Vec<_> = networks.iter().filter(|network| sim.oracle.is_ours(&network.id)).collect();
        let Some(network) = pick(&ours, &mut sim.random) else { return };
        if sim.random.bool() {
            for id in sim.engine.all_container_ids() {
                // Most are not in it.
                drop(sim.engine.external_disconnect(&id, &network.id));
            }
        }
        let is_removed = sim.engine.external_remove_network(&network.id).is_ok();
        note(sim, "meddle: network rm", is_removed);
    }

    fn remove_volume(sim: &mut Sim) {
        let volumes = sim.engine.peek_volumes();
        let Some(volume) = pick(&volumes, &mut sim.random) else { return };
        let is_removed = sim.engine.external_remove_volume(&volume.name).is_ok();
        note(sim, "meddle: volume rm", is_removed);
    }

    /// Somebody starts a copy of a container, labels and all, under a name of their own.
    fn copy(&mut self, sim: &Sim, container: &ContainerDetail) {
        self.made += 1;
        let config = ContainerConfig {
            mounts: Vec::new(),
            port_bindings: BTreeMap::new(),
            exposed_ports: Vec::new(),
            network_mode: "none".to_owned(),
            ..container.config.clone()
        };
        self.run(sim, "meddle: copy with our labels", format!("copy-{}", self.made), config);
    }

    /// Somebody takes the name of a container that is not there any more.
    fn squat(&mut self, sim: &Sim, container: &ContainerDetail) {
        if sim.engine.external_remove(&container.id).is_ok() {
            let config = stranger_config();
            self.run(sim, "meddle: name taken", container.name.clone(), config);
        }
    }

    fn run(&mut self, sim: &Sim, name: &'static str, container: String, config: ContainerConfig) {
        let create = ContainerCreate { name: container, config, ..ContainerCreate::default() };
        let made = sim.engine.external_run(create);
        note(sim, name, made.is_ok());
        self.strangers.extend(made);
    }

    fn take_port(&mut self, sim: &mut Sim) {
        let port = 8_000 + u16::from(b'0' + sim.random.u8(0..8));
        sim.engine.host_port_taken(port);
        self.ports.push(port);
        note(sim, "meddle: host port taken", true);
    }
}

/// A container that is ours and no lease.
fn is_workload(sim: &Sim, id: &str) -> bool {
    let is_lease = |container: &ContainerDetail| container.name.starts_with("evenkeel-lease");
    sim.oracle.is_ours(id)
        && sim
            .engine
            .peek(id)
            .is_some_and(|container| !is_lease(&container) && container.status.state != ContainerState::Dead)
}

/// A container that has nothing to do with us.
pub(crate) fn stranger_config() -> ContainerConfig {
    ContainerConfig { image: "app:1".to_owned(), network_mode: "none".to_owned(), ..ContainerConfig::default() }
}

fn note(sim: &Sim, what: &'static str, is_done: bool) {
    sim.trace.say(&format!("{what}{}", if is_done { "" } else { ", refused" }));
    if is_done {
        sim.trace.count(what);
    }
}
