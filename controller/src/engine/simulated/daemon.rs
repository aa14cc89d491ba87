//! A restart of the daemon itself.

use std::sync::Arc;

use planner::observed::ContainerState;

use super::lifecycle::KILLED;
use super::programs::AtStopSignal;
use super::state::State;

/// What a restart of the daemon does to what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaemonRestart {
    /// Everything ends with the daemon, and what its restart policy covers is started by the next one before it answers.
    StopsAll,
    /// Everything runs on (`--live-restore`).
    KeepsAll,
}

impl State {
    /// The daemon ends and another one begins: it remembers no event, and every stream is cut.
    pub(super) fn restart_daemon(&mut self, restart: DaemonRestart) {
        self.events.cut();
        self.events.forget();
        if restart == DaemonRestart::KeepsAll {
            return;
        }
        let ids: Vec<Arc<str>> = self.containers.keys().cloned().collect();
        for id in &ids {
            let Some(container) = self.containers.get_mut(id) else { continue };
            let code = match container.program.at_stop_signal {
                AtStopSignal::Exits { code, .. } => code,
                AtStopSignal::Ignores => KILLED,
            };
            let was_disarmed = std::mem::replace(&mut container.is_disarmed, true);
            match container.state {
                ContainerState::Running | ContainerState::Paused => self.end_run(id, code, false),
                ContainerState::Restarting => container.state = ContainerState::Exited,
                ContainerState::Created | ContainerState::Removing | ContainerState::Exited | ContainerState::Dead => {}
            }
            if let Some(container) = self.containers.get_mut(id) {
                container.is_disarmed = was_disarmed;
            }
        }
        for id in &ids {
            let is_started = self.containers.get(id).is_some_and(|container| {
                let is_over = container.state == ContainerState::Exited;
                is_over
                    && match container.limits.restart.as_str() {
                        "always" => true,
                        "unless-stopped" => !container.is_disarmed,
                        "on-failure" => !container.is_disarmed && container.exit_code != 0,
                        _ => false,
                    }
            });
            if is_started {
                // One that cannot be started stays as after its last run, with the error that it shows.
                drop(self.launch(id));
            }
        }
        // What its programs said while nobody listened is forgotten as well.
        self.events.forget();
    }
}
