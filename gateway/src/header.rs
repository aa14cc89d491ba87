//! MCP's own headers, and their values as 2026-07-28 encodes them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderName;

/// The version of the protocol that is spoken.
pub static MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The session of a legacy client.
pub static MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// What a modern request asks.
pub static MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The tool, prompt or resource that a modern request is for.
pub static MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

const BEGIN: &str = "=?base64?";
const END: &str = "?=";

/// A value as it stands in a header: as it is where that is plain, else as `=?base64?…?=`.
pub fn encode(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && value.trim() == value
        && !(value.starts_with(BEGIN) && value.ends_with(END));
    if is_plain { value.to_owned() } else { format!("{BEGIN}{}{END}", STANDARD.encode(value)) }
}

/// What a header's value stands for; `None` when it is encoded badly.
pub fn decode(header: &str) -> Option<Cow<'_, str>> {
    let header = header.trim_matches([' ', '\t']);
    match header.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
        None => Some(header.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn values_come_back_as_they_were() {
        for value in ["plain", "", "café", " padded ", "=?base64?eA==?=", "line\nfeed", "=?base64?open"] {
            assert_eq!(decode(&encode(value)).as_deref(), Some(value));
        }
        assert_eq!(encode("café"), "=?base64?Y2Fmw6k=?=");
        assert_eq!(decode("  tools/call ").as_deref(), Some("tools/call"));
    }

    #[test]
    fn bad_encodings_are_refused() {
        for header in ["=?base64?Y2Fmw6k?=", "=?base64?####?=", "=?base64?/w==?="] {
            assert_eq!(decode(header), None, "{header}");
        }
    }
}
