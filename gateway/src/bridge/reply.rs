//! What came back for a request: the gateway's answer, something before it, or a refusal that is no answer.

use hyper::StatusCode;

use crate::upstream::answer::REFUSAL_LIMIT;
use crate::wire::envelope::{Message, Outcome};
use crate::wire::id::Id;
use crate::wire::reply::{RpcError, error_reply, result_reply};

/// An answer, whoever's: a refusal may come without an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The result.
    Result(String),
    /// The error object.
    Error(String),
}

/// A message of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// An answer.
    Reply(Reply),
    /// A notification or a request: its method.
    Other(String),
}

impl Reply {
    /// Reads a message; `None` when it is none.
    pub(super) fn read(text: &str) -> Option<Read> {
        Some(match Message::parse(text).ok()? {
            Message::Response { outcome: Outcome::Result(result), .. } => {
                Read::Reply(Self::Result(result.get().to_owned()))
            }
            Message::Response { outcome: Outcome::Error(error), .. } => {
                Read::Reply(Self::Error(error.get().to_owned()))
            }
            Message::Notification { method, .. } | Message::Request { method, .. } => Read::Other(method.into_owned()),
        })
    }

    /// The message for the client, under its own id.
    pub(super) fn to_line(&self, id: &Id) -> String {
        match self {
            Self::Result(result) => result_reply(id, result),
            Self::Error(error) => error_reply(Some(id), error),
        }
    }
}

/// What a status without a message means: an error for the client, or the reason why the gateway is not there yet.
pub(super) fn refusal(status: StatusCode, text: &str) -> Result<RpcError, String> {
    let beginning: String = text.chars().take(REFUSAL_LIMIT).collect();
    let said = if beginning.is_empty() { String::new() } else { format!(": {beginning}") };
    match status {
        StatusCode::NOT_FOUND => Err("there is no such endpoint, or no such server, at the gateway".to_owned()),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Err(format!("it answers {status}{said}"))
        }
        StatusCode::UNAUTHORIZED => Ok(RpcError::new(RpcError::DENIED, "the gateway wants a token that it knows")),
        status if status.is_success() => {
            Ok(RpcError::new(RpcError::INTERNAL, format!("the gateway gave no answer{said}")))
        }
        status => Ok(RpcError::new(RpcError::INTERNAL, format!("the gateway answers {status}{said}"))),
    }
}

/// The gateway is not there; `may_have_run`: it went away with the request.
pub(super) fn unavailable(why: &str, may_have_run: bool) -> RpcError {
    let message = if may_have_run {
        format!("the gateway went away before it answered, and what was asked may have been done: {why}")
    } else {
        format!("the gateway cannot be reached: {why}")
    };
    RpcError::new(RpcError::SERVER_UNAVAILABLE, message)
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::{Read, Reply, refusal};
    use crate::wire::id::Id;

    #[test]
    fn a_refusal_without_an_id_is_given_to_who_asked() {
        let text = r#"{"jsonrpc":"2.0","error":{ "code":-31003,"message":"m"}}"#;
        let Some(Read::Reply(reply)) = Reply::read(text) else { panic!("it is a reply") };
        assert_eq!(reply.to_line(&Id::number(7)), r#"{"jsonrpc":"2.0","id":7,"error":{ "code":-31003,"message":"m"}}"#);
        assert_eq!(Reply::read("not json"), None);
    }

    #[test]
    fn a_gateway_that_is_not_ready_is_told_from_one_that_refuses() {
        assert!(refusal(StatusCode::NOT_FOUND, "").is_err());
        assert!(refusal(StatusCode::SERVICE_UNAVAILABLE, "soon").unwrap_err().contains("soon"));
        assert!(refusal(StatusCode::UNAUTHORIZED, "").unwrap().message.contains("token"));
        assert!(refusal(StatusCode::IM_A_TEAPOT, "short").unwrap().message.contains("short"));
    }
}
