//! The roll-up: from what is observed of an object, and what its plan says, to conditions, table columns and primitives.
//!
//! It names no kind: what an object is told by is the primitive that it lowers to.

use crds_schema::ObjectKey;
use crds_schema::primitive::{ContainerSet, Primitive, RunState};
use crds_schema::{ConditionStatus, ConditionType};

use crate::inventory::ObservedContainer;
use crate::observed::{ContainerState, Health};
use crate::plan::{Outcome, Plan, Waiting};
use crate::progress::RolloutStage;
use crate::rollout::lacks_to_serve;
use crate::slots;
use crate::volumes;
use crate::world::{Report, ReportStatus, World};

/// The reason of an object that is not what its user wants: what served last was brought back.
pub const ROLLED_BACK: &str = "RolledBack";
/// The reason of a rollout that has not come to serve in time.
pub const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

/// What is told of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RollUp {
    /// `Ready`, `Progressing`, `Degraded`, `Stalled`, in this order, and what else is told of it.
    pub conditions: Vec<Statement>,
    /// Table cells: heading, value, and whether only the wide table shows it.
    pub columns: Vec<(&'static str, String, bool)>,
    /// What it has in the Engine.
    pub primitives: Vec<PrimitiveView>,
    /// Whether what others wait for is there: it is ready, or would be if it were not for a rollback.
    pub is_serving: bool,
}

/// One condition before it has a time and a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is about.
    pub condition_type: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One `CamelCase` word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// One thing of the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrimitiveView {
    /// Such as `container/web-7f9c4d21-0`.
    pub subject: String,
    /// The full id, or a volume's name.
    pub id: String,
    /// Such as `running`.
    pub state: String,
    /// More for people; may be empty.
    pub detail: String,
}

/// The last failure of an object, as the roll-up tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One `CamelCase` word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// Whether trying the same again is useless.
    pub is_permanent: bool,
}

/// How many of a set's containers are how far.
#[derive(Debug, Default)]
struct Counts {
    wanted: u32,
    updated: u32,
    serving: u32,
    updated_serving: u32,
    lacks: Option<String>,
    crash_looping: Option<String>,
    ended: bool,
}

/// Tells what is true of an object. `plan` must have been made from the same world; `failure` is its last failed call, until a pass
/// without one.
pub fn roll_up(world: &World, key: &ObjectKey, plan: &Plan, failure: Option<&Failure>) -> RollUp {
    let Some(desired) = world.desired(key) else { return roll_up_removal(world, key, plan) };
    let mut lacks = None;
    let mut crash_looping = None;
    let mut ready = ("Converged", "it is as its spec says".to_owned());
    let mut diverged = None;
    let mut columns = Vec::new();
    match &desired.lowered.primitive {
        Primitive::Network(spec) => {
            let network = crate::networks::selected(world, key);
            if network.is_none() {
                lacks = Some("not created yet".to_owned());
            }
            columns.push(("DRIVER", spec.driver.clone(), false));
            columns.push(("SUBNET", network.map(|network| network.subnets.to_string()).unwrap_or_default(), false));
            columns.push(("INTERNAL", spec.internal.to_string(), true));
        }
        Primitive::Volume(spec) => {
            let volume = world.volume(&spec.engine_name).filter(|volume| volume.owner.as_ref() == Some(key));
            match volume {
                None => lacks = Some("not created yet".to_owned()),
                Some(volume) => {
                    let fields = volumes::differences(volume, desired);
                    if !fields.is_empty() {
                        let names: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
                        diverged = Some(format!(
                            "{} cannot change without losing the data; create a new volume, or put the spec back",
                            names.join(", ")
                        ));
                    }
                }
            }
            columns.push(("DRIVER", spec.driver.clone(), false));
            columns.push(("ON DELETE", if spec.delete_with_object { "Delete" } else { "Retain" }.to_owned(), false));
        }
        Primitive::Containers(set) => {
            let counts = count(world, key, set);
            if set.run == RunState::Stopped {
                ready = ("Stopped", "its containers are stopped, as its spec says".to_owned());
            } else if counts.ended {
                ready = ("Completed", "its containers have ended, and are not to be started again".to_owned());
            } else if counts.wanted == 0 && set.is_elastic {
                ready = ("Idle", "its first container is started when it is needed".to_owned());
            } else if counts.wanted == 0 {
                ready = ("Converged", "it is to have no containers".to_owned());
            }
            columns.push(("READY", format!("{}/{}", counts.serving, counts.wanted), false));
            // What was brought back is not what the user wants.
            let updated = if world.rolled_back(key).is_some() { 0 } else { counts.updated };
            columns.push(("UP-TO-DATE", updated.to_string(), false));
            columns.push(("AVAILABLE", counts.updated_serving.to_string(), false));
            columns.push(("IMAGE", set.template.image.clone(), true));
            lacks = counts.lacks;
            crash_looping = counts.crash_looping;
        }
        Primitive::Nothing => {
            let left = world.containers_of(key).next();
            let is_unseen = world.report(key).is_none();
            lacks = left
                .map(|container| format!("container/{} is still there", container.name))
                .or_else(|| is_unseen.then(|| "it has not been looked at yet".to_owned()));
        }
    }
    let report = world.report(key);
    if let Some(report) = report {
        columns.extend(report.columns.iter().cloned());
        // That it is stopped, as its spec says, is worth more than that what goes on outside is well.
        if report.status == ReportStatus::Ready && ready.0 == "Converged" {
            ready = (report.reason, report.message.clone());
        }
    }
    let rolled_back = world.rolled_back(key);
    let facts = Facts { plan, failure, lacks, crash_looping, diverged, report, rolled_back, ready };
    let (mut conditions, is_serving) = conditions(&facts);
    conditions.extend(world.notice(key).cloned());
    RollUp { conditions, columns, primitives: primitives(world, key), is_serving }
}

/// What the conditions follow from.
struct Facts<'facts> {
    plan: &'facts Plan,
    failure: Option<&'facts Failure>,
    lacks: Option<String>,
    crash_looping: Option<String>,
    diverged: Option<String>,
    /// What is told by whoever does outside the Engine what the object asks for.
    report: Option<&'facts Report>,
    /// Why it is not what its user wants.
    rolled_back: Option<&'facts String>,
    ready: (&'static str, String),
}

/// What is told, and whether what others wait for is there.
fn conditions(facts: &Facts<'_>) -> (Vec<Statement>, bool) {
    let waits: Vec<String> = facts.plan.waiting.iter().map(ToString::to_string).collect();
    let is_suspended = facts.plan.waiting.contains(&Waiting::Suspended);
    let stalled = stalled_by(facts);
    let is_updating =
        !facts.plan.steps.is_empty() || facts.plan.changes.iter().any(|change| change.outcome != Outcome::Refused);
    let not_ready: Option<(&'static str, String)> = if let Some((reason, message)) = &stalled {
        Some((reason, message.clone()))
    } else if let Some(failure) = facts.failure {
        Some((failure.reason, failure.message.clone()))
    } else if let Some(message) = &facts.crash_looping {
        Some(("CrashLoopBackOff", message.clone()))
    } else if let Some(message) = &facts.diverged {
        Some(("Diverged", message.clone()))
    } else if let Some(lacks) = &facts.lacks {
        let reason = if waits.is_empty() || is_suspended { "NotReady" } else { "Waiting" };
        let message =
            if waits.is_empty() || is_suspended { lacks.clone() } else { format!("waiting for {}", waits.join(", ")) };
        Some((reason, message))
    } else if is_updating {
        Some(("Updating", "it is being brought to its spec".to_owned()))
    } else if !waits.is_empty() && !is_suspended {
        Some(("Waiting", format!("waiting for {}", waits.join(", "))))
    } else if let Some(report) = facts.report.filter(|report| report.status != ReportStatus::Ready) {
        Some((report.reason, report.message.clone()))
    } else {
        None
    };
    let statement = |condition_type, status: bool, reason, message: String| Statement {
        condition_type,
        status: if status { ConditionStatus::True } else { ConditionStatus::False },
        reason,
        message,
    };
    let is_serving = not_ready.is_none();
    let rolled_back = facts.rolled_back.map(|why| (ROLLED_BACK, why.clone()));
    let not_ready = not_ready.or_else(|| rolled_back.clone());
    let is_ready = not_ready.is_none();
    let (ready_reason, ready_message) = not_ready.unwrap_or_else(|| facts.ready.clone());
    let exceeded = match (&facts.plan.rollout.stage, facts.rolled_back) {
        (RolloutStage::Failed(failed), _) => Some(format!("{}; {}", failed.message, failed.remedy.as_str())),
        (RolloutStage::Open | RolloutStage::Tried | RolloutStage::Serving { .. }, why) => {
            why.filter(|_| is_serving).cloned()
        }
    };
    let has_exceeded = exceeded.is_some();
    let (progress_reason, progress_message) = if is_suspended {
        ("Suspended", "spec.suspend is true: it is observed, but not changed".to_owned())
    } else if let Some(message) = exceeded {
        (DEADLINE_EXCEEDED, message)
    } else if is_ready || stalled.is_some() {
        ("Settled", "nothing is under way".to_owned())
    } else {
        (ready_reason, ready_message.clone())
    };
    let is_progressing = !is_ready && stalled.is_none() && !is_suspended && !has_exceeded;
    let degraded = rolled_back
        .or_else(|| facts.failure.map(|failure| (failure.reason, failure.message.clone())))
        .or_else(|| facts.crash_looping.clone().map(|message| ("CrashLoopBackOff", message)))
        .or_else(|| facts.diverged.clone().map(|message| ("Diverged", message)))
        .or_else(|| failed_report(facts).map(|report| (report.reason, report.message.clone())));
    let is_degraded = degraded.is_some();
    let (degraded_reason, degraded_message) = degraded.unwrap_or_else(|| ("AsExpected", String::new()));
    let is_stalled = stalled.is_some();
    let (stalled_reason, stalled_message) = stalled.unwrap_or_else(|| ("NotStalled", String::new()));
    let statements = vec![
        statement(ConditionType::Ready, is_ready, ready_reason, ready_message),
        statement(ConditionType::Progressing, is_progressing, progress_reason, progress_message),
        statement(ConditionType::Degraded, is_degraded, degraded_reason, degraded_message),
        statement(ConditionType::Stalled, is_stalled, stalled_reason, stalled_message),
    ];
    (statements, is_serving)
}

/// The report of a failure.
fn failed_report<'facts>(facts: &Facts<'facts>) -> Option<&'facts Report> {
    facts.report.filter(|report| report.status == ReportStatus::Failed)
}

/// Why nothing more will happen without a change from outside.
fn stalled_by(facts: &Facts<'_>) -> Option<(&'static str, String)> {
    if let Some(failure) = facts.failure.filter(|failure| failure.is_permanent) {
        return Some((failure.reason, failure.message.clone()));
    }
    facts.plan.waiting.iter().find_map(|waiting| {
        let reason = match waiting {
            Waiting::NameConflict { .. } => "NameConflict",
            Waiting::ImageAbsent { .. } => "ImageAbsent",
            Waiting::PruneHeld { .. } => "PruneHeld",
            Waiting::Reference { lacks: "not defined", .. } | Waiting::Dependency { lacks: "not defined", .. } => {
                "NotDefined"
            }
            Waiting::Reference { .. }
            | Waiting::Dependency { .. }
            | Waiting::Readiness { .. }
            | Waiting::EngineRestart { .. }
            | Waiting::Release { .. }
            | Waiting::Removal { .. }
            | Waiting::NameInUse { .. }
            | Waiting::Backoff { .. }
            | Waiting::UnknownOutcome { .. }
            | Waiting::Tombstone { .. }
            | Waiting::NetworkInUse { .. }
            | Waiting::VolumeInUse { .. }
            | Waiting::Suspended => return None,
        };
        Some((reason, format!("waiting for {waiting}")))
    })
}

fn count(world: &World, key: &ObjectKey, set: &ContainerSet) -> Counts {
    let mut counts = Counts::default();
    let Some(slots) = slots::of(world, key) else { return counts };
    for slot in &slots.slots {
        counts.wanted += 1;
        let is_served_by_old = slot.old.iter().any(|old| old.container.is_serving());
        let Some(current) = slot.current else {
            counts.serving += u32::from(is_served_by_old);
            counts.lacks.get_or_insert_with(|| "not created yet".to_owned());
            continue;
        };
        counts.updated += 1;
        counts.updated_serving += u32::from(current.is_serving());
        counts.serving += u32::from(current.is_serving() || is_served_by_old);
        note_lacks(&mut counts, current, set);
    }
    counts
}

fn note_lacks(counts: &mut Counts, container: &ObservedContainer, set: &ContainerSet) {
    use crds_schema::primitive::RestartPolicy;
    let name = &container.name;
    if set.run == RunState::Stopped {
        if container.is_up() {
            counts.lacks.get_or_insert_with(|| format!("container/{name} still runs"));
        }
        return;
    }
    if container.is_serving() {
        return;
    }
    let has_ended = container.state == ContainerState::Exited;
    let is_to_stay = match set.live.restart {
        RestartPolicy::Always => false,
        RestartPolicy::OnFailure => container.exit_code == 0,
        RestartPolicy::Never => true,
    };
    if has_ended && is_to_stay && container.exit_code == 0 {
        counts.ended = true;
        return;
    }
    let lacks = if has_ended {
        format!("container/{name} (exited with code {})", container.exit_code)
    } else {
        format!("container/{name} ({})", lacks_to_serve(container))
    };
    if container.state == ContainerState::Restarting {
        let (count, code) = (container.restart_count, container.exit_code);
        let memory = if container.oom_killed { ", out of memory" } else { "" };
        counts.crash_looping.get_or_insert_with(|| {
            format!(
                "container/{name} exited with code {code}{memory} and is started again and again ({count} times so far)"
            )
        });
    }
    counts.lacks.get_or_insert(lacks);
}

fn roll_up_removal(world: &World, key: &ObjectKey, plan: &Plan) -> RollUp {
    let waits: Vec<String> = plan.waiting.iter().map(ToString::to_string).collect();
    let held = plan.waiting.iter().any(|waiting| matches!(waiting, Waiting::PruneHeld { .. }));
    let statement = |condition_type, is_true: bool, reason, message: &str| Statement {
        condition_type,
        status: if is_true { ConditionStatus::True } else { ConditionStatus::False },
        reason,
        message: message.to_owned(),
    };
    let message =
        if waits.is_empty() { "it is being removed".to_owned() } else { format!("waiting for {}", waits.join(", ")) };
    let reason = if held { "PruneHeld" } else { "Removing" };
    RollUp {
        conditions: vec![
            statement(ConditionType::Ready, false, reason, &message),
            statement(ConditionType::Progressing, !held, reason, &message),
            statement(ConditionType::Degraded, false, "AsExpected", ""),
            statement(ConditionType::Stalled, held, reason, &message),
        ],
        columns: Vec::new(),
        primitives: primitives(world, key),
        is_serving: false,
    }
}

fn primitives(world: &World, key: &ObjectKey) -> Vec<PrimitiveView> {
    let networks = world.networks_of(key).map(|network| PrimitiveView {
        subject: format!("network/{}", network.name),
        id: network.id.to_string(),
        state: "present".to_owned(),
        detail: network.subnets.to_string(),
    });
    let volumes = world.volumes_of(key).map(|volume| PrimitiveView {
        subject: format!("volume/{}", volume.name),
        id: volume.name.to_string(),
        state: "present".to_owned(),
        detail: String::new(),
    });
    let containers = world.containers_of(key).map(|container| PrimitiveView {
        subject: format!("container/{}", container.name),
        id: container.id.to_string(),
        state: if container.state == ContainerState::Exited {
            format!("exited ({})", container.exit_code)
        } else {
            container.state.as_str().to_owned()
        },
        detail: container_detail(container),
    });
    let mut views: Vec<PrimitiveView> = networks.chain(volumes).chain(containers).collect();
    views.sort_by(|one, other| one.subject.cmp(&other.subject));
    views
}

fn container_detail(container: &ObservedContainer) -> String {
    let mut parts = Vec::new();
    match container.health {
        Health::None => {}
        Health::Starting => parts.push("health: starting".to_owned()),
        Health::Healthy => parts.push("healthy".to_owned()),
        Health::Unhealthy => parts.push("unhealthy".to_owned()),
    }
    if container.oom_killed {
        parts.push("out of memory".to_owned());
    }
    if container.restart_count > 0 {
        parts.push(format!("{} restarts", container.restart_count));
    }
    let addresses = container
        .endpoints
        .iter()
        .filter_map(|(name, endpoint)| endpoint.address.map(|address| format!("{name} {address}")));
    parts.extend(addresses);
    if !container.error.is_empty() {
        parts.push(container.error.to_string());
    }
    parts.join(", ")
}
