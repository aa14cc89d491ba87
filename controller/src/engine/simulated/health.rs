//! Health checks: one runs an interval after the start and then every interval, until the run ends.

use std::sync::Arc;

use planner::observed::{ContainerState, Health};

use super::state::State;
use super::timeline::What;

impl State {
    pub(super) fn begin_health(&mut self, id: &Arc<str>) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.failing_streak = 0;
        let Some(check) = container.check.clone() else {
            container.health = Health::None;
            return;
        };
        container.health = Health::Starting;
        let run = container.run;
        self.schedule(check.interval_ms, id, run, What::Probe);
    }

    pub(super) fn probe_health(&mut self, id: &Arc<str>) {
        let now_ms = self.now_ms;
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(check) = container.check.clone() else { return };
        let run = container.run;
        match container.state {
            ContainerState::Running => {}
            // Frozen programs are not asked; the next check comes when they go on.
            ContainerState::Paused => return self.schedule(check.interval_ms, id, run, What::Probe),
            ContainerState::Created
            | ContainerState::Restarting
            | ContainerState::Removing
            | ContainerState::Exited
            | ContainerState::Dead => return,
        }
        let elapsed_ms = now_ms.saturating_sub(container.started_ms.unwrap_or(now_ms));
        let before = container.health;
        let has_passed = container.program.health.passes(elapsed_ms);
        if has_passed {
            container.failing_streak = 0;
            container.health = Health::Healthy;
        } else if elapsed_ms >= check.start_period_ms || before != Health::Starting {
            container.failing_streak += 1;
            if container.failing_streak >= check.retries.max(1) {
                container.health = Health::Unhealthy;
            }
        }
        let (after, name) = (container.health, Arc::clone(&container.name));
        for action in ["exec_create", "exec_start"] {
            self.events.container(id, &name, &format!("{action}: {}", check.command), None);
        }
        self.events.container(id, &name, "exec_die", Some(i64::from(!has_passed)));
        if after != before {
            let word = match after {
                Health::None => "none",
                Health::Starting => "starting",
                Health::Healthy => "healthy",
                Health::Unhealthy => "unhealthy",
            };
            self.events.container(id, &name, &format!("health_status: {word}"), None);
        }
        self.schedule(check.interval_ms, id, run, What::Probe);
    }
}
