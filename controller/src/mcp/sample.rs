//! A small MCP server, of either era: what the demo's containers are, and what simulated containers answer as. Pure.

use serde_json::{Value, json};

/// The version of the modern era that it speaks.
const MODERN_VERSION: &str = "2026-07-28";
/// The version of the legacy era that it speaks, where a client asks for none that it knows.
const LEGACY_VERSION: &str = "2025-11-25";
/// What a request of the modern era says its version in.
const VERSION_META: &str = "io.modelcontextprotocol/protocolVersion";
/// JSON-RPC: the text is no JSON.
const NOT_JSON: i64 = -32700;
/// JSON-RPC: the JSON is no request.
const NOT_A_REQUEST: i64 = -32600;
/// JSON-RPC: there is no such method.
const NO_METHOD: i64 = -32601;
/// JSON-RPC: the arguments are wrong.
const WRONG_PARAMS: i64 = -32602;

/// Which eras of the protocol it answers in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleEra {
    /// 2025-11-25 and before.
    Legacy,
    /// 2026-07-28.
    Modern,
    /// As it is asked.
    Both,
}

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct SampleServer {
    /// In which eras it answers.
    pub(crate) era: SampleEra,
    /// Where it says that it runs.
    pub(crate) place: String,
}

/// An answer, and how HTTP says the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SampleAnswer {
    /// The message.
    pub(crate) text: String,
    /// The status of HTTP.
    pub(crate) status: u16,
}

/// Code and message of an error.
type Fault = (i64, String);

impl SampleServer {
    /// The answer to a message; `None` where it wants none.
    pub(crate) fn answer(&self, message: &str) -> Option<SampleAnswer> {
        let asked: Value = match serde_json::from_str(message) {
            Ok(asked) => asked,
            Err(error) => return Some(refusal(&Value::Null, 400, &(NOT_JSON, format!("it is no JSON: {error}")))),
        };
        let Some(method) = asked["method"].as_str() else {
            // What carries a result is an answer, and this server asks nobody anything.
            let is_answer = asked.get("result").is_some() || asked.get("error").is_some();
            let fault = (NOT_A_REQUEST, "it is no request".to_owned());
            return (!is_answer).then(|| refusal(&asked["id"], 400, &fault));
        };
        let id = asked.get("id")?;
        let is_modern = method == "server/discover" || asked["params"]["_meta"].get(VERSION_META).is_some();
        let found = match (is_modern, self.era) {
            (true, SampleEra::Legacy) | (false, SampleEra::Modern) => Err((NO_METHOD, no_method(method))),
            (true, SampleEra::Modern | SampleEra::Both) => self.result_of(method, &asked["params"]).map(dressed),
            (false, SampleEra::Legacy | SampleEra::Both) => self.result_of(method, &asked["params"]),
        };
        Some(match found {
            Ok(result) => {
                let text = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
                SampleAnswer { text, status: 200 }
            }
            // The modern era says over HTTP as well that there is no such method.
            Err(fault) if fault.0 == NO_METHOD && is_modern => refusal(id, 404, &fault),
            Err(fault) => refusal(id, 200, &fault),
        })
    }

    fn result_of(&self, method: &str, params: &Value) -> Result<Value, Fault> {
        let own = json!({ "name": "evenkeel-sample", "version": env!("CARGO_PKG_VERSION") });
        match method {
            "initialize" => {
                let asked = params["protocolVersion"].as_str().unwrap_or_default();
                let version =
                    if ["2025-06-18", "2025-03-26", "2024-11-05"].contains(&asked) { asked } else { LEGACY_VERSION };
                Ok(json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": own }))
            }
            "server/discover" => Ok(json!({ "supportedVersions": [MODERN_VERSION], "capabilities": { "tools": {} },
                "serverInfo": own })),
            "ping" => Ok(json!({})),
            "tools/list" => Ok(json!({ "tools": tools() })),
            "tools/call" => self.call(params["name"].as_str().unwrap_or_default(), &params["arguments"]),
            other => Err((NO_METHOD, no_method(other))),
        }
    }

    fn call(&self, tool: &str, arguments: &Value) -> Result<Value, Fault> {
        let text = match tool {
            "echo" => Ok(arguments["text"].as_str().unwrap_or_default().to_owned()),
            "add" => match (arguments["a"].as_f64(), arguments["b"].as_f64()) {
                (Some(a), Some(b)) => Ok((a + b).to_string()),
                _ => Err("`a` and `b` must be numbers".to_owned()),
            },
            "where" => Ok(self.place.clone()),
            other => return Err((WRONG_PARAMS, format!("there is no tool `{other}`"))),
        };
        let is_error = text.is_err();
        let text = text.unwrap_or_else(|fault| fault);
        Ok(json!({ "content": [{ "type": "text", "text": text }], "isError": is_error }))
    }
}

/// A result as the modern era wants it.
fn dressed(mut result: Value) -> Value {
    if let Some(fields) = result.as_object_mut() {
        fields.insert("resultType".to_owned(), "complete".into());
        if fields.contains_key("tools") || fields.contains_key("supportedVersions") {
            fields.insert("ttlMs".to_owned(), 60_000.into());
            fields.insert("cacheScope".to_owned(), "public".into());
        }
    }
    result
}

fn refusal(id: &Value, status: u16, (code, message): &Fault) -> SampleAnswer {
    let text = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }).to_string();
    SampleAnswer { text, status }
}

fn no_method(method: &str) -> String {
    format!("there is no method `{method}`")
}

fn tools() -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "number" });
    json!([
        { "name": "add", "description": "The sum of two numbers.", "annotations": { "readOnlyHint": true },
          "inputSchema": { "type": "object", "properties": { "a": number, "b": number }, "required": ["a", "b"] } },
        { "name": "echo", "description": "Says a text again.", "annotations": { "readOnlyHint": true },
          "inputSchema": { "type": "object", "properties": { "text": text }, "required": ["text"] } },
        { "name": "where", "description": "In which container this server runs.",
          "annotations": { "readOnlyHint": true }, "inputSchema": { "type": "object" } },
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{SampleEra, SampleServer};

    fn ask(era: SampleEra, message: &Value) -> Option<(u16, Value)> {
        let server = SampleServer { era, place: "here".to_owned() };
        let answer = server.answer(&message.to_string())?;
        Some((answer.status, serde_json::from_str(&answer.text).unwrap()))
    }

    #[test]
    fn it_answers_in_its_own_era_only() {
        let hello =
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18" } });
        let discover = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": {} } });
        for era in [SampleEra::Legacy, SampleEra::Both] {
            let (_, answer) = ask(era, &hello).unwrap();
            assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
        }
        assert_eq!(ask(SampleEra::Modern, &hello).unwrap().1["error"]["code"], -32601);
        for era in [SampleEra::Modern, SampleEra::Both] {
            let (status, answer) = ask(era, &discover).unwrap();
            assert_eq!((status, &answer["result"]["resultType"]), (200, &json!("complete")));
        }
        assert_eq!(ask(SampleEra::Legacy, &discover).unwrap().0, 404);
    }

    #[test]
    fn a_call_has_its_result_or_says_what_is_wrong() {
        let call = |name: &str, arguments: Value| {
            let params = json!({ "name": name, "arguments": arguments });
            let asked = json!({ "jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": params });
            ask(SampleEra::Legacy, &asked).unwrap().1
        };
        assert_eq!(call("echo", json!({ "text": "hi" }))["result"]["content"][0]["text"], "hi");
        assert_eq!(call("add", json!({ "a": 1, "b": 2.5 }))["result"]["content"][0]["text"], "3.5");
        assert_eq!(call("add", json!({}))["result"]["isError"], true);
        assert_eq!(call("where", Value::Null)["result"]["content"][0]["text"], "here");
        assert_eq!(call("none", Value::Null)["error"]["code"], -32602);
    }

    #[test]
    fn what_wants_no_answer_gets_none_and_what_is_no_message_is_refused() {
        let era = SampleEra::Both;
        assert_eq!(ask(era, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })), None);
        assert_eq!(ask(era, &json!({ "jsonrpc": "2.0", "id": 1, "result": {} })), None);
        assert_eq!(ask(era, &json!([])).unwrap().1["error"]["code"], -32600);
        let server = SampleServer { era, place: String::new() };
        assert!(server.answer("{").unwrap().text.contains("-32700"));
    }
}
