//! Sessions are their principals' own, and what is said in one is heard in no other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::http_server::{Asked, Conduct, HttpServer, stream_head, whole};
use super::stage::{Out, Stage, echo, eventually, server, tool};
use super::wire::{asked_id, begin_session, call, legacy, read_until, request, send};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn a_session_of_somebody_else_is_as_if_it_were_not_there() {
    let stage = Stage::begin_with(&[("ann", "token-of-ann"), ("bob", "token-of-bob")], &[]).await;
    let (ann, bob) = ("Authorization: Bearer token-of-ann\r\n", "Authorization: Bearer token-of-bob\r\n");
    let session = begin_session(stage.address, ann, json!({})).await;
    let with = |line: &str, token: &str| {
        request(line, &format!("Host: {}\r\nMcp-Session-Id: {session}\r\n{token}", stage.address), "")
    };
    assert_eq!(send(stage.address, legacy(stage.address, bob, &session, PING)).await.status, 404);
    assert_eq!(send(stage.address, with("GET /mcp", bob)).await.status, 404);
    assert_eq!(send(stage.address, with("DELETE /mcp", bob)).await.status, 404);
    assert_eq!(send(stage.address, legacy(stage.address, "", &session, PING)).await.status, 401);
    assert_eq!(send(stage.address, legacy(stage.address, ann, &session, PING)).await.status, 200, "it is still his");
    assert_eq!(send(stage.address, with("DELETE /mcp", ann)).await.status, 200);
    assert_eq!(send(stage.address, legacy(stage.address, ann, &session, PING)).await.status, 404);
}

#[tokio::test]
async fn a_guessed_session_is_not_found_and_ids_have_nothing_in_common() {
    let stage = Stage::begin().await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(begin_session(stage.address, "", json!({})).await);
    }
    let common =
        |one: &str, other: &str| one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(id.len(), 43, "256 bits");
        assert!(ids.iter().skip(number + 1).all(|other| common(id, other) < 8), "{ids:?}");
    }
    let known = &ids[0];
    for guess in [&known[..42], &known.to_lowercase(), &format!("{known}x"), "1", "", "null", "../..", "*"] {
        let status = send(stage.address, legacy(stage.address, "", guess, PING)).await.status;
        assert_eq!(status, 404, "{guess}");
    }
}

#[tokio::test]
async fn an_id_is_free_again_once_its_request_is_answered() {
    let stage = Stage::begin().await;
    stage.run("a", server(false, vec![tool("t")], echo));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a__t", "arguments": {}}});
    for _ in 0..200 {
        let reply = send(stage.address, legacy(stage.address, "", &session, &body.to_string())).await;
        assert!(reply.json()["result"].is_object(), "{reply:?}");
    }
}

#[tokio::test]
async fn a_log_level_is_set_in_a_session_that_a_server_begins_later_too() {
    let with_logging = |asked: &Asked| {
        (asked.method() == "initialize").then(|| {
            let capabilities = json!({"tools": {}, "logging": {}});
            let result = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}});
            let answer = json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result});
            Conduct::Say(whole("Mcp-Session-Id: theirs\r\n", &answer.to_string()))
        })
    };
    let server = HttpServer::start(false, with_logging).await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let ask = |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        send(stage.address, legacy(stage.address, "", &session, &body))
    };
    assert!(ask("logging/setLevel", json!({"level": "error"})).await.json()["result"].is_object());
    assert!(ask("tools/call", json!({"name": "a__t", "arguments": {}})).await.json()["result"].is_object());
    let asked = server.asked.lock().unwrap();
    let set: Vec<&Asked> = asked.iter().filter(|asked| asked.method() == "logging/setLevel").collect();
    assert_eq!(set.len(), 1, "{asked:?}");
    assert_eq!(set[0].message["params"], json!({"level": "error"}));
    assert!(set[0].head.contains("mcp-session-id: theirs"), "{set:?}");
}

#[tokio::test]
async fn a_session_with_an_instance_that_is_gone_is_ended_when_the_last_call_in_it_has() {
    let hang =
        |asked: &Asked| (asked.message["params"]["arguments"]["hang"] == true).then(|| Conduct::Stop(stream_head()));
    let answer = |asked: &Asked| {
        (asked.method() == "tools/call").then(|| {
            let result = json!({"content": [{"type": "text", "text": "new"}]});
            Conduct::Say(whole("", &json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result}).to_string()))
        })
    };
    let (old, new) = (HttpServer::start(false, hang).await, HttpServer::start(false, answer).await);
    let stage = Stage::begin().await;
    stage.want_http("a", old.address);
    stage.until_known(1).await;
    let address = stage.address;
    let session = begin_session(address, "", json!({})).await;
    let ask = |id: u64, arguments: Value| {
        let params = json!({"name": "a__t", "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
        let request = legacy(address, "", &session, &body);
        async move { send(address, request).await }
    };
    let hanging = tokio::spawn(ask(1, json!({"hang": true})));
    let is_ended = |server: &HttpServer| {
        let ends = |asked: &Asked| asked.head.starts_with("delete") && asked.head.contains("mcp-session-id: theirs");
        server.asked.lock().unwrap().iter().any(ends)
    };
    let hangs = |asked: &Asked| asked.message["params"]["arguments"]["hang"] == true;
    eventually(|| old.asked.lock().unwrap().iter().any(hangs)).await;
    // The same instance, somewhere else.
    stage.want_http("a", new.address);
    eventually(|| stage.hub.status().ready == 1).await;
    let reply = ask(2, json!({})).await;
    assert_eq!(reply.json()["result"]["content"][0]["text"], "new", "{reply:?}");
    stage.hub.sessions.reap();
    tokio::task::yield_now().await;
    assert!(!is_ended(&old), "a call is under way in it");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}).to_string();
    assert_eq!(send(address, legacy(address, "", &session, &cancel)).await.status, 202);
    eventually(|| {
        stage.hub.sessions.reap();
        is_ended(&old)
    })
    .await;
    assert!(!is_ended(&new));
    hanging.abort();
}

#[tokio::test]
async fn a_session_subscribes_to_a_thousand_resources_and_no_more() {
    let stage = Stage::begin().await;
    let tools = server(false, vec![tool("t")], echo);
    let script = move |message: &Value, out: &Out| match message["method"].as_str() {
        Some("resources/subscribe") => out.answer(message, &json!({})),
        _ => tools(message, out),
    };
    stage.run("a", Arc::new(script));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let mut refused = 0;
    for number in 0..1_010 {
        let params = json!({"uri": format!("file:///{number}")});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": params});
        let reply = send(stage.address, legacy(stage.address, "", &session, &body.to_string())).await;
        refused += usize::from(reply.json()["error"]["code"] == -31004);
    }
    assert_eq!(refused, 10);
}

/// Answers each call with its own argument, in any order.
fn shuffle(message: &Value, out: &Out) {
    let (message, out) = (message.clone(), out.clone());
    if message["method"] == "tools/call" {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..3_000))).await;
            out.answer_text(&message, message["params"]["arguments"]["mine"].as_str().unwrap());
        });
    }
}

#[tokio::test]
async fn sixty_four_clients_of_both_eras_never_see_anothers_answer() {
    let stage = Stage::begin().await;
    stage.run("new", server(true, vec![tool("mine")], shuffle));
    stage.run("old", server(false, vec![tool("mine")], shuffle));
    stage.want(&["new", "old"]);
    stage.until_known(2).await;
    let mut clients = JoinSet::new();
    for number in 0..64 {
        let address = stage.address;
        clients.spawn(async move {
            let is_legacy = number % 2 == 0;
            let session = if is_legacy { Some(begin_session(address, "", json!({})).await) } else { None };
            for round in 0..20 {
                let server = if round % 2 == 0 { "new__mine" } else { "old__mine" };
                let mark = format!("client {number} round {round}");
                let arguments = json!({"mine": mark});
                let reply = match &session {
                    // Every client of this era asks with the same ids.
                    Some(session) => {
                        let params = json!({"name": server, "arguments": arguments});
                        let body = json!({"jsonrpc": "2.0", "id": round, "method": "tools/call", "params": params});
                        send(address, legacy(address, "", session, &body.to_string())).await
                    }
                    None => call(address, server, &arguments).await,
                };
                assert_eq!(reply.json()["result"]["content"][0]["text"], mark, "{reply:?}");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn what_a_server_asks_is_asked_of_its_own_client_and_only_he_can_answer() {
    let stage = Stage::begin().await;
    let ask = |message: &Value, out: &Out| {
        let answered = &message["params"]["inputResponses"]["who"]["content"]["name"];
        if let Some(name) = answered.as_str() {
            out.answer_text(message, name);
        } else if message["method"] == "tools/call" {
            let params = json!({"message": "who?", "requestedSchema": {"type": "object", "properties": {}}});
            let requests = json!({"who": {"method": "elicitation/create", "params": params}});
            out.answer(
                message,
                &json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}),
            );
        }
    };
    stage.run("a", server(true, vec![tool("ask")], ask));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let address = stage.address;
    let asked = begin_session(address, "", json!({"elicitation": {}})).await;
    let stranger = begin_session(address, "", json!({"elicitation": {}})).await;
    let mut overheard = TcpStream::connect(address).await.unwrap();
    let get = format!("GET /mcp HTTP/1.1\r\nHost: {address}\r\nMcp-Session-Id: {stranger}\r\n\r\n");
    overheard.write_all(get.as_bytes()).await.unwrap();
    read_until(&mut overheard, "text/event-stream").await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let params = json!({"name": "a__ask", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string();
    stream.write_all(legacy(address, "", &asked, &body).as_bytes()).await.unwrap();
    let id = asked_id(&mut stream).await;
    let answer = |name: &str| {
        let result = json!({"action": "accept", "content": {"name": name}});
        json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
    };
    let reply = send(address, legacy(address, "", &stranger, &answer("mallory"))).await;
    assert_eq!(reply.status, 202, "an answer to nothing is taken, and is nothing");
    assert_eq!(send(address, legacy(address, "", &asked, &answer("ann"))).await.status, 202);
    let told = read_until(&mut stream, "\"id\":7").await;
    assert!(told.contains("\"text\":\"ann\"") && !told.contains("mallory"), "{told}");
    // A change of the lists is told to every session: whatever came before it, the question did not.
    stage.run("b", server(true, vec![tool("echo")], echo));
    stage.want(&["a", "b"]);
    let heard = read_until(&mut overheard, "list_changed").await;
    assert!(!heard.contains("elicitation"), "{heard}");
}

#[tokio::test]
async fn a_cancellation_of_somebody_else_cancels_nothing() {
    let stage = Stage::begin().await;
    let waiting: Arc<Mutex<Vec<(Value, Out)>>> = Arc::default();
    let noted = Arc::clone(&waiting);
    let hold = move |message: &Value, out: &Out| noted.lock().unwrap().push((message.clone(), out.clone()));
    stage.run("a", server(true, vec![tool("hold")], hold));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let address = stage.address;
    let (mine, other) = (begin_session(address, "", json!({})).await, begin_session(address, "", json!({})).await);
    let params = json!({"name": "a__hold", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string();
    let asking = tokio::spawn(async move { send(address, legacy(address, "", &mine, &body)).await });
    eventually(|| !waiting.lock().unwrap().is_empty()).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}).to_string();
    assert_eq!(send(address, legacy(address, "", &other, &cancel)).await.status, 202);
    let (message, out) = waiting.lock().unwrap().remove(0);
    out.answer_text(&message, "held");
    assert_eq!(asking.await.unwrap().json()["result"]["content"][0]["text"], "held");
    assert!(waiting.lock().unwrap().is_empty(), "the server heard of no cancellation");
}
