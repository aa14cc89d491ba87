//! Eras of the protocol, and what a server of one era says to a client of the other.
//!
//! `rmcp` always speaks both: it answers `server/discover` and `initialize` whatever revisions a server supports. These are the
//! refusals that come before it, worded as the servers word them that know one era alone.

use clap::ValueEnum;
use rmcp::model::ProtocolVersion;
use serde_json::{Value, json};

/// Which revisions a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// 2025-11-25 and older: `initialize`, sessions, requests of the server's own.
    Legacy,
    /// 2026-07-28: `server/discover`, no sessions.
    Modern,
    /// Either, as the client begins.
    Both,
}

/// The JSON-RPC error that a request gets in place of an answer, and its HTTP status.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    /// The HTTP status; unused on stdio.
    pub(crate) status: u16,
    /// The whole response.
    pub(crate) response: Value,
}

impl Era {
    /// The revisions, oldest first.
    pub(crate) fn versions(self) -> &'static [ProtocolVersion] {
        let known = ProtocolVersion::KNOWN_VERSIONS;
        let modern = known.iter().position(|version| *version == ProtocolVersion::V_2026_07_28).unwrap_or(known.len());
        match self {
            Self::Legacy => &known[..modern],
            Self::Modern => &known[modern..],
            Self::Both => known,
        }
    }

    /// What a server that does not know the other era says to `message`; none when it is for this one.
    pub(crate) fn refuse(self, message: &Value) -> Option<Refusal> {
        let id = message.get("id").filter(|_| message.get("method").is_some())?;
        let method = message["method"].as_str()?;
        match (self, method) {
            (Self::Legacy, "server/discover" | "subscriptions/listen") => {
                Some(Refusal::new(200, id, -32601, "Method not found", None))
            }
            (Self::Modern, "initialize") => {
                // Without a version it is a method like any other that this era does not have.
                let requested = message.pointer("/params/protocolVersion")?;
                let supported: Vec<_> = self.versions().iter().map(ProtocolVersion::as_str).collect();
                let data = json!({ "supported": supported, "requested": requested });
                Some(Refusal::new(400, id, -32022, "Unsupported protocol version", Some(data)))
            }
            (Self::Legacy | Self::Modern | Self::Both, _) => None,
        }
    }

    /// What a server of the Legacy era says to a version header that it does not know, before it looks at the body's method.
    pub(crate) fn refuse_version(self, header: Option<&str>, message: &Value) -> Option<Refusal> {
        let version = header?;
        let versions: Vec<_> = self.versions().iter().map(ProtocolVersion::as_str).collect();
        if self != Self::Legacy || versions.contains(&version) {
            return None;
        }
        let text = format!(
            "Bad Request: Unsupported protocol version: {version} (supported versions: {})",
            versions.join(", ")
        );
        Some(Refusal::new(400, message.get("id").unwrap_or(&Value::Null), -32000, &text, None))
    }
}

impl Refusal {
    fn new(status: u16, id: &Value, code: i32, message: &str, data: Option<Value>) -> Self {
        let mut error = json!({ "code": code, "message": message });
        if let Some(data) = data {
            error["data"] = data;
        }
        Self { status, response: json!({ "jsonrpc": "2.0", "id": id, "error": error }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(refusal: Option<Refusal>) -> Option<i64> {
        refusal.and_then(|refusal| refusal.response["error"]["code"].as_i64())
    }

    #[test]
    fn a_legacy_server_has_no_discover() {
        let discover = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {} });
        assert_eq!(code(Era::Legacy.refuse(&discover)), Some(-32601));
        assert_eq!(code(Era::Both.refuse(&discover)), None);
    }

    #[test]
    fn a_legacy_server_knows_no_later_version() {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        assert_eq!(code(Era::Legacy.refuse_version(Some("2026-07-28"), &call)), Some(-32000));
        assert_eq!(code(Era::Legacy.refuse_version(Some("2025-11-25"), &call)), None);
        assert_eq!(code(Era::Legacy.refuse_version(None, &call)), None);
    }

    #[test]
    fn a_modern_server_names_its_version_to_who_initializes() {
        let initialize = json!({ "jsonrpc": "2.0", "id": "a", "method": "initialize", "params": { "protocolVersion": "2025-11-25" } });
        let refusal = Era::Modern.refuse(&initialize).expect("refused");
        assert_eq!(
            refusal.response["error"]["data"],
            json!({ "supported": ["2026-07-28"], "requested": "2025-11-25" })
        );
        assert_eq!(refusal.response["id"], "a");
    }

    #[test]
    fn notifications_are_never_refused() {
        assert_eq!(Era::Legacy.refuse(&json!({ "jsonrpc": "2.0", "method": "server/discover" })), None);
    }
}
