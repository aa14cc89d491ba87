//! What clients and servers do to a hub, again and again.

use std::sync::Mutex;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::meter::growth;
use super::scene::{Scene, TOOLS};
use super::wire::{asked_id, post, read_until, tools};

async fn call_each(scene: &Scene, _: u32) {
    for name in TOOLS {
        scene.call(name, json!({"a": 1}), "fine").await;
    }
}

async fn call_each_in_a_session(scene: &Scene, _: u32) {
    let calls = async |session: &str| {
        for name in TOOLS {
            let params = json!({"name": name, "arguments": {"a": 1}});
            scene.ask(scene.legacy(session, "tools/call", &params), "fine").await;
        }
    };
    scene.in_session(calls).await;
}

async fn list(scene: &Scene, _: u32) {
    assert_eq!(tools(scene.address).await.len(), TOOLS.len());
    scene.in_session(async |session| scene.ask(scene.legacy(session, "tools/list", &json!({})), "old__t").await).await;
}

/// Names that nobody has ever said before, and one that is denied.
async fn ask_for_what_there_is_not(scene: &Scene, number: u32) {
    for name in [&format!("none{number}__t"), &format!("old__t{number}"), &format!("web__t{number}"), "old__denied"] {
        scene.call(name, json!({}), "-32602").await;
    }
    scene.ask(scene.modern(&format!("no/such{number}"), json!({})), "-32601").await;
    scene.ask(scene.legacy(&format!("session-{number}"), "ping", &json!({})), "404 Not Found").await;
}

async fn say_nonsense(scene: &Scene, number: u32) {
    for body in ["{", "[]", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}", &number.to_string(), &"[".repeat(2_000)] {
        let request = post(scene.address, "MCP-Protocol-Version: 2026-07-28\r\n", body);
        scene.ask(request, "400 Bad Request").await;
    }
    // Half of a request.
    let whole = scene.modern("tools/list", json!({}));
    scene.begin_to_ask(&whole[..whole.len() - 10]).await.shutdown().await.unwrap();
}

async fn go_away_meanwhile(scene: &Scene, _: u32) {
    for name in TOOLS {
        let params = json!({"name": name, "arguments": {"hang": true}});
        scene.hang_up(&scene.modern("tools/call", params.clone())).await;
        scene.in_session(async |session| scene.hang_up(&scene.legacy(session, "tools/call", &params)).await).await;
    }
}

async fn cancel(scene: &Scene, session: &str) {
    let params = json!({"name": "old__t", "arguments": {"hang": true}});
    let mut stream = scene.begin_to_ask(&scene.legacy(session, "tools/call", &params)).await;
    scene.until_it_hangs().await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    scene.ask(scene.say(session, &note), "202 Accepted").await;
    read_until(&mut stream, "text/event-stream").await;
}

async fn be_asked(scene: &Scene, session: &str) {
    let params = json!({"name": "new__t", "arguments": {"ask": true}});
    let mut stream = scene.begin_to_ask(&scene.legacy(session, "tools/call", &params)).await;
    let id = asked_id(&mut stream).await;
    let declined = json!({"jsonrpc": "2.0", "id": id, "result": {"action": "decline"}});
    scene.ask(scene.say(session, &declined), "202 Accepted").await;
    read_until(&mut stream, "\"id\":7").await;
}

/// To lists and to resources, of which each is another one.
async fn listen(scene: &Scene, session: &str, number: u32) {
    let uri = json!({"uri": format!("old://{number}")});
    scene.ask(scene.legacy(session, "resources/subscribe", &uri), "\"result\"").await;
    scene.hear(&scene.with("GET /mcp", session), "text/event-stream").await;
}

async fn do_all_in_sessions(scene: &Scene, number: u32) {
    scene.in_session(async |session| cancel(scene, session).await).await;
    scene.in_session(async |session| be_asked(scene, session).await).await;
    scene.in_session(async |session| listen(scene, session, number).await).await;
}

/// The same and more, with nothing let go of by the session's end.
async fn do_all_in_one_session(scene: &Scene, number: u32) {
    let session = scene.session.as_str();
    for name in ["old__t", "site__t", "lent__t"] {
        let params = json!({"name": name, "arguments": {"a": 1}});
        scene.ask(scene.legacy(session, "tools/call", &params), "fine").await;
    }
    cancel(scene, session).await;
    be_asked(scene, session).await;
    listen(scene, session, number).await;
    let uri = json!({"uri": format!("old://{number}")});
    scene.ask(scene.legacy(session, "resources/unsubscribe", &uri), "\"result\"").await;
}

async fn hear_of_progress(scene: &Scene, number: u32) {
    for name in ["old__t", "new__t"] {
        let token = format!("token-{number}");
        let params = json!({"name": name, "arguments": {"tell": true}, "_meta": {"progressToken": token}});
        scene.hear(&scene.modern("tools/call", params), "fine").await;
    }
}

async fn be_asked_and_go_away(scene: &Scene, _: u32) {
    let params = json!({"name": "new__t", "arguments": {"ask": true}});
    let leave =
        async |session: &str| scene.hear(&scene.legacy(session, "tools/call", &params), "elicitation/create").await;
    scene.in_session(leave).await;
}

async fn subscribe_and_go_away(scene: &Scene, number: u32) {
    let uris = [format!("old://{number}"), format!("new://{number}")];
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": uris});
    let request = scene.modern("subscriptions/listen", json!({"notifications": wanted}));
    scene.hear(&request, "acknowledged").await;
}

/// A definition that was never seen before, which its pin warns of.
async fn change_a_definition(scene: &Scene, _: u32) {
    for name in ["old__t", "new__t"] {
        scene.call(name, json!({"change": true}), "fine").await;
    }
}

/// Servers that end in the midst of a call, or give no answer.
async fn break_off(scene: &Scene, _: u32) {
    for name in ["site__t", "web__t"] {
        scene.call(name, json!({"break": true}), "-31001").await;
    }
    scene.call("once__t", json!({"die": true}), "-31001").await;
}

async fn exchange_instances(scene: &Scene, number: u32) {
    scene.exchange_instances(number + 1).await;
}

/// What has to be found: a table that grows by an entry for each call.
async fn remember(scene: &Scene, number: u32) {
    static ALL: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    scene.call("new__t", json!({}), "fine").await;
    ALL.lock().unwrap().push(number.into());
}

/// By how many bytes the hub has grown each time that this was done, where it has.
macro_rules! grown {
    ($deed:ident) => {{
        let scene = Scene::begin().await;
        let grown = growth(async |number| $deed(&scene, number).await, async || scene.rest().await).await;
        scene.end().await;
        grown.map(|by| format!("{}: {by:.0} bytes each time", stringify!($deed)))
    }};
}

#[tokio::test]
async fn whatever_is_done_again_and_again_leaves_nothing_behind() {
    assert!(grown!(remember).is_some(), "what is left behind is found");
    let all = [
        grown!(call_each),
        grown!(call_each_in_a_session),
        grown!(list),
        grown!(ask_for_what_there_is_not),
        grown!(say_nonsense),
        grown!(go_away_meanwhile),
        grown!(do_all_in_sessions),
        grown!(do_all_in_one_session),
        grown!(hear_of_progress),
        grown!(be_asked_and_go_away),
        grown!(subscribe_and_go_away),
        grown!(change_a_definition),
        grown!(break_off),
        grown!(exchange_instances),
    ];
    let grown: Vec<String> = all.into_iter().flatten().collect();
    assert!(grown.is_empty(), "the hub grows by what is done again and again:\n{}", grown.join("\n"));
}
