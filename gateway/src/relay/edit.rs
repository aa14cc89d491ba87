//! The edits of a relayed message. Everything that is not named here stays as it came.

use super::capability::relayable;
use crate::era::Era;
use crate::header::encode;
use crate::header_param::value_of;
use crate::relay::Caller;
use crate::wire::object::{RawObject, Writer, quote};
use crate::wire::params::Params;
use crate::wire::reply::RpcError;

/// The keys of `_meta` that belong to each hop, and are made anew.
const HOP_KEYS: &str = "io.modelcontextprotocol/";

/// How much room most `_meta` need.
const META_BYTES: usize = 512;
/// The version that a modern server is spoken to in, as JSON text.
const MODERN_VERSION_JSON: &str = "\"2026-07-28\"";

/// From which era to which.
#[derive(Debug, Clone, Copy)]
pub struct Direction {
    /// The server's.
    pub from: Era,
    /// The client's.
    pub to: Era,
}

/// What `_meta` of a request is made of.
#[derive(Debug)]
pub struct MetaOf<'caller> {
    /// The server's era.
    pub era: Era,
    /// Who asks.
    pub caller: &'caller Caller,
}

/// Puts the server's own name in the place of the one that the client knows.
pub fn set_name(method: &str, fields: &mut RawObject<'_>, original: &str) {
    match method {
        "tools/call" | "prompts/get" => fields.set_str("name", original),
        "completion/complete" => {
            let reference = fields.get("ref").unwrap_or("{}").to_owned();
            let Some(mut reference) = RawObject::parse(&reference) else { return };
            if reference.has("name") {
                reference.set_str("name", original);
                let json = reference.to_json();
                fields.set("ref", json);
            }
        }
        _ => {}
    }
}

/// Makes `_meta` for the server of the client's: what belongs to this hop is the gateway's, everything else stays.
pub fn set_meta(fields: &mut RawObject<'_>, theirs: &RawObject<'_>, of: &MetaOf<'_>) {
    let mut meta = Writer::with_capacity(META_BYTES);
    for (key, value) in theirs.iter().filter(|(key, _)| !key.starts_with(HOP_KEYS) && *key != "progressToken") {
        meta.field(key, value);
    }
    if of.era == Era::Modern {
        meta.own_field("io.modelcontextprotocol/protocolVersion", MODERN_VERSION_JSON);
        meta.own_field("io.modelcontextprotocol/clientInfo", &of.caller.client_info);
        meta.own_field("io.modelcontextprotocol/clientCapabilities", &relayable(&of.caller.capabilities));
        if let Some(level) = &of.caller.log_level {
            meta.own_field("io.modelcontextprotocol/logLevel", &quote(level));
        }
    }
    match meta.finish() {
        Some(json) => fields.set("_meta", json),
        None => fields.remove("_meta"),
    }
}

/// The headers that a tool's arguments ask for, encoded.
pub fn header_params(wanted: &[(Vec<String>, String)], arguments: Option<&str>) -> Vec<(String, String)> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let arguments: serde_json::Value = arguments.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let header = |(path, word): &(Vec<String>, String)| {
        value_of(&arguments, path).map(|value| (format!("mcp-param-{}", word.to_ascii_lowercase()), encode(&value)))
    };
    wanted.iter().filter_map(header).collect()
}

/// `_meta.progressToken` of params, as JSON text.
pub fn progress_token(params: &str) -> Option<String> {
    Params::read_text(params).meta.get("progressToken").map(str::to_owned)
}

/// Params with a token of ours in the place of `_meta.progressToken`, which was the other side's with somebody else.
pub fn set_progress_token(params: &str, token: u64) -> String {
    let Params { mut fields, mut meta, .. } = Params::read_text(params);
    meta.set("progressToken", token.to_string());
    let json = meta.to_json();
    fields.set("_meta", json);
    fields.to_json()
}

/// A result as the client's era has it.
pub fn result(method: &str, result: String, direction: Direction) -> String {
    match (direction.from, direction.to) {
        (Era::Legacy, Era::Legacy) => result,
        (from, Era::Modern) => {
            let mut missing = Vec::new();
            // A modern server may leave it out as well: that means the same, and some clients refuse it
            // (<https://modelcontextprotocol.io/specification/2026-07-28/schema#result-resulttype>).
            if !says_its_type(&result) {
                missing.push("\"resultType\":\"complete\"");
            }
            if from == Era::Legacy && method == "resources/read" {
                missing.push("\"ttlMs\":0,\"cacheScope\":\"private\"");
            }
            with_fields(result, &missing)
        }
        (Era::Modern, Era::Legacy) => {
            let Some(mut fields) = RawObject::parse(&result) else { return result };
            for field in ["resultType", "ttlMs", "cacheScope"] {
                fields.remove(field);
            }
            let meta = fields.get("_meta").map(str::to_owned);
            if let Some(mut meta) = meta.as_deref().and_then(RawObject::parse) {
                meta.retain(|key| !key.starts_with(HOP_KEYS));
                if meta.is_empty() {
                    fields.remove("_meta");
                } else {
                    let json = meta.to_json();
                    fields.set("_meta", json);
                }
            }
            fields.to_json()
        }
    }
}

/// Whether a result says of which type it is. Most say so first, and few have the word anywhere else: only what does is read whole.
fn says_its_type(result: &str) -> bool {
    result.starts_with("{\"resultType\":")
        || result.contains("resultType") && RawObject::parse(result).is_some_and(|fields| fields.has("resultType"))
}

/// An object with these fields before its own; anything else as it is.
fn with_fields(object: String, fields: &[&str]) -> String {
    let rest = object.trim_start().strip_prefix('{').filter(|_| !fields.is_empty());
    let Some(rest) = rest else { return object };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    format!("{{{}{comma}{rest}", fields.join(","))
}

/// An error object as the client's era has it: 2026-07-28 knows -32002 and -32042 no more.
pub fn error(error: String, to: Era) -> String {
    if to == Era::Legacy {
        return error;
    }
    let Some(mut fields) = RawObject::parse(&error) else {
        return RpcError::new(RpcError::INTERNAL, "the server's error is none").to_json();
    };
    match fields.get("code") {
        Some("-32002") => fields.set("code", RpcError::INVALID_PARAMS.to_string()),
        Some("-32042") => fields.set("code", RpcError::INTERNAL.to_string()),
        _ => return error,
    }
    fields.to_json()
}

#[cfg(test)]
mod tests {
    use super::{
        Direction, MODERN_VERSION_JSON, MetaOf, error, progress_token, result, set_meta, set_name, set_progress_token,
    };
    use crate::era::{Era, MODERN_VERSION};
    use crate::policy::Principal;
    use crate::relay::Caller;
    use crate::wire::object::{RawObject, quote};
    use crate::wire::params::Params;

    const OLD_TO_NEW: Direction = Direction { from: Era::Legacy, to: Era::Modern };
    const NEW_TO_NEW: Direction = Direction { from: Era::Modern, to: Era::Modern };
    const NEW_TO_OLD: Direction = Direction { from: Era::Modern, to: Era::Legacy };

    fn caller(level: Option<&str>) -> Caller {
        Caller {
            principal: Principal::anonymous(),
            era: Era::Modern,
            session: None,
            capabilities: "{\"sampling\":{}}".into(),
            client_info: "{\"name\":\"c\",\"version\":\"1\"}".into(),
            log_level: level.map(|level| level.to_owned().into()),
        }
    }

    #[test]
    fn the_version_is_the_one_that_is_spoken() {
        assert_eq!(MODERN_VERSION_JSON, quote(MODERN_VERSION));
    }

    #[test]
    fn results_cross_the_eras() {
        assert_eq!(
            result("tools/call", r#"{"content":[],"x":1}"#.into(), OLD_TO_NEW),
            r#"{"resultType":"complete","content":[],"x":1}"#
        );
        assert_eq!(result("ping", "{ }".into(), OLD_TO_NEW), r#"{"resultType":"complete" }"#);
        assert!(result("resources/read", r#"{"contents":[]}"#.into(), OLD_TO_NEW).contains("\"ttlMs\":0"));
        assert_eq!(
            result(
                "tools/call",
                r#"{"resultType":"complete","content":[],"_meta":{"io.modelcontextprotocol/serverInfo":{},"mine":1},"ttlMs":5}"#.into(),
                NEW_TO_OLD
            ),
            r#"{"content":[],"_meta":{"mine":1}}"#
        );
    }

    #[test]
    fn a_modern_result_that_does_not_say_so_is_complete_and_any_other_stays_as_it_is() {
        let nested = r#"{"structuredContent":{"resultType":"table"}}"#;
        assert_eq!(
            result("tools/call", nested.into(), NEW_TO_NEW),
            r#"{"resultType":"complete","structuredContent":{"resultType":"table"}}"#
        );
        assert_eq!(result("tools/call", "{}".into(), NEW_TO_NEW), r#"{"resultType":"complete"}"#);
        // A server of both eras may say it in either, and nothing is said twice.
        let both = r#"{"resultType":"complete","contents":[]}"#;
        assert_eq!(
            result("resources/read", both.into(), OLD_TO_NEW),
            r#"{"ttlMs":0,"cacheScope":"private","resultType":"complete","contents":[]}"#
        );
        for text in [
            r#"{"resultType":"input_required","inputRequests":{}}"#,
            r#"{"content":[], "resultType" : "complete"}"#,
            r#"{"content":["resultType"],"resultType":"task"}"#,
            "[]",
        ] {
            assert_eq!(result("tools/call", text.into(), NEW_TO_NEW), text);
        }
    }

    #[test]
    fn errors_that_the_new_era_has_not_are_others_there() {
        let old = r#"{"code":-32002,"message":"m","data":{"uri":"a"}}"#;
        assert_eq!(error(old.into(), Era::Modern), r#"{"code":-32602,"message":"m","data":{"uri":"a"}}"#);
        assert_eq!(error(old.into(), Era::Legacy), old);
    }

    #[test]
    fn what_belongs_to_a_hop_is_made_anew_and_the_rest_is_kept() {
        let text = r#"{"name":"a","_meta":{"io.modelcontextprotocol/clientInfo":{"name":"forged","version":"1"},"progressToken":7,"traceparent":"00-1"}}"#;
        let caller = caller(Some("debug"));
        let theirs = Params::read_text(text);
        let mut fields = theirs.fields.clone();
        set_meta(&mut fields, &theirs.meta, &MetaOf { era: Era::Modern, caller: &caller });
        let meta = fields.get("_meta").unwrap();
        assert!(
            meta.contains("\"traceparent\":\"00-1\"") && meta.contains("\"name\":\"c\"") && !meta.contains("forged")
        );
        assert!(meta.contains("logLevel\":\"debug\"") && !meta.contains("progressToken"));
        let mut fields = theirs.fields.clone();
        set_meta(&mut fields, &theirs.meta, &MetaOf { era: Era::Legacy, caller: &caller });
        assert_eq!(fields.get("_meta"), Some(r#"{"traceparent":"00-1"}"#));
    }

    #[test]
    fn the_servers_own_name_stands_where_the_method_has_it() {
        let mut fields = RawObject::parse(r#"{"ref":{"type":"ref/prompt","name":"git__p"},"argument":{}}"#).unwrap();
        set_name("completion/complete", &mut fields, "p");
        assert_eq!(fields.to_json(), r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{}}"#);
        let params = r#"{"a":1,"_meta":{"progressToken":"t","x":[]}}"#;
        assert_eq!(progress_token(params).as_deref(), Some("\"t\""));
        assert_eq!(set_progress_token(params, 7), r#"{"a":1,"_meta":{"progressToken":7,"x":[]}}"#);
        assert_eq!(progress_token(r#"{"a":1}"#), None);
    }
}
