//! The runs of a container: start, end, restart by policy.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use planner::observed::{ContainerState, Health};

use super::container::Container;
use super::programs::{End, Start};
use super::refusal::{Answer, Refusal};
use super::state::State;
use super::timeline::What;

/// The first pause before a restart by policy.
const FIRST_RESTART_DELAY_MS: u64 = 100;
/// The longest.
const LONGEST_RESTART_DELAY_MS: u64 = 60_000;
/// A run of this length makes the next pause the first one again.
const QUIET_RUN_MS: u64 = 10_000;
/// The exit code of a program that was killed.
pub(super) const KILLED: i64 = 137;

impl State {
    pub(super) fn container(&mut self, id: &Arc<str>) -> Answer<&mut Container> {
        self.containers.get_mut(id).ok_or_else(|| Refusal::no_container(id))
    }

    /// Starts by hand: counts anew, arms the restart policy.
    pub(super) fn start_container(&mut self, id_or_name: &str) -> Answer<()> {
        let id = self.find_container(id_or_name)?;
        let container = self.container(&id)?;
        match container.state {
            // The Engine answers 304.
            ContainerState::Running | ContainerState::Restarting => return Ok(()),
            ContainerState::Paused => {
                return Err(Refusal::new(409, "cannot start a paused container, try unpause instead"));
            }
            ContainerState::Created | ContainerState::Exited => {}
            ContainerState::Removing | ContainerState::Dead => {
                return Err(Refusal::new(409, "container is marked for removal and cannot be started"));
            }
        }
        container.is_disarmed = false;
        container.restart_count = 0;
        container.restart_delay_ms = 0;
        self.launch(&id)
    }

    /// One attempt to run the program. A failed one leaves the container as it was, with an error, and is never repeated.
    pub(super) fn launch(&mut self, id: &Arc<str>) -> Answer<()> {
        let failure = match self.join_networks(id).and_then(|()| self.publish_ports(id)) {
            Ok(()) => {
                self.tell_connected(id);
                match Arc::clone(&self.container(id)?.program).start.clone() {
                    Start::Works => None,
                    Start::Fails { status, text, exit_code } => {
                        self.container(id)?.exit_code = exit_code;
                        Some(Refusal::new(status, text))
                    }
                }
            }
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = failure {
            self.release_endpoints(id);
            let container = self.container(id)?;
            if container.exit_code == 0 {
                container.exit_code = 128;
            }
            container.error = Some(refusal.text.as_str().into());
            return Err(refusal);
        }
        self.begin_run(id)
    }

    fn begin_run(&mut self, id: &Arc<str>) -> Answer<()> {
        let now_ms = self.now_ms;
        let container = self.container(id)?;
        container.state = ContainerState::Running;
        container.run += 1;
        container.started_ms = Some(now_ms);
        container.exit_code = 0;
        container.is_oom_killed = false;
        container.error = None;
        container.pending_stops = 0;
        container.frozen_exit = None;
        let has_open_input = container.config.open_stdin;
        let (run, name, program) = (container.run, Arc::clone(&container.name), Arc::clone(&container.program));
        let volumes: Vec<String> = container.volume_names().map(str::to_owned).collect();
        for volume in volumes {
            self.events.volume(&volume, "mount");
        }
        self.events.container(id, &name, "start", None);
        match program.end {
            End::Never => {}
            End::After { after_ms, code } => {
                self.schedule(after_ms, id, run, What::Exit { code, is_out_of_memory: false });
            }
            End::AtEndOfInput if has_open_input => {}
            End::AtEndOfInput => self.schedule(0, id, run, What::Exit { code: 0, is_out_of_memory: false }),
            End::OutOfMemory { after_ms } => {
                self.schedule(after_ms, id, run, What::Exit { code: KILLED, is_out_of_memory: true });
            }
        }
        self.begin_health(id);
        Ok(())
    }

    fn join_networks(&mut self, id: &Arc<str>) -> Answer<()> {
        let wishes = self.container(id)?.attachments.clone();
        for (position, wish) in wishes.iter().enumerate() {
            let network = self.find_network(wish.network_id.as_deref().unwrap_or(&wish.network_name))?;
            let network_id = Arc::clone(&network.id);
            let address = self.join_network(id, &network_id, wish.fixed_ipv4)?;
            if let Some(attachment) = self.container(id)?.attachments.get_mut(position) {
                attachment.network_id = Some(network_id);
                attachment.address = address;
                attachment.is_joined = true;
            }
        }
        Ok(())
    }

    fn tell_connected(&mut self, id: &Arc<str>) {
        let Some(container) = self.containers.get(id) else { return };
        for network_id in container.attachments.iter().filter_map(|attachment| attachment.network_id.as_ref()) {
            self.events.network(network_id, "connect", id);
        }
    }

    fn publish_ports(&mut self, id: &Arc<str>) -> Answer<()> {
        let container = self.container(id)?;
        let (config, name) = (Arc::clone(&container.config), Arc::clone(&container.name));
        if matches!(config.network_mode.as_str(), "host" | "none") {
            return Ok(());
        }
        for (inside, bindings) in &config.port_bindings {
            // What is not exposed is stored and not published.
            if !config.exposed_ports.contains(inside) {
                continue;
            }
            let protocol = inside.split_once('/').map_or("tcp", |(_, protocol)| protocol);
            for binding in bindings {
                let (ip, port) = binding.rsplit_once(':').unwrap_or(("", binding));
                let ip = ip.trim_matches(['[', ']']).parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                let port = port.parse().unwrap_or(0);
                if let Err(taken) = self.ports.take(id, ip, port, protocol) {
                    let endpoint = self.next_id();
                    let text = format!(
                        "driver failed programming external connectivity on endpoint {name} ({endpoint}): {}",
                        taken.0
                    );
                    return Err(Refusal::new(500, text));
                }
            }
        }
        Ok(())
    }

    /// Gives back addresses and ports. Networks are remembered by id.
    fn release_endpoints(&mut self, id: &Arc<str>) {
        self.ports.release(id);
        let Some(container) = self.containers.get_mut(id) else { return };
        let mut left = Vec::new();
        for attachment in container.attachments.iter_mut().filter(|attachment| attachment.is_joined) {
            attachment.is_joined = false;
            left.push((attachment.network_id.clone(), attachment.address.take()));
        }
        for (network_id, address) in left {
            if let Some(network_id) = network_id {
                self.leave_network(id, &network_id, address);
                self.events.network(&network_id, "disconnect", id);
            }
        }
    }

    /// The program ends of its own accord, or is killed from outside the Engine.
    pub(super) fn exit_by_itself(&mut self, id: &Arc<str>, code: i64, is_out_of_memory: bool) {
        let Some(container) = self.containers.get_mut(id) else { return };
        match container.state {
            ContainerState::Running => self.end_run(id, code, is_out_of_memory),
            ContainerState::Paused if code == KILLED => self.end_run(id, code, is_out_of_memory),
            ContainerState::Paused => container.frozen_exit = Some((code, is_out_of_memory)),
            ContainerState::Created
            | ContainerState::Restarting
            | ContainerState::Removing
            | ContainerState::Exited
            | ContainerState::Dead => {}
        }
    }

    /// The end of a run, whatever its cause; the restart policy decides what the container is then.
    pub(super) fn end_run(&mut self, id: &Arc<str>, code: i64, is_out_of_memory: bool) {
        let now_ms = self.now_ms;
        let Some(container) = self.containers.get_mut(id) else { return };
        container.exit_code = code;
        container.is_oom_killed = is_out_of_memory;
        container.finished_ms = Some(now_ms);
        if container.health != Health::None {
            container.health = Health::Unhealthy;
            container.failing_streak = 0;
        }
        let delay_ms = container.next_restart_delay(now_ms);
        container.state = if delay_ms.is_some() { ContainerState::Restarting } else { ContainerState::Exited };
        let (name, run, stops) = (Arc::clone(&container.name), container.run, container.pending_stops);
        container.pending_stops = 0;
        let volumes: Vec<String> = container.volume_names().map(str::to_owned).collect();
        if is_out_of_memory {
            self.events.container(id, &name, "oom", None);
        }
        self.events.container(id, &name, "die", Some(code));
        self.release_endpoints(id);
        for volume in volumes {
            self.events.volume(&volume, "unmount");
        }
        for _ in 0..stops {
            self.events.container(id, &name, "stop", None);
        }
        if let Some(delay_ms) = delay_ms {
            self.schedule(delay_ms, id, run, What::Restart);
        }
    }

    pub(super) fn restart(&mut self, id: &Arc<str>) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.state != ContainerState::Restarting {
            return;
        }
        // A restart that fails is not tried again: the container stays as after its last run.
        if self.launch(id).is_err()
            && let Some(container) = self.containers.get_mut(id)
        {
            container.state = ContainerState::Exited;
        }
    }
}

impl Container {
    /// How long the Engine waits before it starts the container again; `None` when it does not.
    fn next_restart_delay(&mut self, now_ms: u64) -> Option<u64> {
        if self.is_disarmed {
            return None;
        }
        let is_wanted = match self.limits.restart.as_str() {
            "always" | "unless-stopped" => true,
            "on-failure" => self.exit_code != 0,
            _ => false,
        };
        if !is_wanted {
            return None;
        }
        let ran_ms = now_ms.saturating_sub(self.started_ms.unwrap_or(now_ms));
        self.restart_delay_ms = match self.restart_delay_ms {
            _ if ran_ms >= QUIET_RUN_MS => FIRST_RESTART_DELAY_MS,
            0 => FIRST_RESTART_DELAY_MS,
            delay_ms => (delay_ms * 2).min(LONGEST_RESTART_DELAY_MS),
        };
        self.restart_count += 1;
        Some(self.restart_delay_ms)
    }
}
