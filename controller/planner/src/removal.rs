//! Removal: what becomes of what an object has in the Engine once the object is not wanted any more.

use crds_schema::ObjectKey;

use crate::builder::PlanBuilder;
use crate::inventory::ObservedContainer;
use crate::networks;
use crate::observed::TimestampMs;
use crate::plan::{Cause, Waiting};
use crate::retire::{is_released, retire};
use crate::volumes;
use crate::world::{Removal, World};

/// The grace of a container whose object is gone and that was made without one of its own, in seconds.
const STOP_GRACE_SECS: u32 = 10;

pub(crate) fn plan(world: &World, key: &ObjectKey, now_ms: TimestampMs, builder: &mut PlanBuilder) {
    let delete_volumes = match world.removal(key) {
        Some(Removal::Held(reason)) => {
            if has_anything(world, key) {
                builder.wait(Waiting::PruneHeld { reason: reason.clone() });
            }
            return;
        }
        Some(Removal::Tombstone(until_ms)) if *until_ms > now_ms => {
            builder.wait(Waiting::Tombstone { until_ms: *until_ms });
            builder.wake_at(*until_ms, now_ms);
            return;
        }
        // Nobody has decided yet, or its time has come but the guard is asked again before anything is removed.
        None | Some(Removal::Tombstone(_)) => return,
        Some(Removal::Approved { delete_volumes }) => *delete_volumes,
    };
    for container in world.containers_of(key) {
        remove(world, container, &Cause::ObjectRemoved, now_ms, builder);
    }
    for network in world.networks_of(key) {
        networks::remove(world, network, Cause::ObjectRemoved, builder);
    }
    if delete_volumes {
        for volume in world.volumes_of(key) {
            volumes::remove(world, volume, builder);
        }
    }
}

/// Removes the containers of an object that is wanted and is to have nothing in the Engine: those of an earlier spec. No volume goes.
pub(crate) fn plan_leftovers(world: &World, key: &ObjectKey, now_ms: TimestampMs, builder: &mut PlanBuilder) {
    for container in world.containers_of(key) {
        remove(world, container, &Cause::ScaledDown, now_ms, builder);
    }
}

/// Stops and removes a container, once nobody uses it.
fn remove(world: &World, container: &ObservedContainer, cause: &Cause, now_ms: TimestampMs, builder: &mut PlanBuilder) {
    if is_released(world, container, now_ms, builder) {
        let grace_secs = container.stop_timeout_secs.unwrap_or(STOP_GRACE_SECS);
        retire(container, grace_secs, &[], cause, builder);
    }
}

fn has_anything(world: &World, key: &ObjectKey) -> bool {
    world.containers_of(key).next().is_some() || world.networks_of(key).next().is_some()
}
