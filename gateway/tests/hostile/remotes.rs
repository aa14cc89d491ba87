//! Servers by HTTP that answer what they should not, or never.

use std::net::SocketAddr;

use std::sync::Mutex;

use serde_json::{Value, json};

use super::http_server::{Asked, Conduct, HttpServer, stream_head, whole};
use super::stage::{Stage, echo, eventually, server, tool};
use super::wire::{Reply, begin_session, call, legacy, modern, send};

/// What a call is answered whose server behaves so.
async fn called(conduct: impl Fn(&Asked) -> Conduct + Send + Sync + 'static) -> Reply {
    called_on(&Stage::begin().await, Stage::want_http, conduct).await
}

/// The same where the server has little time for it.
async fn called_soon(conduct: impl Fn(&Asked) -> Conduct + Send + Sync + 'static) -> Reply {
    called_on(&Stage::begin().await, Stage::want_http_soon, conduct).await
}

async fn called_on(
    stage: &Stage,
    want: impl Fn(&Stage, &str, SocketAddr),
    conduct: impl Fn(&Asked) -> Conduct + Send + Sync + 'static,
) -> Reply {
    let server = HttpServer::start(true, move |asked| (asked.method() == "tools/call").then(|| conduct(asked))).await;
    want(stage, "a", server.address);
    stage.until_known(1).await;
    let reply = call(stage.address, "a__t", &json!({})).await;
    assert_eq!(send(stage.address, modern(stage.address, "", "tools/list", json!({}))).await.status, 200);
    reply
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_off_at_the_limit_or_at_the_end_of_its_time() {
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).into_bytes();
    let mut line = stream_head();
    line.extend_from_slice(b"data: ");
    let note =
        b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":1}}\n\n";
    let head = chunked.clone();
    let (body, event, notes, no_event, no_body, no_head) = tokio::join!(
        called(move |_| Conduct::SayForEver(chunked.clone(), piece.clone())),
        called(move |_| Conduct::SayForEver(line.clone(), vec![b'x'; 0x10000])),
        called_soon(move |_| Conduct::SayForEver(stream_head(), note.to_vec())),
        called_soon(|_| Conduct::Stop(stream_head())),
        called_soon(move |_| Conduct::Stop(head.clone())),
        called_soon(|_| Conduct::Stop(Vec::new())),
    );
    assert_eq!([body.code(), event.code()], [-31005; 2]);
    assert_eq!([notes.code(), no_event.code(), no_body.code(), no_head.code()], [-31002; 4]);
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_that_says_little_of_it() {
    let answers: Vec<(Vec<u8>, i64)> = vec![
        (whole("", "not json"), -31001),
        (whole("", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}"), -31001),
        (whole("", &format!("\"{}\"", "A".repeat(500_000))), -31001),
        (whole("", "{\"jsonrpc\":\"2.0\",\"id\":999999,\"result\":{\"content\":[]}}"), -31001),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{".to_vec(), -31001),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(), -31001),
        (b"garbage\r\n\r\n".to_vec(), -31001),
        (Vec::new(), -31001),
        (format!("HTTP/1.1 500 No\r\nConnection: close\r\n\r\n{}", "<html>".repeat(100_000)).into_bytes(), -31001),
        (
            [stream_head(), b"data: {\"jsonrpc\":\"2.0\",\"id\":999999,\"result\":{\"content\":[]}}\n\n".to_vec()]
                .concat(),
            -31001,
        ),
        ([stream_head(), b"data: stray\n\nid: \xff\n\n: comment\n\n".to_vec()].concat(), -31001),
    ];
    for (answer, code) in answers {
        let start = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
        let reply = called(move |_| Conduct::Say(answer.clone())).await;
        assert_eq!(reply.code(), code, "{start}: {}", &reply.body[..reply.body.len().min(500)]);
        assert!(reply.body.len() < 800, "{start}: {} bytes", reply.body.len());
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = HttpServer::start(true, |_| None).await;
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = inside.address;
        let answer = format!(
            "HTTP/1.1 {status}\r\nLocation: http://{location}/mcp\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(called(move |_| Conduct::Say(answer.clone().into_bytes())).await.code(), -31001, "{status}");
    }
    assert!(inside.asked.lock().unwrap().is_empty(), "nobody came");
}

#[tokio::test]
async fn a_clients_token_cookie_and_session_never_reach_a_server() {
    let server = HttpServer::start(false, |_| None).await;
    let stage = Stage::begin_with(&[("ann", "token-of-ann")], &[]).await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let own = "Authorization: Bearer token-of-ann\r\nCookie: canary=1\r\nX-Forwarded-For: 10.9.8.7\r\nX-Canary: 1\r\n";
    let session = begin_session(stage.address, own, json!({})).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a__t", "arguments": {}}});
    let reply = send(stage.address, legacy(stage.address, own, &session, &body.to_string())).await;
    assert_eq!(reply.json()["result"]["content"][0]["text"], "fine", "{reply:?}");
    let reply =
        send(stage.address, modern(stage.address, own, "tools/call", json!({"name": "a__t", "arguments": {}}))).await;
    assert_eq!(reply.json()["result"]["content"][0]["text"], "fine", "{reply:?}");
    for asked in &*server.asked.lock().unwrap() {
        for word in ["authorization", "token-of-ann", "cookie", "canary", "10.9.8.7", &session.to_lowercase()] {
            assert!(
                !asked.head.contains(word) && !asked.message.to_string().to_lowercase().contains(word),
                "{word}: {asked:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_servers_secret_is_in_no_answer_no_error_no_progress_and_no_status_and_goes_to_no_other_server() {
    const SECRET: &str = "pa\"ss/word+1";
    let telling = HttpServer::start(true, |asked| {
        let id = &asked.message["id"];
        let params = &asked.message["params"];
        Some(match (asked.method(), params["arguments"]["how"].as_str()) {
            ("tools/call", Some("result")) => {
                let content = json!([{"type": "text", "text": format!("it is {SECRET}, or cGEic3Mvd29yZCsx")}]);
                let result = json!({"resultType": "complete", "content": content});
                Conduct::Say(whole("", &json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()))
            }
            ("tools/call", Some("error")) => {
                let error = json!({"code": -32000, "message": SECRET});
                Conduct::Say(whole("", &json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()))
            }
            ("tools/call", Some("refusal")) => {
                let text = format!("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 12\r\n\r\n{SECRET}");
                Conduct::Say(text.into_bytes())
            }
            _ => return None,
        })
    })
    .await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("t")], echo));
    stage.want_http_with("a", telling.address, SECRET, "b");
    stage.until_known(2).await;
    for how in ["result", "error", "refusal"] {
        let reply = call(stage.address, "a__t", &json!({"how": how})).await;
        let told = reply.json().to_string();
        assert!(told.contains("[secret]") && !told.contains("ss/word") && !told.contains("cGEic3Mv"), "{how}: {told}");
    }
    let reply = call(stage.address, "b__t", &json!({"text": format!("send {SECRET} on")})).await;
    assert_eq!(reply.json()["error"]["code"], -32602, "{reply:?}");
    assert!(!reply.json().to_string().contains("ss/word"), "{reply:?}");
    assert!(call(stage.address, "b__t", &json!({"text": "fine"})).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_server_that_leaves_its_stream_unanswered_is_called_all_the_same() {
    let silent =
        HttpServer::start(false, |asked| asked.head.starts_with("get").then(|| Conduct::Stop(Vec::new()))).await;
    let stage = Stage::begin().await;
    stage.want_http("a", silent.address);
    stage.until_known(1).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a__t", "arguments": {}}});
    let reply = send(stage.address, legacy(stage.address, "", &session, &body.to_string())).await;
    assert_eq!(reply.json()["result"]["content"][0]["text"], "fine", "{reply:?}");
}

#[tokio::test]
async fn a_server_that_takes_a_notification_and_never_answers_is_told_as_broken() {
    let is_note = |asked: &Asked| asked.method() == "notifications/initialized";
    let silent = HttpServer::start(false, move |asked| is_note(asked).then(|| Conduct::Stop(Vec::new()))).await;
    let stage = Stage::begin().await;
    stage.want_http("a", silent.address);
    eventually(|| silent.asked.lock().unwrap().iter().any(is_note)).await;
    // From here on there is nothing but to wait.
    tokio::time::pause();
    let why = stage.until_failed("a").await;
    assert!(why.contains("notifications/initialized"), "{why}");
}

#[tokio::test]
async fn a_server_that_speaks_nothing_hides_no_other_and_is_told_with_why() {
    let html = HttpServer::start(true, |_| {
        Some(Conduct::Say(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>".to_vec()))
    })
    .await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("echo")], echo));
    stage.want_http_beside("a", html.address, "b");
    stage.until_known(1).await;
    let why = stage.until_failed("a").await;
    assert!(why.contains("initialize"), "{why}");
    assert_eq!(call(stage.address, "b__echo", &json!({})).await.status, 200);
    eventually(|| stage.hub.status().ready == 1).await;
}

#[tokio::test]
async fn a_server_that_ends_its_stream_early_has_the_rest_fetched_from_there_and_is_called_once() {
    let called = Mutex::new(Value::Null);
    let server = HttpServer::start(false, move |asked| {
        let mut called = called.lock().unwrap();
        let event = if asked.method() == "tools/call" {
            called.clone_from(&asked.message["id"]);
            "id: 7\nretry: 20\ndata: \n\n".to_owned()
        } else if asked.head.contains("last-event-id: 7") {
            let result = json!({"content": [{"type": "text", "text": "late"}]});
            format!("id: 8\ndata: {}\n\n", json!({"jsonrpc": "2.0", "id": *called, "result": result}))
        } else {
            return None;
        };
        Some(Conduct::Say([stream_head(), event.into_bytes()].concat()))
    })
    .await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    assert_eq!(call(stage.address, "a__t", &json!({})).await.json()["result"]["content"][0]["text"], "late");
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|asked| asked.method() == "tools/call").count(), 1);
    let fetched = asked.iter().find(|asked| asked.head.contains("last-event-id")).unwrap();
    assert!(fetched.head.starts_with("get") && fetched.head.contains("mcp-session-id: theirs"), "{fetched:?}");
}

#[tokio::test]
async fn a_server_that_has_no_more_to_be_fetched_is_asked_for_it_once() {
    let server = HttpServer::start(false, |asked| {
        let begins = asked.method() == "tools/call";
        let event = if begins { "id: 7\nretry: 1\ndata: \n\n" } else { ": nothing\n\n" };
        let is_stream = begins || asked.head.contains("last-event-id");
        is_stream.then(|| Conduct::Say([stream_head(), event.as_bytes().to_vec()].concat()))
    })
    .await;
    let stage = Stage::begin().await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    assert_eq!(call(stage.address, "a__t", &json!({})).await.code(), -31001);
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|asked| asked.head.contains("last-event-id")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn what_a_server_asks_outside_of_any_call_is_refused_and_not_left_open() {
    let asking = HttpServer::start(false, |asked| {
        let question = r#"{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}"#;
        let stream = [stream_head(), format!("data: {question}\n\n").into_bytes()].concat();
        asked.head.starts_with("get").then_some(Conduct::Stop(stream))
    })
    .await;
    let stage = Stage::begin().await;
    stage.want_http("a", asking.address);
    let is_refused = |asked: &Asked| asked.message["id"] == "q" && asked.message["error"]["code"] == -32601;
    eventually(|| asking.asked.lock().unwrap().iter().any(is_refused)).await;
}
