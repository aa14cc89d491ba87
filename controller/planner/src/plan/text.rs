//! The text of a plan: one and the same in `evenkeel plan`, tests, events and logs.

use std::fmt;

use super::{Cause, FieldChange, Plan, Waiting, format_ms};

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.old.is_empty(), self.new.is_empty()) {
            (true, true) => write!(f, "{}", self.field),
            (true, false) => write!(f, "{} (none -> {})", self.field, self.new),
            (false, true) => write!(f, "{} ({} -> none)", self.field, self.old),
            (false, false) => write!(f, "{} ({} -> {})", self.field, self.old, self.new),
        }
    }
}

/// `field (old -> new), …`
fn list_fields(fields: &[FieldChange]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresent => write!(f, "not present"),
            Self::PullAlways => write!(f, "pull policy is Always"),
            Self::SpecChanged(fields) => write!(f, "spec changed: {}", list_fields(fields)),
            Self::Drifted(fields) => write!(f, "changed by somebody else: {}", list_fields(fields)),
            Self::Created => write!(f, "created"),
            Self::VerifyCreated => write!(f, "compare with what was asked for"),
            Self::Exited { code, oom_killed: false } => write!(f, "exited with code {code}"),
            Self::Exited { code, oom_killed: true } => write!(f, "exited with code {code}, out of memory"),
            Self::NotStarted(error) if error.is_empty() => write!(f, "not started yet"),
            Self::NotStarted(error) => write!(f, "start failed: {error}"),
            Self::Paused => write!(f, "paused by somebody else"),
            Self::Dead => write!(f, "a removal failed half-way"),
            Self::HalfStarted => write!(f, "the Engine ended in the middle of its start"),
            Self::Renamed(name) => write!(f, "renamed to {name} by somebody else"),
            Self::Disconnected(network) => {
                write!(f, "disconnected from {network} by somebody else")
            }
            Self::EndpointDiffers(network) => {
                write!(f, "connected to {network} without its own names or address")
            }
            Self::ConnectedTwice(network) => write!(f, "connected to {network} by somebody else"),
            Self::NetworkReplaced(key) => write!(f, "{key} is being replaced"),
            Self::NetworkGone(network) => write!(f, "made for a network {network} that is gone"),
            Self::BecameReady => write!(f, "ready"),
            Self::ReplacedBy(name) => write!(f, "replaced by {name}"),
            Self::Superseded(name) => write!(f, "superseded before it replaced {name}"),
            Self::StopFirst(reason) => write!(f, "must stop first: {reason}"),
            Self::ScaledDown => write!(f, "scaled down"),
            Self::UsedUp => write!(f, "used up"),
            Self::Duplicate => write!(f, "a duplicate"),
            Self::NotAsAsked(fields) => write!(f, "not as asked: {}", list_fields(fields)),
            Self::StateStopped => write!(f, "state is Stopped"),
            Self::Disarm => write!(f, "not to be started again by the Engine"),
            Self::Rearm => write!(f, "to be started again by the Engine"),
            Self::ObjectRemoved => write!(f, "removed from the manifests"),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference { key, lacks } | Self::Dependency { key, lacks } => {
                write!(f, "{key} ({lacks})")
            }
            Self::Readiness { container, lacks } => write!(f, "container/{container} ({lacks})"),
            Self::EngineRestart { container, exit_code } => {
                write!(f, "container/{container} (exited with code {exit_code}, the Engine starts it again)")
            }
            Self::Release { container } => write!(f, "container/{container} (to end what is under way on it)"),
            Self::Removal { container } => write!(f, "container/{container} (being removed)"),
            Self::Backoff { .. } => write!(f, "the next try after a failure"),
            Self::UnknownOutcome { .. } => {
                write!(f, "the outcome of a call that ended without an answer")
            }
            Self::NameConflict { subject } => write!(f, "{subject} (the name is taken by something that is not ours)"),
            Self::NameInUse { subject, owner } => write!(f, "{subject} (a container of {owner} has the name)"),
            Self::ImageAbsent { reference } => write!(f, "image/{reference} (not present, and pullPolicy is Never)"),
            Self::PruneHeld { reason } => write!(f, "prune ({reason})"),
            Self::Tombstone { .. } => write!(f, "prune (removed from the manifests a moment ago)"),
            Self::NetworkInUse { network, by } => {
                write!(f, "network/{network} (in use by {})", by.join(", "))
            }
            Self::VolumeInUse { volume } => write!(f, "volume/{volume} (in use)"),
            Self::Suspended => write!(f, "spec.suspend"),
        }
    }
}

impl fmt::Display for Plan {
    /// One line a step, then what is waited for:
    ///
    /// ```text
    /// []  -> #1 image/nginx:1.29      Pull    not present
    /// [1] -> #2 container/web-7f9c4-0 Create  spec changed: image (nginx:1.28 -> nginx:1.29)
    /// waiting: Network/back (not created yet) · wake: 30s
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 4]> = self
            .steps
            .iter()
            .map(|step| {
                let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
                let subject = format!("#{} {}", step.id, step.action.subject());
                [format!("[{}]", after.join(",")), subject, step.action.verb(), step.cause.to_string()]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (after_width, subject_width, verb_width) = (width(0), width(1), width(2));
        for [after, subject, verb, cause] in &rows {
            writeln!(f, "{after:<after_width$} -> {subject:<subject_width$}  {verb:<verb_width$}  {cause}")?;
        }
        let waiting: Vec<String> = self.waiting.iter().map(ToString::to_string).collect();
        let wake = self.wake_ms.map(|ms| format!("wake: {}", format_ms(ms)));
        match (waiting.is_empty(), wake) {
            (true, None) => Ok(()),
            (true, Some(wake)) => writeln!(f, "{wake}"),
            (false, None) => writeln!(f, "waiting: {}", waiting.join(", ")),
            (false, Some(wake)) => writeln!(f, "waiting: {} · {wake}", waiting.join(", ")),
        }
    }
}
