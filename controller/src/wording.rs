//! Steps and their outcomes in words: for intents, events and logs.

use planner::plan::{Action, Step};

use crate::executor::StepOutcome;

/// A step as the plan's text says it, without its number.
pub(crate) fn describe(step: &Step) -> String {
    format!("{} {}: {}", step.action.subject(), step.action.verb(), step.cause)
}

pub(crate) fn describe_short(step: &Step) -> String {
    format!("{} {}", step.action.verb().to_lowercase(), step.action.subject())
}

pub(crate) fn describe_outcome(outcome: &StepOutcome) -> String {
    match outcome {
        StepOutcome::Done(_) => "done".to_owned(),
        StepOutcome::Differs(..) => "not as asked".to_owned(),
        StepOutcome::Failed(error) if error.kind.is_outcome_unknown() => format!("unknown: {}", error.text),
        StepOutcome::Failed(error) => format!("failed: {}", error.text),
        StepOutcome::Skipped => "skipped".to_owned(),
    }
}

/// The reason of the event that tells of a step; `None` for steps that users need not hear of.
pub(crate) fn event_reason(action: &Action) -> Option<&'static str> {
    match action {
        Action::PullImage { .. } => Some("Pulled"),
        Action::CreateNetwork(_) | Action::CreateVolume(_) | Action::CreateContainer(_) => Some("Created"),
        Action::RemoveNetwork { .. } | Action::RemoveVolume { .. } | Action::RemoveContainer { .. } => Some("Removed"),
        Action::StartContainer { .. } => Some("Started"),
        Action::StopContainer { .. } => Some("Stopped"),
        Action::UnpauseContainer { .. } => Some("Unpaused"),
        Action::RenameContainer { .. } => Some("Renamed"),
        Action::UpdateContainer { .. } => Some("Updated"),
        Action::ConnectNetwork { .. } => Some("Connected"),
        Action::DisconnectNetwork { .. } => Some("Disconnected"),
        Action::VerifyContainer { .. } => None,
    }
}
