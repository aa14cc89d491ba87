//! Retiring: stopping a container for good, and removing it.

use crate::builder::PlanBuilder;
use crate::inventory::ObservedContainer;
use crate::observed::{ContainerState, Limits, TimestampMs};
use crate::plan::{Action, Cause, ContainerRef, Waiting};
use crate::world::World;

/// How long after the Engine was found at work on something before we look again.
pub(crate) const ENGINE_LOOK_MS: i64 = 2_000;

/// Stops a container where it runs, and removes it. The restart policy goes first, so that nothing brings it back.
/// Returns the last step, or `None` where the Engine is removing it already.
pub(crate) fn retire(
    container: &ObservedContainer,
    grace_secs: u32,
    after: &[u32],
    cause: &Cause,
    builder: &mut PlanBuilder,
) -> Option<u32> {
    if container.state == ContainerState::Removing {
        await_removal(container, builder);
        return None;
    }
    let stopped = stop(container, grace_secs, after, cause, builder);
    Some(builder.step(&stopped, Action::RemoveContainer { container: existing(container) }, cause.clone()))
}

/// Stops a container for good where it runs. Returns what must be done before the next step.
pub(crate) fn stop(
    container: &ObservedContainer,
    grace_secs: u32,
    after: &[u32],
    cause: &Cause,
    builder: &mut PlanBuilder,
) -> Vec<u32> {
    let mut after = after.to_vec();
    if !container.is_up() {
        return after;
    }
    if container.limits.restart != "no" {
        let limits = Limits { restart: "no".into(), ..Limits::default() };
        let action = Action::UpdateContainer { container: existing(container), limits };
        after = vec![builder.step(&after, action, Cause::Disarm)];
    }
    let action = Action::StopContainer { container: existing(container), grace_secs };
    vec![builder.step(&after, action, cause.clone())]
}

/// Whether a container may be stopped: nobody uses it, or has been waited for long enough. Else that is waited for, and it is given
/// nothing new to do meanwhile.
pub(crate) fn is_released(
    world: &World,
    container: &ObservedContainer,
    now_ms: TimestampMs,
    builder: &mut PlanBuilder,
) -> bool {
    if container.state != ContainerState::Running || container.release_ms == 0 {
        return true;
    }
    // While it is stopped as well.
    builder.leave(&container.id);
    let remaining_ms = world.releases_in_ms(container, now_ms);
    if remaining_ms > 0 {
        builder.wait(Waiting::Release { container: container.name.to_string() });
        builder.wake_in(remaining_ms);
    }
    remaining_ms == 0
}

/// Waits for the Engine, which is removing a container.
pub(crate) fn await_removal(container: &ObservedContainer, builder: &mut PlanBuilder) {
    builder.wait(Waiting::Removal { container: container.name.to_string() });
    builder.wake_in(ENGINE_LOOK_MS);
}

/// A container that is there.
pub(crate) fn existing(container: &ObservedContainer) -> ContainerRef {
    ContainerRef::Existing { id: container.id.to_string(), name: container.name.to_string() }
}
