//! What is written down of one request.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::wire::object::Writer;

/// One request, denials, lists and notifications included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// When it came, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Who asked.
    pub principal: String,
    /// The session of a legacy client, as the first 16 digits of its id's hash: the id itself is a key.
    pub session: Option<String>,
    /// `legacy` or `modern`; absent where it could not be told.
    pub era: Option<Cow<'static, str>>,
    /// `server` where a server asked and a client was to answer: then the server is who asked, and the principal who was asked.
    pub asked_by: Option<Cow<'static, str>>,
    /// What was asked.
    pub method: String,
    /// The server that it was for.
    pub server: Option<String>,
    /// The instance that answered: the first 12 digits of its container's id.
    pub instance: Option<String>,
    /// The tool's or prompt's own name, or the resource's URI; what was asked for where there is no such thing. Of a subscription the URIs.
    pub name: Option<String>,
    /// The arguments' shape, or with `values` the arguments; of a subscription those of what it asks to be told. JSON text.
    #[serde(default, deserialize_with = "text_of")]
    pub arguments: Option<String>,
    /// With `values` the beginning of the result, or of the error object, as text.
    pub result: Option<String>,
    /// `ok`, `toolError`, `error`, `cancelled`, `denied` (it is there, and not for this principal), `refused` (by the gateway, for any other
    /// reason) or, of a question that a modern client was given with an answer, `asked`.
    pub outcome: Cow<'static, str>,
    /// The code of an error.
    pub code: Option<i64>,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// How large the answer was, in bytes.
    pub answer_bytes: u64,
}

fn text_of<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    let json = Option::<Box<RawValue>>::deserialize(json)?;
    Ok(json.map(|json| Box::<str>::from(json).into()))
}

/// How long most records are at most, in bytes.
const USUAL_BYTES: usize = 512;

impl AuditRecord {
    /// As it is written: JSON on one line.
    pub(super) fn to_text(&self) -> String {
        let mut line = Writer::with_capacity(USUAL_BYTES);
        line.own_number("timeMs", self.time_ms);
        line.own_text("principal", &self.principal);
        let mut say = |name, text: Option<&str>| text.into_iter().for_each(|text| line.own_text(name, text));
        say("session", self.session.as_deref());
        say("era", self.era.as_deref());
        say("askedBy", self.asked_by.as_deref());
        say("method", Some(&self.method));
        say("server", self.server.as_deref());
        say("instance", self.instance.as_deref());
        say("name", self.name.as_deref());
        if let Some(arguments) = &self.arguments {
            let is_json = || serde_json::from_str::<&RawValue>(arguments).is_ok() && !arguments.contains('\n');
            debug_assert!(is_json(), "whoever sets them writes JSON on one line");
            line.own_field("arguments", arguments);
        }
        if let Some(result) = &self.result {
            line.own_text("result", result);
        }
        line.own_text("outcome", &self.outcome);
        if let Some(code) = self.code {
            line.own_number("code", code);
        }
        line.own_number("micros", self.micros);
        line.own_number("answerBytes", self.answer_bytes);
        line.finish().unwrap_or_default()
    }
}

/// The first characters of a text: a line must not grow with what somebody sends.
pub(crate) fn beginning_of(text: &str, count: usize) -> String {
    let end = if text.len() <= count { None } else { text.char_indices().nth(count).map(|(end, _)| end) };
    text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::AuditRecord;

    #[test]
    fn what_is_written_is_read_again_and_every_field_of_it() {
        let text = |word: &str| Some(format!("{word} \"quoted\" \u{202e}\n"));
        let full = AuditRecord {
            time_ms: -7,
            principal: "ann".to_owned(),
            session: text("session"),
            era: Some("modern".into()),
            asked_by: Some("server".into()),
            method: "tools/call".to_owned(),
            server: text("server"),
            instance: text("instance"),
            name: text("name"),
            arguments: Some("{\"path\":\"string(12)\"}".to_owned()),
            result: text("result"),
            outcome: "ok".into(),
            code: Some(-32_000),
            micros: u64::MAX,
            answer_bytes: 3,
        };
        for record in [full, AuditRecord::default()] {
            assert_eq!(serde_json::from_str::<AuditRecord>(&record.to_text()).unwrap(), record);
        }
    }
}
