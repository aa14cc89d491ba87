//! What is said in answer: results and errors as JSON-RPC text.

use super::id::Id;
use super::object::{push_quoted, quote};

/// An error of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// The number that JSON-RPC or MCP gave it.
    pub code: i64,
    /// One sentence for people.
    pub message: String,
    /// More, as JSON text.
    pub data: Option<String>,
}

impl RpcError {
    /// The text is not JSON.
    pub const PARSE: i64 = -32700;
    /// The message is not a valid one.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The arguments do not fit the method.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something went wrong behind the method.
    pub const INTERNAL: i64 = -32603;
    /// Headers and body disagree (2026-07-28).
    pub const HEADER_MISMATCH: i64 = -32020;
    /// The version of the protocol is not spoken here (2026-07-28).
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// No such resource (2025-11-25 and before).
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// Ours: the server behind is not there, or ended while it was asked.
    pub const SERVER_UNAVAILABLE: i64 = -31001;
    /// Ours: the server behind did not answer in time.
    pub const TIMED_OUT: i64 = -31002;
    /// Ours: a rule of the gateway denies it.
    pub const DENIED: i64 = -31003;
    /// Ours: too much at once.
    pub const OVERLOADED: i64 = -31004;
    /// Ours: an argument or a result is larger than allowed.
    pub const TOO_LARGE: i64 = -31005;

    /// An error without more to it.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// With more to it, as JSON text.
    #[must_use]
    pub fn with_data(mut self, json: impl Into<String>) -> Self {
        self.data = Some(json.into());
        self
    }

    /// The error object as JSON text.
    pub fn to_json(&self) -> String {
        let mut json = format!("{{\"code\":{},\"message\":{}", self.code, quote(&self.message));
        if let Some(data) = &self.data {
            json.push_str(",\"data\":");
            json.push_str(data);
        }
        json.push('}');
        json
    }
}

/// The answer to a request that went well.
pub fn result_reply(id: &Id, result: &str) -> String {
    let mut json = String::with_capacity(result.len() + id.as_json().len() + 40);
    json.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    json.push_str(id.as_json());
    json.push_str(",\"result\":");
    json.push_str(result);
    json.push('}');
    json
}

/// The answer to a request that did not; without an id where there was none to read.
pub fn error_reply(id: Option<&Id>, error: &str) -> String {
    let id = id.map_or("null", Id::as_json);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
}

/// A request of ours.
pub fn request(id: &Id, method: &str, params: Option<&str>) -> String {
    let method = quote(method);
    let id = id.as_json();
    match params {
        Some(params) => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method},\"params\":{params}}}"),
        None => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method}}}"),
    }
}

/// A numbered request of ours with these params, as JSON text.
pub fn request_with(number: u64, method: &str, params: &str) -> String {
    let mut json = String::with_capacity(params.len() + method.len() + 80);
    json.push_str("{\"jsonrpc\":\"2.0\",\"id\":");
    json.push_str(itoa::Buffer::new().format(number));
    json.push_str(",\"method\":");
    push_quoted(&mut json, method);
    json.push_str(",\"params\":");
    json.push_str(params);
    json.push('}');
    json
}

/// A notification of ours.
pub fn notification(method: &str, params: Option<&str>) -> String {
    let method = quote(method);
    match params {
        Some(params) => format!("{{\"jsonrpc\":\"2.0\",\"method\":{method},\"params\":{params}}}"),
        None => format!("{{\"jsonrpc\":\"2.0\",\"method\":{method}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{RpcError, error_reply, notification, request, request_with, result_reply};
    use crate::wire::id::Id;

    #[test]
    fn replies_are_valid_json_with_the_id_that_was_asked_with() {
        let id = Id::number(7);
        let error = RpcError::new(RpcError::DENIED, "not \"you\"").with_data("{\"a\":1}").to_json();
        for text in [
            result_reply(&id, "{}"),
            error_reply(Some(&id), &error),
            error_reply(None, &error),
            request(&id, "a/b", Some("{}")),
            request(&id, "a/b", None),
            request_with(7, "a/b", "{}"),
            notification("n", Some("{}")),
        ] {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["jsonrpc"], "2.0", "{text}");
        }
        assert_eq!(result_reply(&id, "{\"x\":1}"), r#"{"jsonrpc":"2.0","id":7,"result":{"x":1}}"#);
    }
}
