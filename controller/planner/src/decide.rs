//! The decision: what is to be done for one object now.

use crds_schema::ObjectKey;
use crds_schema::primitive::{DependencyCondition, Primitive};

use crate::builder::PlanBuilder;
use crate::observed::TimestampMs;
use crate::plan::{Finding, Plan, Waiting};
use crate::world::{DesiredObject, Hold, World};
use crate::{containers, networks, progress, removal, slots, volumes};

/// Decides what is to be done for one object now.
///
/// # Flow
/// 1. The rollout is judged, whatever holds the object back: [`progress`].
/// 2. A hold (back-off, or a call whose outcome is not known) ends the decision: nothing is done until it is over.
/// 3. An object that is not wanted is removed, where prune has approved it: [`removal`].
/// 4. A suspended object is left alone.
/// 5. Its primitive is compared with what is observed: [`networks`], [`volumes`] or [`containers`]. An object that is to have nothing in
///    the Engine loses the containers of an earlier spec of its own.
///
/// # Guarantees
/// - It sees the whole world and acts on one object: no step touches what another object owns.
/// - Executing a plan, observing and planning again ends in a plan without steps.
/// - Nothing that runs is stopped before what replaces it is known to be possible: the image is there, the replacement created
///   and compared with what was asked for, and, where two can coexist, serving.
/// - The same world, key and time give the same plan.
///
/// # Assumptions
/// The world holds everything that carries our labels: it has been filled by a full list since the Engine was last reached.
///
/// # Caveats
/// A plan is about one moment. It is never stored, nor resumed after a crash: observe, and plan again.
pub fn plan(world: &World, key: &ObjectKey, now_ms: TimestampMs) -> Plan {
    let mut builder = PlanBuilder::default();
    let slots = slots::of(world, key);
    let rollout = progress::judge(world, key, slots.as_ref(), now_ms, &mut builder);
    builder.set_rollout(rollout);
    if is_held(world, key, now_ms, &mut builder) {
        return builder.build();
    }
    let Some(desired) = world.desired(key) else {
        removal::plan(world, key, now_ms, &mut builder);
        return builder.build();
    };
    if desired.lowered.suspend {
        builder.wait(Waiting::Suspended);
        return builder.build();
    }
    report_lost(world, key, &mut builder);
    match &desired.lowered.primitive {
        Primitive::Network(network) => networks::plan(world, key, desired, network, &mut builder),
        Primitive::Volume(volume) => volumes::plan(world, key, desired, volume, &mut builder),
        Primitive::Containers(set) => {
            if let Some(slots) = &slots {
                containers::plan(world, key, (desired, set), slots, now_ms, &mut builder);
            }
        }
        Primitive::Nothing => removal::plan_leftovers(world, key, now_ms, &mut builder),
    }
    builder.build()
}

fn is_held(world: &World, key: &ObjectKey, now_ms: TimestampMs, builder: &mut PlanBuilder) -> bool {
    let (until_ms, waiting) = match world.hold(key) {
        Some(Hold::Backoff(until_ms)) => (until_ms, Waiting::Backoff { until_ms }),
        Some(Hold::UnknownOutcome(until_ms)) => (until_ms, Waiting::UnknownOutcome { until_ms }),
        None => return false,
    };
    if until_ms <= now_ms {
        return false;
    }
    builder.wait(waiting);
    builder.wake_at(until_ms, now_ms);
    true
}

fn report_lost(world: &World, key: &ObjectKey, builder: &mut PlanBuilder) {
    for subject in world.lost(key) {
        let reason = match subject.split_once('/').map(|(kind, _)| kind) {
            Some("network") => Finding::NETWORK_REMOVED,
            Some("volume") => Finding::VOLUME_REMOVED,
            Some(_) | None => Finding::CONTAINER_REMOVED,
        };
        builder.find(subject.clone(), reason, "was removed by somebody else".into());
    }
}

/// Adds what the object's dependencies lack. Returns whether anything is lacking.
pub(crate) fn await_dependencies(world: &World, desired: &DesiredObject, builder: &mut PlanBuilder) -> bool {
    let mut is_lacking = false;
    for dependency in &desired.lowered.depends_on {
        let key = &dependency.key;
        let is_met = match dependency.condition {
            DependencyCondition::Ready => world.desired(key).is_some() && world.is_ready(key),
            DependencyCondition::Exists => exists(world, key),
        };
        if !is_met {
            is_lacking = true;
            let lacks = match (world.desired(key).is_some(), dependency.condition) {
                (false, _) => "not defined",
                (true, DependencyCondition::Ready) => "not ready yet",
                (true, DependencyCondition::Exists) => "not created yet",
            };
            builder.wait(Waiting::Dependency { key: key.clone(), lacks });
        }
    }
    is_lacking
}

/// Whether what an object owns is there. A set that wants no container has all that it wants.
fn exists(world: &World, key: &ObjectKey) -> bool {
    let Some(desired) = world.desired(key) else { return false };
    match &desired.lowered.primitive {
        Primitive::Network(_) => world.networks_of(key).next().is_some(),
        Primitive::Volume(_) => volumes::is_present(world, key),
        Primitive::Containers(set) => set.replicas == 0 || world.containers_of(key).next().is_some(),
        // It has all that it wants.
        Primitive::Nothing => true,
    }
}
