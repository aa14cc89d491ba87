//! The headers that 2026-07-28 wants beside a message: over standard input a client sends none.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use serde_json::value::RawValue;

use super::asked::Asked;
use super::remote::Headers;
use crate::header::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, encode};
use crate::header_param::{find, value_of};
use crate::wire::object::RawObject;

/// How many tools with headers of their own are remembered.
const TOOLS_LIMIT: usize = 10_000;

/// An argument's path, and the word of its header.
type ParamHeader = (Vec<String>, String);

/// The headers that arguments of tools ask for, as the lists that passed by said.
#[derive(Debug, Default)]
pub(super) struct ToolHeaders {
    by_tool: Mutex<BTreeMap<String, Vec<ParamHeader>>>,
}

impl ToolHeaders {
    /// Takes in a page of tools.
    pub(super) fn learn(&self, result: &str) {
        // Hardly any tool has one, which is found quicker than all are read.
        if !result.contains("x-mcp-header") {
            return;
        }
        let fields = RawObject::parse(result).unwrap_or_default();
        let tools: Vec<&RawValue> =
            fields.get("tools").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut by_tool = self.by_tool.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools {
            let tool = RawObject::parse(tool.get()).unwrap_or_default();
            let schema: Value =
                tool.get("inputSchema").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let (Some(name), Some(headers)) = (tool.get_str("name"), find(&schema)) else { continue };
            if by_tool.len() < TOOLS_LIMIT || by_tool.contains_key(&*name) {
                by_tool.insert(name.into_owned(), headers);
            }
        }
    }

    /// The headers of a modern request.
    pub(super) fn dress(&self, asked: &Asked) -> Headers {
        let params = asked.params();
        let mut headers = vec![
            (MCP_PROTOCOL_VERSION.to_string(), encode(&asked.version)),
            (MCP_METHOD.to_string(), encode(&asked.method)),
        ];
        let key = match asked.method.as_str() {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
            _ => return headers,
        };
        let Some(name) = params.get_str(key) else { return headers };
        headers.push((MCP_NAME.to_string(), encode(&name)));
        if asked.method == "tools/call" {
            let by_tool = self.by_tool.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = by_tool.get(&*name).map_or(&[][..], Vec::as_slice);
            let arguments: Value = match params.get("arguments") {
                Some(text) if !wanted.is_empty() => serde_json::from_str(text).unwrap_or_default(),
                Some(_) | None => Value::Null,
            };
            for (path, word) in wanted {
                if let Some(value) = value_of(&arguments, path) {
                    headers.push((format!("mcp-param-{}", word.to_ascii_lowercase()), encode(&value)));
                }
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::ToolHeaders;
    use crate::bridge::asked::Asked;

    fn call(method: &str, params: &str) -> Asked {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#);
        Asked::read(line).unwrap()
    }

    #[test]
    fn a_modern_request_says_beside_its_body_what_is_in_it() {
        let tools = ToolHeaders::default();
        let dress = |asked: &Asked| tools.dress(asked).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(dress(&call("tools/list", "")), ["2026-07-28", "tools/list"]);
        let named = dress(&call("tools/call", r#""name":"café","arguments":{"region":"eu"},"#));
        assert_eq!(named, ["2026-07-28", "tools/call", "=?base64?Y2Fmw6k=?="]);
        assert_eq!(dress(&call("resources/read", r#""uri":"test://a","#))[2], "test://a");
        tools.learn(r#"{"tools":[{"name":"café","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}"#);
        let headers = tools.dress(&call("tools/call", r#""name":"café","arguments":{"region":"eu"},"#));
        assert_eq!(headers[3], ("mcp-param-region".to_owned(), "eu".to_owned()));
        assert_eq!(dress(&call("tools/call", r#""name":"café","arguments":{},"#)).len(), 3);
    }
}
