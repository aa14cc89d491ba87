//! A request of the client: its line as it came, and what of it decides its way.

use crate::era::{Era, MODERN_VERSION};
use crate::wire::envelope::Message;
use crate::wire::id::Id;
use crate::wire::object::RawObject;

/// The key of `_meta` that only a modern request has.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// A request of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The whole message, as it came.
    pub(super) line: String,
    /// What the answer must carry.
    pub(super) id: Id,
    /// What is asked.
    pub(super) method: String,
    /// The era that it is in.
    pub(super) era: Era,
    /// The version that it names; empty in the legacy era, where the session has it.
    pub(super) version: String,
}

impl Asked {
    /// Reads a request; `None` when the line is something else.
    pub(super) fn read(line: String) -> Option<Self> {
        let Ok(Message::Request { id, method, params }) = Message::parse(&line) else { return None };
        let method = method.into_owned();
        let fields = RawObject::of(params);
        let meta = fields.get("_meta").and_then(RawObject::parse).unwrap_or_default();
        let version = meta.get_str(VERSION_KEY).map(std::borrow::Cow::into_owned);
        let version = version.or_else(|| (method == "server/discover").then(|| MODERN_VERSION.to_owned()));
        let era = if version.is_some() { Era::Modern } else { Era::Legacy };
        Some(Self { id, method, era, version: version.unwrap_or_default(), line })
    }

    /// Its params.
    pub(super) fn params(&self) -> RawObject<'_> {
        match Message::parse(&self.line) {
            Ok(Message::Request { params, .. }) => RawObject::of(params),
            Ok(_) | Err(_) => RawObject::default(),
        }
    }

    /// Whether it does no harm to be carried out twice: then it is sent again when its answer is lost.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(
            self.method.as_str(),
            "initialize"
                | "ping"
                | "server/discover"
                | "tools/list"
                | "prompts/list"
                | "prompts/get"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
                | "resources/subscribe"
                | "resources/unsubscribe"
                | "completion/complete"
                | "logging/setLevel"
                | "subscriptions/listen"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use crate::era::Era;

    #[test]
    fn a_request_is_of_the_era_that_it_says_itself() {
        let era = |line: &str| Asked::read(line.to_owned()).map(|asked| (asked.era, asked.version));
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01"}}}"#;
        assert_eq!(era(modern), Some((Era::Modern, "2099-01-01".to_owned())));
        let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
        assert_eq!(era(discover), Some((Era::Modern, "2026-07-28".to_owned())));
        let legacy = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
        assert_eq!(era(legacy), Some((Era::Legacy, String::new())));
        assert_eq!(era(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), None);
    }

    #[test]
    fn a_call_is_not_sent_twice() {
        let asked = |method: &str| Asked::read(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#)).unwrap();
        assert!(asked("tools/list").is_repeatable());
        assert!(!asked("tools/call").is_repeatable());
        assert!(!asked("vendor/thing").is_repeatable());
    }
}
