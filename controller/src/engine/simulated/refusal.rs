//! What the simulated Engine answers when it refuses: the status and the text of a real one.

use super::calls::CallKind;
use crate::engine::{EngineError, ErrorKind};

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// The Engine's text.
    pub(super) text: String,
}

/// What a call of the simulated Engine comes to inside it.
pub(super) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn no_container(id_or_name: &str) -> Self {
        Self::new(404, format!("No such container: {id_or_name}"))
    }

    pub(super) fn no_network(id_or_name: &str) -> Self {
        Self::new(404, format!("network {id_or_name} not found"))
    }

    /// The error that a caller of the trait sees.
    pub(super) fn into_error(self, kind: CallKind, subject: &str) -> EngineError {
        EngineError {
            operation: kind.describe(subject),
            status: Some(self.status),
            kind: classify(kind, self.status, &self.text),
            text: self.text,
        }
    }
}

/// The error of a call whose reply never came.
pub(super) fn lost_reply(kind: CallKind, subject: &str) -> EngineError {
    EngineError {
        operation: kind.describe(subject),
        status: None,
        text: "the connection was closed before the reply".to_owned(),
        kind: ErrorKind::Unknown,
    }
}

/// The error of a call that never reached the Engine.
pub(super) fn no_connection(kind: CallKind, subject: &str) -> EngineError {
    EngineError {
        operation: kind.describe(subject),
        status: None,
        text: "connection refused".to_owned(),
        kind: ErrorKind::Unreachable,
    }
}

/// What an answer means; the one place where the simulated Engine decides it.
fn classify(kind: CallKind, status: u16, text: &str) -> ErrorKind {
    let has = |part: &str| text.contains(part);
    match (kind, status) {
        (CallKind::PullImage, _) => classify_pull(text),
        (_, 403) if has("active endpoints") => ErrorKind::InUse,
        (_, 403) if has("Pool overlaps") => ErrorKind::AddressConflict,
        _ if has("already allocated") || has("address already in use") => ErrorKind::PortConflict,
        _ if has("no available IPv4 addresses") || has("non-overlapping") || has("Address already in use") => {
            ErrorKind::AddressConflict
        }
        _ if has("no space left") => ErrorKind::NoSpace,
        _ if has("is already in use by container") => ErrorKind::NameConflict,
        (_, 404) if has("No such image") => ErrorKind::ImageNotFound,
        (_, 404) => ErrorKind::NotFound,
        (_, 409) if has("in use") || has("removal") || has("cannot remove") => ErrorKind::InUse,
        (CallKind::StartContainer, _) if has("OCI runtime") => ErrorKind::StartFailed,
        (_, 400 | 403 | 409) => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    }
}

fn classify_pull(text: &str) -> ErrorKind {
    let has = |part: &str| text.contains(part);
    if has("invalid reference") {
        ErrorKind::Invalid
    } else if has("toomanyrequests") {
        ErrorKind::RegistryThrottled
    } else if has("manifest unknown") || has("not found") || has("does not exist") {
        ErrorKind::RegistryNotFound
    } else if has("no basic auth") || has("denied") || has("unauthorized") {
        ErrorKind::RegistryDenied
    } else if has("no space left") {
        ErrorKind::NoSpace
    } else {
        ErrorKind::RegistryUnavailable
    }
}
