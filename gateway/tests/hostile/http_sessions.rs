//! What a session with a legacy server over HTTP lives through: streams that end, and calls that nobody waits for.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http_server::{Asked, Conduct, HttpServer, stream_head, whole};
use super::stage::{Stage, eventually};
use super::wire::{begin_session, legacy, modern, request, send};

/// A stream of events that ends with its connection.
fn stream(events: &str) -> Conduct {
    Conduct::Say([stream_head(), events.as_bytes().to_vec()].concat())
}

fn log(text: &str) -> String {
    let params = json!({"level": "info", "data": text});
    format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}))
}

/// Reads a client's stream until it has been told all of these, and gives all that it was told.
async fn until_told(stream: &mut TcpStream, texts: &[&str]) -> String {
    let (mut told, mut piece) = (String::new(), vec![0; 4096]);
    let reading = async {
        while !texts.iter().all(|text| told.contains(text)) {
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "{told}");
            told.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    tokio::time::timeout(super::stage::IN_TIME, reading).await.unwrap();
    told
}

#[tokio::test]
async fn the_stream_of_a_session_is_opened_again_from_where_it_ended_for_as_long_as_the_session_lives() {
    // The gateway's own session with the server has no stream.
    let server = HttpServer::start(false, |asked| {
        let is_clients = asked.head.contains("mcp-session-id: of-client");
        if asked.method() == "initialize" && asked.message["params"]["clientInfo"]["name"] != "evenkeel" {
            let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {}});
            let answer = json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result});
            return Some(Conduct::Say(whole("Mcp-Session-Id: of-client\r\n", &answer.to_string())));
        }
        if !is_clients || !asked.head.starts_with("get") {
            return None;
        }
        Some(if asked.head.contains("last-event-id: 8") {
            Conduct::Stop([stream_head(), log("third").into_bytes()].concat())
        } else if asked.head.contains("last-event-id: 7") {
            stream(&format!("id: 8\n{}", log("second")))
        } else {
            stream(&format!("id: 7\nretry: 300\n{}", log("first")))
        })
    })
    .await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let mut client = TcpStream::connect(stage.address).await.unwrap();
    let head = format!("Host: {}\r\nMcp-Session-Id: {session}\r\nAccept: text/event-stream\r\n", stage.address);
    client.write_all(request("GET /mcp", &head, "").as_bytes()).await.unwrap();
    until_told(&mut client, &["text/event-stream"]).await;
    let params = json!({"name": "a__t", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let reply = send(stage.address, legacy(stage.address, "", &session, &body)).await;
    assert!(reply.json()["result"].is_object(), "{reply:?}");
    until_told(&mut client, &["first", "second", "third"]).await;
}

#[tokio::test]
async fn a_server_cancels_what_it_asked_itself_and_reports_on_nothing_else() {
    let server = HttpServer::start(false, |asked| {
        let note = |method: &str, params: Value| {
            format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": method, "params": params}))
        };
        let question = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}});
        let events = [
            format!("data: {question}\n\n"),
            // Of somebody else, by the number that the client knows it by.
            note("notifications/cancelled", json!({"requestId": 1, "reason": "another's"})),
            note("notifications/progress", json!({"progressToken": 1, "progress": 1})),
            note("notifications/cancelled", json!({"requestId": "q", "reason": "its own"})),
            log("last"),
        ];
        let body = [stream_head(), events.concat().into_bytes()].concat();
        asked.head.starts_with("get").then_some(Conduct::Stop(body))
    })
    .await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({"elicitation": {}})).await;
    let mut client = TcpStream::connect(stage.address).await.unwrap();
    let head = format!("Host: {}\r\nMcp-Session-Id: {session}\r\nAccept: text/event-stream\r\n", stage.address);
    client.write_all(request("GET /mcp", &head, "").as_bytes()).await.unwrap();
    until_told(&mut client, &["text/event-stream"]).await;
    let reply = send(stage.address, legacy(stage.address, "", &session, &call_of(1).to_string())).await;
    assert!(reply.json()["result"].is_object(), "{reply:?}");
    let told = until_told(&mut client, &["last"]).await;
    assert!(told.contains("elicitation/create") && told.contains("its own"), "{told}");
    assert!(told.contains(r#""requestId":1"#) && !told.contains(r#""requestId":"q""#), "{told}");
    assert!(!told.contains("another's") && !told.contains("notifications/progress"), "{told}");
}

#[tokio::test]
async fn updates_of_a_legacy_server_over_http_reach_clients_of_either_era_who_subscribed() {
    let subscribed = AtomicBool::new(false);
    let server = HttpServer::start(false, move |asked| {
        let answer = |result: &Value| {
            let answer = json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result}).to_string();
            Some(Conduct::Say(whole("Mcp-Session-Id: theirs\r\n", &answer)))
        };
        let capabilities = json!({"tools": {}, "resources": {"subscribe": true}});
        match asked.method() {
            "initialize" => {
                answer(&json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}}))
            }
            "resources/list" => answer(&json!({"resources": [{"uri": "x://a", "name": "a"}]})),
            "resources/subscribe" => {
                subscribed.store(true, Ordering::Relaxed);
                answer(&json!({}))
            }
            _ if asked.head.starts_with("get") => {
                let params = json!({"uri": "x://a"});
                let note = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params});
                let note = if subscribed.load(Ordering::Relaxed) { format!("data: {note}\n\n") } else { String::new() };
                Some(stream(&format!("retry: 100\n{note}\n")))
            }
            _ => None,
        }
    })
    .await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let mut legacy_client = TcpStream::connect(stage.address).await.unwrap();
    let head = format!("Host: {}\r\nMcp-Session-Id: {session}\r\nAccept: text/event-stream\r\n", stage.address);
    legacy_client.write_all(request("GET /mcp", &head, "").as_bytes()).await.unwrap();
    until_told(&mut legacy_client, &["text/event-stream"]).await;
    let params = json!({"uri": "x://a"});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": params}).to_string();
    let reply = send(stage.address, legacy(stage.address, "", &session, &body)).await;
    assert_eq!(reply.json()["result"], json!({}), "{reply:?}");
    until_told(&mut legacy_client, &["notifications/resources/updated", "x://a"]).await;
    let mut modern_client = TcpStream::connect(stage.address).await.unwrap();
    let wanted = json!({"notifications": {"resourceSubscriptions": ["x://a"]}});
    modern_client.write_all(modern(stage.address, "", "subscriptions/listen", wanted).as_bytes()).await.unwrap();
    until_told(&mut modern_client, &["notifications/resources/updated", "x://a"]).await;
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|asked| asked.method() == "resources/subscribe").count(), 1);
}

/// A server that never answers a call of its tool: it opens a stream for it, or says nothing at all.
async fn hangs(has_stream: bool) -> HttpServer {
    let head = if has_stream { stream_head() } else { Vec::new() };
    HttpServer::start(false, move |asked| (asked.method() == "tools/call").then(|| Conduct::Stop(head.clone()))).await
}

fn find(server: &HttpServer, method: &str) -> Option<Asked> {
    server.asked.lock().unwrap().iter().find(|asked| asked.method() == method).cloned()
}

/// Waits until the server was told that its call is cancelled, in the session of the call.
async fn until_cancelled(server: &HttpServer) {
    eventually(|| find(server, "notifications/cancelled").is_some()).await;
    let (call, cancel) = (find(server, "tools/call").unwrap(), find(server, "notifications/cancelled").unwrap());
    assert_eq!(cancel.message["params"]["requestId"], call.message["id"], "{cancel:?}");
    assert!(cancel.message.get("id").is_none() && cancel.head.contains("mcp-session-id: theirs"), "{cancel:?}");
}

fn call_of(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "a__t", "arguments": {}}})
}

#[tokio::test]
async fn a_call_that_is_cancelled_or_hung_up_on_is_cancelled_at_its_server() {
    for (has_stream, is_modern) in [(true, true), (true, false), (false, true), (false, false)] {
        let server = hangs(has_stream).await;
        let stage = Stage::begin().await;
        stage.want_http("a", server.address);
        stage.until_known(1).await;
        let address = stage.address;
        let session = begin_session(address, "", json!({})).await;
        let message = if is_modern {
            modern(address, "", "tools/call", call_of(7)["params"].clone())
        } else {
            legacy(address, "", &session, &call_of(7).to_string())
        };
        let calling = tokio::spawn(async move { send(address, message).await });
        eventually(|| find(&server, "tools/call").is_some()).await;
        if is_modern {
            calling.abort();
        } else {
            let params = json!({"requestId": 7});
            let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string();
            assert_eq!(send(address, legacy(address, "", &session, &cancel)).await.status, 202);
        }
        until_cancelled(&server).await;
    }
}

#[tokio::test]
async fn a_call_whose_time_is_over_is_cancelled_at_its_server_and_one_that_is_answered_is_not() {
    for has_stream in [true, false] {
        let server = hangs(has_stream).await;
        let stage = Stage::begin().await;
        stage.want_http_soon("a", server.address);
        stage.until_known(1).await;
        let session = begin_session(stage.address, "", json!({})).await;
        let reply = send(stage.address, legacy(stage.address, "", &session, &call_of(1).to_string())).await;
        assert_eq!(reply.code(), -31002, "{reply:?}");
        until_cancelled(&server).await;
    }
    let server = HttpServer::start(false, |_| None).await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let reply = send(stage.address, legacy(stage.address, "", &session, &call_of(1).to_string())).await;
    assert!(reply.json()["result"].is_object(), "{reply:?}");
    // What comes after it has been sent.
    stage.hub.sessions.end(&session);
    eventually(|| server.asked.lock().unwrap().iter().any(|asked| asked.head.starts_with("delete"))).await;
    assert!(find(&server, "notifications/cancelled").is_none());
}
