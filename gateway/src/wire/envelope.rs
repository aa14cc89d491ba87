//! A JSON-RPC message, read no further than its envelope.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::id::Id;

/// How much is said of what is wrong with a text, in characters.
const FAULT_LIMIT: usize = 200;

/// What a message is.
#[derive(Debug, Clone)]
pub enum Message<'text> {
    /// It wants an answer.
    Request {
        /// What the answer must carry.
        id: Id,
        /// What is asked.
        method: Cow<'text, str>,
        /// The arguments, an object where there are any.
        params: Option<&'text RawValue>,
    },
    /// It wants none.
    Notification {
        /// What is told.
        method: Cow<'text, str>,
        /// The details.
        params: Option<&'text RawValue>,
    },
    /// It is the answer to a request.
    Response {
        /// Whose answer; absent where the other side could not tell.
        id: Option<Id>,
        /// How it went.
        outcome: Outcome<'text>,
    },
}

/// How a request went.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'text> {
    /// Its result.
    Result(&'text RawValue),
    /// Its error object.
    Error(&'text RawValue),
}

/// Why a text is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is not JSON: -32700.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is JSON, and no JSON-RPC message: -32600.
    #[error("it is no JSON-RPC 2.0 message: {0}")]
    NotAMessage(String),
}

#[derive(Deserialize)]
struct Envelope<'text> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'text, str>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    id: Option<&'text RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'text, str>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    params: Option<&'text RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    result: Option<&'text RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    error: Option<&'text RawValue>,
}

/// What is written, `null` included: absent is not the same.
fn raw<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'text> Message<'text> {
    /// Reads an envelope. Fields that JSON-RPC does not know are passed over.
    ///
    /// # Errors
    /// When the text is not JSON, or no message.
    pub fn parse(text: &'text str) -> Result<Self, EnvelopeError> {
        let envelope: Envelope<'text> = serde_json::from_str(text).map_err(|error| {
            let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
            let message = describe(&error);
            if is_json { EnvelopeError::NotAMessage(message) } else { EnvelopeError::NotJson(message) }
        })?;
        if envelope.jsonrpc.as_deref() != Some("2.0") {
            return Err(not_a_message("`jsonrpc` is not \"2.0\""));
        }
        let params = match envelope.params {
            Some(params) if !params.get().starts_with('{') => {
                return Err(not_a_message("`params` is not an object"));
            }
            params => params,
        };
        match (envelope.method, envelope.id, envelope.result, envelope.error) {
            (Some(method), Some(id), None, None) => {
                let id = Id::parse(id).ok_or_else(|| not_a_message("`id` is neither a string nor an integer"))?;
                Ok(Self::Request { id, method, params })
            }
            (Some(method), None, None, None) => Ok(Self::Notification { method, params }),
            (None, id, Some(result), None) => {
                Ok(Self::Response { id: id.and_then(Id::parse), outcome: Outcome::Result(result) })
            }
            (None, id, None, Some(error)) => {
                Ok(Self::Response { id: id.and_then(Id::parse), outcome: Outcome::Error(error) })
            }
            _ => Err(not_a_message("it is neither a request, a notification nor a response")),
        }
    }
}

/// What a reader says is wrong, without all of the value that it says it about.
fn describe(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    match whole.char_indices().nth(FAULT_LIMIT) {
        None => whole,
        Some((end, _)) => format!("{}… at line {} column {}", &whole[..end], error.line(), error.column()),
    }
}

fn not_a_message(text: &str) -> EnvelopeError {
    EnvelopeError::NotAMessage(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{EnvelopeError, Message, Outcome};

    #[test]
    fn each_sort_of_message_is_told_apart() {
        let request = Message::parse(r#"{"jsonrpc":"2.0","id":"a","method":"tools\/call","params":{ "x" : 1 }}"#);
        let Ok(Message::Request { id, method, params }) = request else { panic!("{request:?}") };
        assert_eq!((id.as_json(), &*method, params.unwrap().get()), ("\"a\"", "tools/call", "{ \"x\" : 1 }"));
        assert!(matches!(
            Message::parse(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
            Ok(Message::Notification { params: None, .. })
        ));
        assert!(matches!(
            Message::parse(r#"{"jsonrpc":"2.0","id":3,"result":{},"extra":1}"#),
            Ok(Message::Response { id: Some(_), outcome: Outcome::Result(_) })
        ));
        assert!(matches!(
            Message::parse(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#),
            Ok(Message::Response { id: None, outcome: Outcome::Error(_) })
        ));
    }

    #[test]
    fn what_is_no_message_is_refused_with_what_is_wrong_with_it() {
        assert!(matches!(Message::parse("{"), Err(EnvelopeError::NotJson(_))));
        for text in [
            "[]",
            "1",
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
        ] {
            assert!(matches!(Message::parse(text), Err(EnvelopeError::NotAMessage(_))), "{text}");
        }
    }
}
