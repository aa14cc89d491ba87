//! From bollard's errors to ours.

use bollard::errors::Error;

use crate::engine::classify::{Operation, classify, clean_text};
use crate::engine::{EngineError, ErrorKind};

/// One call, for errors: what is tried and on what.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// What kind of call it is.
    pub(super) operation: Operation,
    /// Such as ``start container `0123456789ab` ``.
    pub(super) text: String,
}

impl Call {
    /// A call on one thing.
    pub(super) fn on(operation: Operation, verb: &str, subject: &str) -> Self {
        Self { operation, text: format!("{verb} `{}`", shorten_id(subject)) }
    }

    /// A call that reads.
    pub(super) fn read(verb: &str) -> Self {
        Self { operation: Operation::Read, text: verb.to_owned() }
    }

    /// The error that this call ended with.
    pub(super) fn fail(&self, error: &Error) -> EngineError {
        let (status, text, kind) = explain(self.operation, error);
        EngineError { operation: self.text.clone(), status, text: clean_text(&text), kind }
    }

    /// The error of this call when it ended without any answer of the Engine.
    pub(super) fn fail_with(&self, kind: ErrorKind, text: &str) -> EngineError {
        EngineError { operation: self.text.clone(), status: None, text: clean_text(text), kind }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not named leaves the outcome unknown, also what bollard adds"
)]
fn explain(operation: Operation, error: &Error) -> (Option<u16>, String, ErrorKind) {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            (Some(*status_code), message.clone(), classify(operation, *status_code, message))
        }
        Error::DockerStreamError { error } => (Some(200), error.clone(), classify(operation, 200, error)),
        Error::SocketNotFoundError(text) => (None, text.clone(), ErrorKind::Unreachable),
        // The call was answered, but not in a way that tells what was done.
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => {
            let kind = if operation == Operation::Read { ErrorKind::Internal } else { ErrorKind::Unknown };
            (None, format!("an answer that is not the Engine's: {error}"), kind)
        }
        // Nothing was sent.
        Error::URLEncodedError { .. }
        | Error::URLParseError { .. }
        | Error::InvalidURIError { .. }
        | Error::InvalidURIPartsError { .. }
        | Error::HttpClientError { .. } => (None, chain(error), ErrorKind::Invalid),
        _ => (None, chain(error), ErrorKind::Unknown),
    }
}

/// The error and its sources, since a source often says what happened and the error only where.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

/// The first 12 digits of a full id, as people know it; anything else as it is.
fn shorten_id(subject: &str) -> String {
    let is_full_id = subject.len() == 64 && subject.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_full_id { subject[..12].to_owned() } else { clean_text(subject) }
}

#[cfg(test)]
mod tests {
    use bollard::errors::Error;

    use super::Call;
    use crate::engine::ErrorKind;
    use crate::engine::classify::Operation;

    #[test]
    fn an_answer_that_cannot_be_read_leaves_the_outcome_of_a_change_unknown() {
        let unreadable = || Error::JsonDataError { message: "expected value".into(), column: 1 };
        let create = Call::on(Operation::CreateContainer, "create container", "web");
        assert_eq!(create.fail(&unreadable()).kind, ErrorKind::Unknown);
        assert_eq!(Call::read("list networks").fail(&unreadable()).kind, ErrorKind::Internal);
    }

    #[test]
    fn errors_say_what_was_tried_and_on_what() {
        let start = Call::on(Operation::StartContainer, "start container", &"ab".repeat(32));
        let error =
            start.fail(&Error::DockerResponseServerError { status_code: 404, message: "No such\ncontainer".into() });
        assert_eq!(error.to_string(), "cannot start container `abababababab`: No such container");
        assert_eq!((error.status, error.kind), (Some(404), ErrorKind::NotFound));
    }
}
