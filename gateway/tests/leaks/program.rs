//! The servers by streams: what each of them answers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gateway::hub::Attach;
use gateway::upstream::stdio::Attached;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::Notify;

use super::stage::tool;

/// Stands in an instance's id before its number.
pub(super) const NUMBER_SIGN: char = '#';

/// A process for each attach: of 2026-07-28 by the name of `new`, of 2025-11-25 by any other.
#[derive(Debug, Default)]
pub(super) struct Programs {
    /// Told of each call that hangs.
    pub(super) hung: Arc<Notify>,
    /// How often a definition has changed.
    changed: Arc<AtomicUsize>,
}

#[async_trait]
impl Attach for Programs {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let (input, its_input) = duplex(1 << 16);
        let (its_output, output) = duplex(1 << 16);
        let (hung, changed) = (Arc::clone(&self.hung), Arc::clone(&self.changed));
        let name = instance.split(NUMBER_SIGN).next().unwrap_or_default().to_owned();
        tokio::spawn(Program { name, hung, changed, output: its_output }.run(its_input));
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

/// One of them.
struct Program {
    /// The server's.
    name: String,
    hung: Arc<Notify>,
    changed: Arc<AtomicUsize>,
    output: DuplexStream,
}

impl Program {
    /// Until it is told to end, or has nobody to speak to.
    async fn run(mut self, input: DuplexStream) {
        let mut input = BufReader::new(input).lines();
        while let Ok(Some(line)) = input.next_line().await {
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["params"]["arguments"]["die"] == true {
                return;
            }
            for answer in self.answers(&message) {
                if self.output.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    fn answers(&self, message: &Value) -> Vec<Value> {
        let is_modern = self.name == "new";
        let answer = |result: Value| vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": result})];
        let capabilities = json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}});
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" if is_modern => {
                let versions = ["2026-07-28"];
                answer(json!({"resultType": "complete", "supportedVersions": versions, "capabilities": capabilities}))
            }
            "initialize" if !is_modern => {
                answer(json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}}))
            }
            "tools/list" => {
                let mut listed = tool("t");
                listed["description"] = format!("in its form {}", self.changed.load(Ordering::Relaxed)).into();
                answer(json!({"resultType": "complete", "tools": [listed, tool("denied")]}))
            }
            "resources/list" => answer(json!({"resultType": "complete", "resources": []})),
            "resources/templates/list" => {
                let all = [json!({"name": "r", "uriTemplate": format!("{}://{{number}}", self.name)})];
                answer(json!({"resultType": "complete", "resourceTemplates": all}))
            }
            "ping" | "resources/subscribe" | "resources/unsubscribe" => answer(json!({})),
            "subscriptions/listen" if is_modern => {
                let params = json!({
                    "notifications": message["params"]["notifications"],
                    "_meta": {"io.modelcontextprotocol/subscriptionId": message["id"]},
                });
                vec![note("notifications/subscriptions/acknowledged", &params)]
            }
            "tools/call" => self.called(message),
            method if method.starts_with("notifications/") => Vec::new(),
            _ => {
                let error = json!({"code": -32601, "message": "no such method"});
                vec![json!({"jsonrpc": "2.0", "id": message["id"], "error": error})]
            }
        }
    }

    /// Does what a call's arguments say: to hang, to ask, to tell of progress, or to change a definition.
    fn called(&self, message: &Value) -> Vec<Value> {
        let params = &message["params"];
        let says = |word: &str| params["arguments"][word] == true;
        let answer = |result: Value| json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        if says("hang") {
            self.hung.notify_one();
            return Vec::new();
        }
        if says("ask") && !params["inputResponses"].is_object() {
            let question = json!({"message": "who?", "requestedSchema": {"type": "object", "properties": {}}});
            let requests = json!({"who": {"method": "elicitation/create", "params": question}});
            let asking = json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"});
            return vec![answer(asking)];
        }
        let mut all = Vec::new();
        if says("tell") {
            let params = json!({"progressToken": params["_meta"]["progressToken"], "progress": 1});
            all.push(note("notifications/progress", &params));
        }
        if says("change") {
            self.changed.fetch_add(1, Ordering::Relaxed);
            all.push(note("notifications/tools/list_changed", &json!({})));
        }
        all.push(answer(json!({"resultType": "complete", "content": [{"type": "text", "text": "fine"}]})));
        all
    }
}

fn note(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}
