//! What holds a container up: stop, kill, pause, removal.

use std::sync::Arc;

use planner::observed::{ContainerState, Health};

use super::lifecycle::KILLED;
use super::programs::AtStopSignal;
use super::refusal::{Answer, Refusal};
use super::state::State;
use super::timeline::What;

/// What a stop has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopProgress {
    /// It does not run.
    Stopped,
    /// This run has not ended yet.
    Waiting { id: Arc<str>, run: u32 },
}

impl State {
    pub(super) fn kill_after_grace(&mut self, id: &Arc<str>) {
        let Some(container) = self.containers.get(id) else { return };
        if container.has_endpoints() {
            let name = Arc::clone(&container.name);
            self.events.container(id, &name, "kill", None);
            self.end_run(id, KILLED, false);
        }
    }

    /// Asks the program to end, and plans the kill. Either happens whether or not the caller still waits.
    pub(super) fn begin_stop(&mut self, id_or_name: &str, grace_secs: u32) -> Answer<StopProgress> {
        // The trait calls absent stopped.
        let Ok(id) = self.find_container(id_or_name) else { return Ok(StopProgress::Stopped) };
        let container = self.container(&id)?;
        let name = Arc::clone(&container.name);
        match container.state {
            ContainerState::Running | ContainerState::Paused => {}
            ContainerState::Restarting => {
                container.state = ContainerState::Exited;
                container.is_disarmed = true;
                self.events.container(&id, &name, "stop", None);
                return Ok(StopProgress::Stopped);
            }
            // The Engine answers 304.
            ContainerState::Created | ContainerState::Removing | ContainerState::Exited | ContainerState::Dead => {
                return Ok(StopProgress::Stopped);
            }
        }
        container.is_disarmed = true;
        container.pending_stops += 1;
        let (run, is_paused) = (container.run, container.state == ContainerState::Paused);
        let reaction = container.program.at_stop_signal.clone();
        self.events.container(&id, &name, "kill", None);
        if is_paused {
            self.thaw(&id)?;
        }
        if let AtStopSignal::Exits { after_ms, code } = reaction {
            self.schedule(after_ms, &id, run, What::Exit { code, is_out_of_memory: false });
        }
        self.schedule(u64::from(grace_secs) * 1000, &id, run, What::Kill);
        self.advance(self.now_ms);
        Ok(self.stop_progress(&id, run))
    }

    /// Whether a run has ended.
    pub(super) fn stop_progress(&self, id: &Arc<str>, run: u32) -> StopProgress {
        match self.containers.get(id) {
            Some(container) if container.run == run && container.has_endpoints() => {
                StopProgress::Waiting { id: Arc::clone(id), run }
            }
            Some(_) | None => StopProgress::Stopped,
        }
    }

    pub(super) fn pause_container(&mut self, id_or_name: &str) -> Answer<()> {
        let id = self.find_container(id_or_name)?;
        let container = self.container(&id)?;
        match container.state {
            ContainerState::Running => {}
            ContainerState::Paused => {
                return Err(Refusal::new(409, format!("Container {id_or_name} is already paused")));
            }
            ContainerState::Restarting => {
                let text = format!("Container {id} is restarting, wait until the container is running");
                return Err(Refusal::new(409, text));
            }
            ContainerState::Created | ContainerState::Removing | ContainerState::Exited | ContainerState::Dead => {
                return Err(Refusal::new(409, format!("Container {id} is not running")));
            }
        }
        container.state = ContainerState::Paused;
        if container.health != Health::None {
            container.health = Health::Unhealthy;
            container.failing_streak = 0;
        }
        let name = Arc::clone(&container.name);
        self.events.container(&id, &name, "pause", None);
        Ok(())
    }

    pub(super) fn unpause_container(&mut self, id_or_name: &str) -> Answer<()> {
        let id = self.find_container(id_or_name)?;
        if self.container(&id)?.state != ContainerState::Paused {
            return Err(Refusal::new(500, format!("Container {id} is not paused")));
        }
        self.thaw(&id)
    }

    fn thaw(&mut self, id: &Arc<str>) -> Answer<()> {
        let container = self.container(id)?;
        container.state = ContainerState::Running;
        let (name, run, frozen_exit) = (Arc::clone(&container.name), container.run, container.frozen_exit.take());
        self.events.container(id, &name, "unpause", None);
        if let Some((code, is_out_of_memory)) = frozen_exit {
            self.schedule(0, id, run, What::Exit { code, is_out_of_memory });
        }
        Ok(())
    }

    /// Removes a container that does not run, and none of its volumes; absent is done.
    pub(super) fn remove_container(&mut self, id_or_name: &str) -> Answer<()> {
        let Ok(id) = self.find_container(id_or_name) else { return Ok(()) };
        let container = self.container(&id)?;
        if container.is_running() {
            let procedure = if container.state == ContainerState::Paused {
                "Unpause and then stop the container before attempting removal or force remove"
            } else {
                "Stop the container before attempting removal or force remove"
            };
            let text = format!("You cannot remove a {} container {id}. {procedure}", container.state.as_str());
            return Err(Refusal::new(409, text));
        }
        self.forget_container(&id);
        Ok(())
    }

    pub(super) fn forget_container(&mut self, id: &Arc<str>) {
        if let Some(container) = self.containers.remove(id) {
            self.names.remove(&container.name);
            self.events.container(id, &container.name, "destroy", None);
        }
    }
}
