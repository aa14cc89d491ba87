//! What the simulated Engine answers when it refuses: the status and the text of a real one.

use super::calls::CallKind;
use crate::engine::classify::{classify, clean_text};
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
            kind: classify(kind.operation(), self.status, &self.text),
            text: clean_text(&self.text),
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
