//! What is written down of one request.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One request, denials, lists and notifications included.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// When it came, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Who asked.
    pub principal: String,
    /// The session of a legacy client, as the first 16 digits of its id's hash: the id itself is a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// `legacy` or `modern`; absent where it could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<Cow<'static, str>>,
    /// `server` where a server asked and a client was to answer: then the server is who asked, and the principal who was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<Cow<'static, str>>,
    /// What was asked.
    pub method: String,
    /// The server that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The instance that answered: the first 12 digits of its container's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The tool's or prompt's own name, or the resource's URI; what was asked for where there is no such thing. Of a subscription the URIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The arguments' shape, or with `values` the arguments; of a subscription those of what it asks to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Box<RawValue>>,
    /// With `values` the beginning of the result, or of the error object, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// `ok`, `toolError`, `error`, `cancelled`, `denied` (it is there, and not for this principal), `refused` (by the gateway, for any other
    /// reason) or, of a question that a modern client was given with an answer, `asked`.
    pub outcome: Cow<'static, str>,
    /// The code of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// How large the answer was, in bytes.
    pub answer_bytes: u64,
}

/// How long most records are at most, in bytes.
const USUAL_BYTES: usize = 512;

impl AuditRecord {
    /// As it is written: JSON on one line.
    pub(super) fn to_text(&self) -> String {
        let mut text = Vec::with_capacity(USUAL_BYTES);
        // Nothing in it is none in JSON, and a vector takes all.
        drop(serde_json::to_writer(&mut text, self));
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The first characters of a text: a line must not grow with what somebody sends.
pub(crate) fn beginning_of(text: &str, count: usize) -> String {
    let end = if text.len() <= count { None } else { text.char_indices().nth(count).map(|(end, _)| end) };
    text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned()
}
