//! The bridge between a client on standard streams and a gateway, in both eras, whatever happens to the gateway.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

mod scene;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use scene::{Client, EndingEarly, Gateway, GivingUp, Script, eventually, free_address, modern};
use serde_json::{Value, json};

fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "name": format!("s__{tool}"), "arguments": arguments })
}

fn text_of(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_legacy_client_has_its_session_tools_and_progress() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    let begun = client.initialize().await;
    assert_eq!(begun["result"]["protocolVersion"], "2025-06-18", "{begun}");
    let list = client.ask(json!(2), "tools/list", json!({})).await;
    assert_eq!(list["result"]["tools"][0]["name"], "s__echo");
    assert_eq!(list["result"]["tools"][0]["vendorField"], 1);
    let answer = client.ask(json!("an \"id\" é"), "tools/call", call("echo", &json!({ "a": [1, null] }))).await;
    assert_eq!(text_of(&answer), r#"{"a":[1,null]}"#);
    let mut slow = call("slow", &json!({}));
    slow["_meta"] = json!({ "progressToken": "mine" });
    client.send(json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": slow })).await;
    let (answer, before) = client.answer_of(&json!(3)).await;
    assert_eq!(text_of(&answer), "{}");
    assert_eq!(before.len(), 1);
    assert_eq!(before[0]["params"], json!({ "progressToken": "mine", "progress": 1, "total": 2 }));
    assert_eq!(client.ask(json!(4), "ping", json!({})).await["result"], json!({}));
    assert_eq!(client.ask(json!(5), "no/such", json!({})).await["error"]["code"], -32601);
    assert_eq!(gateway.hub.sessions.len(), 1);
    assert_eq!(client.close().await, Vec::<String>::new());
    assert_eq!(gateway.hub.sessions.len(), 0, "the session is ended");
}

#[tokio::test]
async fn a_modern_client_has_its_tools_and_progress_without_a_session() {
    let script = Arc::new(Script { is_modern: true, ..Script::default() });
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    let discovered = client.ask(json!(1), "server/discover", modern(json!({}))).await;
    assert_eq!(discovered["result"]["supportedVersions"], json!([scene::MODERN]), "{discovered}");
    let list = client.ask(json!(2), "tools/list", modern(json!({}))).await;
    assert_eq!(list["result"]["tools"][0]["name"], "s__echo");
    let mut slow = modern(call("slow", &json!({ "city": "Łódź" })));
    slow["_meta"]["progressToken"] = json!(7);
    client.send(json!({ "jsonrpc": "2.0", "id": "x", "method": "tools/call", "params": slow })).await;
    let (answer, before) = client.answer_of(&json!("x")).await;
    assert_eq!(text_of(&answer), r#"{"city":"Łódź"}"#);
    assert_eq!(before[0]["params"]["progressToken"], 7);
    let unknown = client.ask(json!(3), "tools/call", modern(json!({ "name": "café" }))).await;
    assert_eq!(unknown["error"]["code"], -32602, "the name is encoded in its header: {unknown}");
    let mut other = modern(json!({}));
    other["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    assert_eq!(client.ask(json!(4), "tools/list", other).await["error"]["code"], -32022);
    assert_eq!(gateway.hub.sessions.len(), 0);
    client.close().await;
}

#[tokio::test]
async fn arguments_that_belong_in_headers_are_put_there_though_the_list_was_never_asked_for() {
    let script = Arc::new(Script { is_modern: true, ..Script::default() });
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    let answer = client.ask(json!(1), "tools/call", modern(call("regional", &json!({ "region": "eu" })))).await;
    assert_eq!(text_of(&answer), r#"{"region":"eu"}"#);
    client.close().await;
}

#[tokio::test]
async fn a_slow_answer_holds_up_no_other() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    client.initialize().await;
    client.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call("slow", &json!({})) })).await;
    for id in 2..40 {
        let params = call("echo", &json!({ "n": id }));
        client.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })).await;
    }
    let mut ids = Vec::new();
    for _ in 1..40 {
        ids.push(client.next().await["id"].as_i64().unwrap());
    }
    assert_eq!(ids.last(), Some(&1), "the slow one is answered last: {ids:?}");
    ids.sort_unstable();
    assert_eq!(ids, (1..40).collect::<Vec<_>>());
    client.close().await;
}

#[tokio::test]
async fn a_cancelled_request_is_cancelled_at_the_server_and_has_no_answer() {
    for is_modern in [false, true] {
        let script = Arc::new(Script { is_modern, ..Script::default() });
        let gateway = Gateway::start(&script).await;
        let mut client = Client::start(gateway.address);
        client.initialize().await;
        let params = call("hang", &json!({}));
        let params = if is_modern { modern(params) } else { params };
        client.send(json!({ "jsonrpc": "2.0", "id": "h", "method": "tools/call", "params": params })).await;
        eventually(|| script.slow_calls.load(Ordering::SeqCst) == 1).await;
        let cancel = json!({ "requestId": "h", "reason": "changed my mind" });
        client.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel })).await;
        eventually(|| script.cancelled.load(Ordering::SeqCst) == 1).await;
        client.hears_nothing().await;
        client.close().await;
    }
}

#[tokio::test]
async fn a_legacy_client_does_not_notice_a_restart_of_the_gateway() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start(&script).await;
    let address = gateway.address;
    let mut client = Client::start(address);
    client.initialize().await;
    client.ask(json!(1), "logging/setLevel", json!({ "level": "error" })).await;
    client.send(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call("hang", &json!({})) })).await;
    eventually(|| script.slow_calls.load(Ordering::SeqCst) == 1).await;
    gateway.kill().await;
    let lost = client.next().await;
    assert_eq!(lost["id"], 2);
    assert_eq!(lost["error"]["code"], -31001);
    assert!(lost["error"]["message"].as_str().unwrap().contains("may have been done"), "{lost}");
    // What is asked while it is away waits.
    client.send(json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call("echo", &json!({})) })).await;
    client.hears_nothing().await;
    let gateway = Gateway::start_at(address, &script, None).await;
    let (answer, mut told) = client.answer_of(&json!(3)).await;
    assert_eq!(text_of(&answer), "{}");
    assert_eq!(script.slow_calls.load(Ordering::SeqCst), 1, "a call that may have been done is not made again");
    while told.len() < 3 {
        told.push(client.next().await);
    }
    let lists: Vec<&str> = told.iter().map(|note| note["method"].as_str().unwrap()).collect();
    assert!(lists.contains(&"notifications/tools/list_changed"), "{lists:?}");
    let sessions = gateway.hub.sessions.all();
    let level = sessions[0].level.lock().unwrap().clone();
    assert_eq!((sessions.len(), level.as_deref()), (1, Some("error")), "what was set in the session is set again");
    assert_eq!(sessions[0].version, "2025-06-18");
    client.close().await;
}

#[tokio::test]
async fn a_modern_client_keeps_its_subscription_over_a_restart_of_the_gateway() {
    for is_killed in [true, false] {
        keeps_its_subscription(is_killed).await;
    }
}

async fn keeps_its_subscription(is_killed: bool) {
    let script = Arc::new(Script { is_modern: true, ..Script::default() });
    let gateway = Gateway::start(&script).await;
    let address = gateway.address;
    let mut client = Client::start(address);
    let wanted = modern(json!({ "notifications": { "toolsListChanged": true } }));
    client.send(json!({ "jsonrpc": "2.0", "id": "L", "method": "subscriptions/listen", "params": wanted })).await;
    assert_eq!(client.next().await["method"], "notifications/subscriptions/acknowledged");
    if is_killed {
        gateway.kill().await;
    } else {
        gateway.end().await;
    }
    client.hears_nothing().await;
    let _gateway = Gateway::start_at(address, &script, None).await;
    let told = client.next().await;
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "L");
    let list = client.ask(json!(1), "tools/list", modern(json!({}))).await;
    assert_eq!(list["result"]["tools"][0]["name"], "s__echo");
    assert_eq!(client.close().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_starts_before_the_gateway_finds_the_tools_of_last_time() {
    let script = Arc::new(Script::default());
    let cache = tempfile::tempdir().unwrap();
    let address = free_address().await;
    let start = || Client::start_with(address, None, Some(cache.path()), Duration::from_secs(15));

    // Without anything kept, the client waits.
    let mut client = start();
    let params = scene::initialize_params();
    client.send(json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params })).await;
    client.hears_nothing().await;
    let gateway = Gateway::start_at(address, &script, None).await;
    let (begun, _) = client.answer_of(&json!("init")).await;
    let list = client.ask(json!(1), "tools/list", json!({})).await;
    let discovered = client.ask(json!(2), "server/discover", modern(json!({}))).await;
    let modern_list = client.ask(json!(3), "tools/list", modern(json!({}))).await;
    client.close().await;
    gateway.kill().await;

    let mut client = start();
    assert_eq!(client.initialize().await["result"], begun["result"]);
    assert_eq!(client.ask(json!(1), "ping", json!({})).await["result"], json!({}));
    assert_eq!(client.ask(json!(2), "tools/list", json!({})).await["result"], list["result"]);
    let kept = client.ask(json!(3), "server/discover", modern(json!({}))).await;
    assert_eq!(kept["result"]["supportedVersions"], discovered["result"]["supportedVersions"]);
    let kept = client.ask(json!(4), "tools/list", modern(json!({}))).await;
    assert_eq!(kept["result"]["tools"], modern_list["result"]["tools"]);
    assert_eq!(kept["result"]["ttlMs"], 0, "what is kept is not to be believed for long");
    client.send(json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": call("echo", &json!({})) })).await;
    client.hears_nothing().await;
    let _gateway = Gateway::start_at(address, &script, None).await;
    let (answer, _) = client.answer_of(&json!(5)).await;
    assert_eq!(text_of(&answer), "{}");
    client.close().await;
}

#[tokio::test]
async fn patience_ends_with_an_error_that_says_why() {
    let address = free_address().await;
    let mut client = Client::start_with(address, None, None, Duration::from_millis(200));
    let begun = client.initialize().await;
    assert_eq!(begun["error"]["code"], -31001, "{begun}");
    assert!(begun["error"]["message"].as_str().unwrap().contains("cannot be reached"), "{begun}");
    let listed = client.ask(json!(1), "tools/list", modern(json!({}))).await;
    assert_eq!(listed["error"]["code"], -31001, "{listed}");
    client.close().await;
}

#[tokio::test]
async fn a_token_is_sent_and_a_wrong_one_told_at_once() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start_at("127.0.0.1:0".parse().unwrap(), &script, Some("right")).await;
    let patience = Duration::from_secs(15);
    let mut client = Client::start_with(gateway.address, Some("right"), None, patience);
    assert!(client.initialize().await["result"].is_object());
    client.close().await;
    let mut client = Client::start_with(gateway.address, Some("wrong"), None, patience);
    assert_eq!(client.initialize().await["error"]["code"], -31003);
    assert_eq!(client.ask(json!(1), "tools/list", modern(json!({}))).await["error"]["code"], -31003);
    client.close().await;
}

#[tokio::test]
async fn what_is_no_message_is_answered_and_harms_nothing() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    client.send_line("").await;
    client.send_line("nonsense").await;
    assert_eq!(client.next().await["error"]["code"], -32700);
    client.send_line(r#"{"jsonrpc":"2.0","id":9,"method":"m","params":[]}"#).await;
    let refused = client.next().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(9), &json!(-32600)));
    client.send_line(&"x".repeat((16 << 20) + 1)).await;
    assert_eq!(client.next().await["error"]["code"], -31005);
    let early = client.ask(json!(1), "tools/list", json!({})).await;
    assert!(early["error"]["message"].as_str().unwrap().contains("initialize"), "{early}");
    client.initialize().await;
    assert!(client.ask(json!(2), "tools/list", json!({})).await["result"]["tools"].is_array());
    client.close().await;
}

#[tokio::test]
async fn a_client_that_closes_its_side_still_gets_what_it_asked_for() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    client.initialize().await;
    client.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call("slow", &json!({})) })).await;
    let rest = client.close().await;
    assert_eq!(rest.len(), 1);
    assert!(rest[0].starts_with(r#"{"jsonrpc":"2.0","id":1,"result":"#), "{rest:?}");
}

#[tokio::test]
async fn a_bridge_that_is_told_to_end_ends_at_once() {
    let script = Arc::new(Script::default());
    let gateway = Gateway::start(&script).await;
    let mut client = Client::start(gateway.address);
    client.initialize().await;
    client.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call("hang", &json!({})) })).await;
    eventually(|| script.slow_calls.load(Ordering::SeqCst) == 1).await;
    let begun = Instant::now();
    assert_eq!(client.stop().await, Vec::<String>::new());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_call_that_a_proxy_gave_up_on_is_not_sent_again() {
    for status in [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT] {
        let proxy = GivingUp::start(status).await;
        let mut client = Client::start(proxy.address);
        let answer = client.ask(json!(1), "tools/call", modern(call("echo", &json!({})))).await;
        assert_eq!(answer["error"]["code"], -31001, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("may have been done"), "{answer}");
        assert_eq!(proxy.calls.load(Ordering::SeqCst), 1);
        client.close().await;
    }
}

#[tokio::test]
async fn the_rest_of_a_stream_that_is_ended_before_the_answer_is_fetched_after_the_time_that_is_named() {
    let gateway = EndingEarly::start(true).await;
    let mut client = Client::start(gateway.address);
    client.initialize().await;
    let answer = client.ask(json!(2), "tools/call", call("echo", &json!({}))).await;
    assert_eq!(text_of(&answer), "late");
    client.close().await;
    let seen = gateway.seen.lock().unwrap();
    let [(called, None), (fetched, Some(event))] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(event, "7");
    assert!(fetched.duration_since(*called) >= Duration::from_millis(300), "{seen:?}");
}

#[tokio::test]
async fn a_stream_that_comes_no_further_is_the_last_and_its_call_is_not_sent_again() {
    let gateway = EndingEarly::start(false).await;
    let mut client = Client::start(gateway.address);
    client.initialize().await;
    let answer = client.ask(json!(2), "tools/call", call("echo", &json!({}))).await;
    assert_eq!(answer["error"]["code"], -31001, "{answer}");
    client.close().await;
    let events: Vec<_> = gateway.seen.lock().unwrap().iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(events, [None, Some("7".to_owned())]);
}
