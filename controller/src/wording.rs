//! Steps, their outcomes and errors in words: for intents, events, statuses and logs.

use std::error::Error;

use planner::plan::{Action, Step};

use crate::executor::StepOutcome;

/// An error and what is below it, in one line: an error alone says what was tried, and its source why that failed.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

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

#[cfg(test)]
mod tests {
    use super::with_causes;
    use crate::store::StoreError;
    use crate::store::kv::{KvError, KvErrorKind};

    #[test]
    fn an_error_is_told_with_what_is_below_it() {
        let source = KvError {
            operation: "commit 3 changes".into(),
            kind: KvErrorKind::NoSpace,
            text: "no space left on device".into(),
        };
        let told = with_causes(&StoreError::Failed { source });
        assert_eq!(told, "cannot write the store: cannot commit 3 changes: no space left on device");
    }
}
