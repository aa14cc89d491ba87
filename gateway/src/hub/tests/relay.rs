//! Requests on their way through the hub and back.

use std::sync::Arc;

use serde_json::{Value, json};

use super::stage::{Stage, nothing_more, server};
use crate::config::{Endpoint, Instance, ServerConfig};
use crate::connection::own_meta;

#[tokio::test]
async fn tools_of_all_servers_are_listed_and_called_by_clients_and_servers_of_either_era() {
    let stage = Stage::begin(None).await;
    stage.servers.run("new-1", server(true, &["echo"], nothing_more));
    stage.servers.run("old-1", server(false, &["echo"], nothing_more));
    stage.want(&[("new", &["new-1"], &[]), ("old", &["old-1"], &[])]);
    stage.until_listed(&["new__echo", "old__echo"]).await;
    let client = stage.legacy(json!({})).await;
    for name in ["new__echo", "old__echo"] {
        let arguments = json!({"n": 1, "deep": {"a": [true, null]}});
        let modern = stage.modern("tools/call", json!({"name": name, "arguments": arguments})).await.unwrap();
        assert_eq!(modern["content"][0]["text"], arguments.to_string(), "{name}");
        assert_eq!((&modern["resultType"], &modern["vendor"]["kept"]), (&json!("complete"), &json!(true)));
        let legacy = client.call_tool(name, arguments.clone()).await.unwrap();
        assert_eq!(legacy["content"][0]["text"], arguments.to_string(), "{name}");
        assert!(legacy.get("resultType").is_none() && legacy["vendor"]["kept"] == true, "{legacy}");
    }
}

#[tokio::test]
async fn what_the_gateway_does_not_know_of_a_tool_is_listed_all_the_same() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-1", server(false, &["echo"], nothing_more));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo"]).await;
    let list = stage.modern("tools/list", json!({})).await.unwrap();
    assert_eq!(list["tools"][0]["x-vendor"], json!({"kept": [1, 2.50]}));
    assert_eq!(list["cacheScope"], "private");
}

#[tokio::test]
async fn a_modern_result_without_its_type_is_a_complete_one_for_clients_of_either_era() {
    let stage = Stage::begin(None).await;
    let plain = |message: &Value, out: &super::stage::Out| out.answer(message, &json!({"content": []}));
    stage.servers.run("a-1", server(true, &["plain"], plain));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__plain"]).await;
    let modern = stage.modern("tools/call", json!({"name": "a__plain", "arguments": {}})).await;
    assert_eq!(modern, Ok(json!({"resultType": "complete", "content": []})));
    let client = stage.legacy(json!({})).await;
    assert_eq!(client.call_tool("a__plain", json!({})).await, Ok(json!({"content": []})));
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_and_reaches_no_server() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-1", server(true, &["echo"], |message, _| panic!("asked {message}")));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo"]).await;
    for name in ["echo", "a__other", "b__echo", ""] {
        let error = stage.modern("tools/call", json!({"name": name, "arguments": {}})).await.unwrap_err();
        assert_eq!(error["code"], -32602, "{name}");
    }
}

#[tokio::test]
async fn what_a_modern_server_asks_for_is_asked_of_a_legacy_client_in_its_session() {
    let stage = Stage::begin(None).await;
    let ask = |message: &Value, out: &super::stage::Out| {
        let params = &message["params"];
        let round = params["requestState"].as_str().unwrap_or_default().len();
        let answered = params["inputResponses"]["who"]["content"]["name"].as_str().unwrap_or_default();
        if round < 2 {
            let elicit = json!({"method": "elicitation/create", "params": {"message": format!("round {round}")}});
            let result = json!({"resultType": "input_required", "inputRequests": {"who": elicit}, "requestState": "x".repeat(round + 1)});
            out.answer(message, &result);
        } else {
            let text = format!("{answered} after {round}");
            out.answer(message, &json!({"resultType": "complete", "content": [{"type": "text", "text": text}]}));
        }
    };
    stage.servers.run("a-1", server(true, &["ask"], ask));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__ask"]).await;
    let client = stage.legacy(json!({"elicitation": {}})).await;
    let reply = |method: &str, params: &Value| {
        assert_eq!(method, "elicitation/create");
        json!({"action": "accept", "content": {"name": params["message"].as_str().unwrap().to_uppercase()}})
    };
    let result = client.call("tools/call", json!({"name": "a__ask", "arguments": {}}), reply).await.unwrap();
    assert_eq!(result["content"][0]["text"], "ROUND 1 after 2");
    // A client that cannot be asked is told so, and not left waiting.
    let mute = stage.legacy(json!({})).await;
    let error = mute.call_tool("a__ask", json!({})).await.unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("elicitation/create"), "{error}");
    // A modern client is asked by the server itself.
    let result = stage.modern("tools/call", json!({"name": "a__ask", "arguments": {}})).await.unwrap();
    assert_eq!((&result["resultType"], &result["requestState"]), (&json!("input_required"), &json!("x")));
}

#[tokio::test]
async fn a_legacy_server_that_several_share_can_ask_nobody_and_is_told_at_once() {
    let stage = Stage::begin(None).await;
    let asked: Arc<std::sync::Mutex<Vec<Value>>> = Arc::default();
    let heard = Arc::clone(&asked);
    let base = server(false, &["sample"], move |message, out| {
        if message["method"] == "tools/call" {
            out.say(&json!({"jsonrpc": "2.0", "id": "theirs", "method": "sampling/createMessage", "params": {}}));
            out.answer(message, &json!({"content": []}));
        }
    });
    stage.servers.run(
        "a-1",
        Arc::new(move |message, out| {
            if message["id"] == "theirs" {
                heard.lock().unwrap().push(message.clone());
            } else {
                base(message, out);
            }
        }),
    );
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__sample"]).await;
    let client = stage.legacy(json!({"sampling": {}})).await;
    client.call_tool("a__sample", json!({})).await.unwrap();
    for _ in 0..100 {
        if !asked.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(asked.lock().unwrap()[0]["error"]["code"], -32601);
}

#[tokio::test]
async fn a_result_larger_than_allowed_is_an_error_and_not_a_result() {
    let stage = Stage::begin(None).await;
    let big = |message: &Value, out: &super::stage::Out| {
        out.answer(
            message,
            &json!({"resultType": "complete", "content": [{"type": "text", "text": "x".repeat(2 << 20)}]}),
        );
    };
    stage.servers.run("a-1", server(true, &["big", "echo"], big));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__big", "a__echo"]).await;
    let error = stage.modern("tools/call", json!({"name": "a__big", "arguments": {}})).await.unwrap_err();
    assert_eq!(error["code"], -31005, "{error}");
    let result = stage.modern("tools/call", json!({"name": "a__echo", "arguments": {}})).await;
    assert!(result.is_ok(), "the server goes on: {result:?}");
}

#[tokio::test]
async fn a_modern_server_is_told_of_no_tasks_since_nobody_could_ask_for_them() {
    let stage = Stage::begin(None).await;
    let tell = |message: &Value, out: &super::stage::Out| {
        let told = &message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let content = json!([{"type": "text", "text": told.to_string()}]);
        out.answer(message, &json!({"resultType": "complete", "content": content}));
    };
    stage.servers.run("a-1", server(true, &["tell"], tell));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__tell"]).await;
    let all = json!({"roots": {}, "tasks": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let client = stage.legacy(all).await;
    let told = client.call_tool("a__tell", json!({})).await.unwrap();
    assert_eq!(told["content"][0]["text"], r#"{"roots":{}}"#);
}

#[tokio::test]
async fn the_limit_of_a_request_is_about_its_whole_message() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-1", server(true, &["echo"], nothing_more));
    let params = json!({"name": "a__echo", "arguments": {"text": "x".repeat(500)}});
    let mut whole = params.clone();
    whole["_meta"] = serde_json::from_str(&own_meta()).unwrap();
    let bytes = whole.to_string().len();
    for (beside, is_taken) in [(5, false), (200, true)] {
        let mut config = ServerConfig::of("a", vec![Instance::of("a-1", Endpoint::Stdio)]);
        config.calls.request_bytes = bytes + beside;
        stage.hub.set_servers(vec![config]);
        stage.until_listed(&["a__echo"]).await;
        let told = stage.modern("tools/call", params.clone()).await;
        assert_eq!(told.is_ok(), is_taken, "{told:?}");
        assert!(is_taken || told.unwrap_err()["code"] == -31005);
    }
}
