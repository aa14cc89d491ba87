//! A JSON-RPC message, read no further than its envelope, or of a client's than the fields of its params.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::id::Id;
use super::object::RawObject;

/// How much is said of what is wrong with a text, in characters.
const FAULT_LIMIT: usize = 200;

/// What a message is. `P`: how its params are read.
#[derive(Debug, Clone)]
pub enum Message<'text, P = &'text RawValue> {
    /// It wants an answer.
    Request {
        /// What the answer must carry.
        id: Id,
        /// What is asked.
        method: Cow<'text, str>,
        /// The arguments, an object where there are any.
        params: Option<P>,
    },
    /// It wants none.
    Notification {
        /// What is told.
        method: Cow<'text, str>,
        /// The details.
        params: Option<P>,
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

/// A message of a client, whose params are read in the same go: each reading passes over all that it does not take apart.
pub type ClientMessage<'text> = Message<'text, RawObject<'text>>;

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'text, P: Deserialize<'de>"))]
struct Envelope<'text, P> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'text, str>>,
    #[serde(borrow, default, deserialize_with = "written")]
    id: Option<&'text RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'text, str>>,
    #[serde(default, deserialize_with = "written")]
    params: Option<P>,
    #[serde(borrow, default, deserialize_with = "written")]
    result: Option<&'text RawValue>,
    #[serde(borrow, default, deserialize_with = "written")]
    error: Option<&'text RawValue>,
}

/// What is written, `null` included: absent is not the same.
fn written<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'text> Message<'text> {
    /// Reads an envelope. Fields that JSON-RPC does not know are passed over.
    ///
    /// # Errors
    /// When the text is not JSON, or no message.
    pub fn parse(text: &'text str) -> Result<Self, EnvelopeError> {
        read(text, |params: &&RawValue| params.get().starts_with('{'))
    }
}

impl<'text> ClientMessage<'text> {
    /// Reads an envelope and the fields of its params.
    ///
    /// # Errors
    /// Those of [`Message::parse`], and when a name of the params is no text, as half of a character is none.
    pub fn parse_with_params(text: &'text str) -> Result<Self, EnvelopeError> {
        // Said as it is where only the envelope is read.
        read(text, |_| true).map_err(|error| Message::parse(text).err().unwrap_or(error))
    }

    /// Its params, which it has no more then.
    pub fn take_params(&mut self) -> Option<RawObject<'text>> {
        match self {
            Self::Request { params, .. } | Self::Notification { params, .. } => params.take(),
            Self::Response { .. } => None,
        }
    }
}

fn read<'text, P: Deserialize<'text>>(
    text: &'text str,
    is_object: impl Fn(&P) -> bool,
) -> Result<Message<'text, P>, EnvelopeError> {
    let envelope: Envelope<'text, P> = serde_json::from_str(text).map_err(|error| {
        let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
        let message = describe(&error);
        if is_json { EnvelopeError::NotAMessage(message) } else { EnvelopeError::NotJson(message) }
    })?;
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return Err(not_a_message("`jsonrpc` is not \"2.0\""));
    }
    let params = envelope.params;
    if params.as_ref().is_some_and(|params| !is_object(params)) {
        return Err(not_a_message("`params` is not an object"));
    }
    match (envelope.method, envelope.id, envelope.result, envelope.error) {
        (Some(method), Some(id), None, None) => {
            let id = Id::parse(id).ok_or_else(|| not_a_message("`id` is neither a string nor an integer"))?;
            Ok(Message::Request { id, method, params })
        }
        (Some(method), None, None, None) => Ok(Message::Notification { method, params }),
        (None, id, Some(result), None) => {
            Ok(Message::Response { id: id.and_then(Id::parse), outcome: Outcome::Result(result) })
        }
        (None, id, None, Some(error)) => {
            Ok(Message::Response { id: id.and_then(Id::parse), outcome: Outcome::Error(error) })
        }
        _ => Err(not_a_message("it is neither a request, a notification nor a response")),
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
    use super::{ClientMessage, EnvelopeError, Message, Outcome};

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
    fn the_params_of_a_client_are_read_with_their_envelope() {
        let text = r#"{"params":{"name":"a","arguments":{"x":[{}]},"name":"b"},"jsonrpc":"2.0","id":1,"method":"m"}"#;
        let mut message = ClientMessage::parse_with_params(text).unwrap();
        let params = message.take_params().unwrap();
        assert_eq!(params.to_json(), r#"{"name":"a","arguments":{"x":[{}]},"name":"b"}"#);
        assert!(message.take_params().is_none());
        let none = ClientMessage::parse_with_params(r#"{"jsonrpc":"2.0","method":"m"}"#).unwrap().take_params();
        assert!(none.is_none());
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
            r#"{"jsonrpc":"2.0","id":1,"result":{},"params":null}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"m","params":[1]}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
        ] {
            assert!(matches!(Message::parse(text), Err(EnvelopeError::NotAMessage(_))), "{text}");
            assert_eq!(ClientMessage::parse_with_params(text).err(), Message::parse(text).err());
        }
        let half_a_character = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"\ud800":1}}"#;
        let told = ClientMessage::parse_with_params(half_a_character);
        assert!(matches!(told, Err(EnvelopeError::NotAMessage(_))), "{told:?}");
    }
}
