//! The value of a server's secret file: no client is told it by any way, and no server by any other than its own file.

use gateway::config::{Endpoint, PinPolicy};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::http_server::{Asked, Conduct, HttpServer, stream_head, whole};
use super::stage::{Out, Stage, config, eventually, server, tool};
use super::wire::{begin_session, call, id_of, legacy, modern, post, read_until, send};

const SECRET: &str = "pa\"ss/word+1";

/// Whether nothing of the secret is in a text, in no spelling, and what stands instead is, so often.
fn assert_hidden(count: usize, told: &str) {
    assert!(!told.contains("ss/word") && !told.contains("cGEic3Mv"), "{told}");
    assert_eq!(told.matches("[secret]").count(), count, "{told}");
}

fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

/// Progress, a log message, and a question, each with the secret in it.
fn notes(token: &Value) -> String {
    let note = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
    let progress = json!({"progressToken": token, "progress": 1, "message": SECRET});
    let question =
        json!({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {"prompt": SECRET}});
    [
        note("notifications/progress", progress),
        note("notifications/message", json!({"level": "info", "data": {"nested": SECRET}})),
        question,
    ]
    .iter()
    .map(event)
    .collect()
}

/// A server of the sessions' era that says its secret wherever it can.
fn tell_all(asked: &Asked) -> Option<Conduct> {
    let id = &asked.message["id"];
    let answer = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let params = &asked.message["params"];
    let say = |text: String| Some(Conduct::Say([stream_head(), text.into_bytes()].concat()));
    match (asked.method(), params["arguments"]["how"].as_str()) {
        ("initialize", _) => {
            let capabilities = json!({"tools": {}, "prompts": {}, "resources": {}, "logging": {}});
            let said = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}, "instructions": SECRET});
            Some(Conduct::Say(whole("Mcp-Session-Id: theirs\r\n", &answer(said).to_string())))
        }
        ("tools/list", _) => {
            let mut tool = tool("t");
            tool["description"] = SECRET.into();
            tool["inputSchema"]["properties"] = json!({"how": {"default": SECRET}});
            Some(Conduct::Say(whole("", &answer(json!({"tools": [tool]})).to_string())))
        }
        ("prompts/list", _) => {
            let prompt = json!({"name": "p", "description": SECRET});
            Some(Conduct::Say(whole("", &answer(json!({"prompts": [prompt]})).to_string())))
        }
        ("resources/list", _) => {
            let resource = json!({"uri": "file:///r", "name": "r", "description": SECRET});
            Some(Conduct::Say(whole("", &answer(json!({"resources": [resource]})).to_string())))
        }
        ("resources/templates/list", _) => {
            let template = json!({"uriTemplate": "file:///{x}", "name": "r", "description": SECRET});
            Some(Conduct::Say(whole("", &answer(json!({"resourceTemplates": [template]})).to_string())))
        }
        ("tools/call", Some("result")) => {
            let content = json!([{"type": "text", "text": format!("it is {SECRET}, or cGEic3Mvd29yZCsx")}]);
            say(event(&answer(json!({"content": content, "structuredContent": {"value": SECRET}}))))
        }
        ("tools/call", Some("error")) => {
            let error = json!({"code": -32000, "message": SECRET, "data": {"more": SECRET}});
            say(event(&json!({"jsonrpc": "2.0", "id": id, "error": error})))
        }
        ("tools/call", Some("notes")) => {
            let token = &params["_meta"]["progressToken"];
            say(format!("{}{}", notes(token), event(&answer(json!({"content": []})))))
        }
        // What belongs to no call.
        ("", None) if asked.head.starts_with("get") && asked.head.contains("theirs") => {
            Some(Conduct::Stop([stream_head(), notes(&json!("none")).into_bytes()].concat()))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_servers_secret_is_in_no_result_error_progress_log_message_question_session_stream_or_list() {
    let telling = HttpServer::start(false, tell_all).await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("t")], super::stage::echo));
    stage.want_http_with("a", telling.address, SECRET, "b");
    stage.until_known(2).await;
    let address = stage.address;
    let initialize =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": initialize}).to_string();
    assert_hidden(1, &send(address, post(address, "", &body)).await.body);
    assert_hidden(1, &send(address, modern(address, "", "server/discover", json!({}))).await.body);
    for (list, count) in
        [("tools/list", 2), ("prompts/list", 1), ("resources/list", 1), ("resources/templates/list", 1)]
    {
        assert_hidden(count, &send(address, modern(address, "", list, json!({}))).await.body);
    }
    let session = begin_session(address, "", json!({"sampling": {}})).await;
    let mut heard = TcpStream::connect(address).await.unwrap();
    let get = format!("GET /mcp HTTP/1.1\r\nHost: {address}\r\nMcp-Session-Id: {session}\r\n\r\n");
    heard.write_all(get.as_bytes()).await.unwrap();
    read_until(&mut heard, "text/event-stream").await;
    let ask = async |how: &str| {
        let params = json!({"name": "a__t", "arguments": {"how": how}, "_meta": {"progressToken": "mine"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        send(address, legacy(address, "", &session, &body)).await.body
    };
    assert_hidden(3, &ask("result").await);
    assert_hidden(2, &ask("error").await);
    let told = ask("notes").await;
    for method in ["notifications/progress", "notifications/message", "sampling/createMessage"] {
        assert!(told.contains(method), "{method}: {told}");
    }
    assert_hidden(3, &told);
    // The server's session began with the first call, and with it the stream of what belongs to none.
    let told = read_until(&mut heard, "sampling/createMessage\",\"params\":{\"prompt\":\"[secret]\"").await;
    assert_hidden(2, &told);
    assert!(!told.contains("notifications/progress"), "progress belongs to a call, and is told beside it: {told}");
}

#[tokio::test]
async fn a_secret_in_the_reason_why_a_server_does_not_answer_is_told_to_nobody() {
    let refusing = HttpServer::start(false, |asked| {
        let error = json!({"code": -32000, "message": format!("not with {SECRET}")});
        let answer = json!({"jsonrpc": "2.0", "id": asked.message["id"], "error": error});
        (asked.method() == "initialize").then(|| Conduct::Say(whole("", &answer.to_string())))
    })
    .await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("t")], super::stage::echo));
    stage.want_http_with("a", refusing.address, SECRET, "b");
    stage.until_known(1).await;
    let why = stage.until_failed("a").await;
    assert_hidden(1, &why);
}

/// Asks for a name, and answers with what it was told.
fn ask_first(message: &Value, out: &Out) {
    let answers = &message["params"]["inputResponses"];
    if answers.is_object() {
        out.answer_text(message, &answers.to_string());
    } else if message["method"] == "tools/call" {
        let params = json!({"message": SECRET, "requestedSchema": {"type": "object", "properties": {}}});
        let requests = json!({"who": {"method": "elicitation/create", "params": params}});
        out.answer(message, &json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}));
    }
}

#[tokio::test]
async fn a_secret_is_in_no_question_of_a_modern_server_and_no_answer_that_holds_one_gets_there() {
    let other = HttpServer::start(true, |_| None).await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("ask")], ask_first));
    stage.want_http_with("a", other.address, SECRET, "b");
    stage.until_known(2).await;
    let address = stage.address;
    let reply = send(address, modern(address, "", "tools/call", json!({"name": "b__ask", "arguments": {}}))).await;
    assert_hidden(1, &reply.body);
    let session = begin_session(address, "", json!({"elicitation": {}})).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let params = json!({"name": "b__ask", "arguments": {}});
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).to_string();
    stream.write_all(legacy(address, "", &session, &body).as_bytes()).await.unwrap();
    let question = read_until(&mut stream, "elicitation/create").await;
    assert_hidden(1, &question);
    let id = id_of(&question);
    let result = json!({"action": "accept", "content": {"name": SECRET}});
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    let reply = send(address, legacy(address, "", &session, &answer)).await;
    assert_eq!((reply.status, reply.code()), (400, -32602), "{reply:?}");
    let told = read_until(&mut stream, "\"id\":7").await;
    assert!(told.contains("\"error\"") && !told.contains("accept"), "{told}");
    let responses = json!({"who": {"action": "accept", "content": {"name": SECRET}}});
    let params = json!({"name": "b__ask", "arguments": {}, "inputResponses": responses});
    assert_eq!(send(address, modern(address, "", "tools/call", params)).await.code(), -32602);
}

#[tokio::test]
async fn no_answer_notification_subscription_or_name_of_a_client_takes_a_secret_to_a_server() {
    let asking = HttpServer::start(false, tell_all).await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("t")], super::stage::echo));
    stage.want_http_with("a", asking.address, SECRET, "b");
    stage.until_known(2).await;
    let address = stage.address;
    let told = |wanted: &str| {
        let asked = asking.asked.lock().unwrap();
        let count = asked.iter().filter(|asked| asked.message.to_string().contains(wanted)).count();
        assert!(!asked.iter().any(|asked| asked.message.to_string().contains("ss/word")), "{asked:?}");
        count
    };
    let info = json!({"name": SECRET, "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
    assert_eq!(send(address, post(address, "", &body)).await.code(), -32602);
    let session = begin_session(address, "", json!({"sampling": {}, "roots": {}})).await;
    let say = async |message: Value| send(address, legacy(address, "", &session, &message.to_string())).await;
    let params = json!({"name": "a__t", "arguments": {"how": "notes"}});
    let reply = say(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})).await;
    let question = reply.body.lines().find(|line| line.contains("sampling/createMessage")).unwrap();
    let id = serde_json::from_str::<Value>(question.strip_prefix("data: ").unwrap()).unwrap()["id"].clone();
    let reply = say(json!({"jsonrpc": "2.0", "id": id, "result": {"text": SECRET}})).await;
    assert_eq!((reply.status, reply.code()), (400, -32602), "{reply:?}");
    // Who asked is told that there is no answer, and does not wait for one.
    eventually(|| told("-32602") == 1).await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed", "params": {"x": SECRET}});
    assert_eq!(say(note).await.status, 202);
    eventually(|| told("roots/list_changed") == 1).await;
    let params = json!({"uri": format!("file:///{SECRET}")});
    let reply = say(json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": params})).await;
    assert_eq!(reply.code(), -32602, "{reply:?}");
    told("");
}

#[tokio::test]
async fn a_secret_across_the_end_of_what_is_told_of_a_failure_is_hidden_from_its_beginning() {
    let refusing = HttpServer::start(true, |asked| {
        let length = usize::try_from(asked.message["params"]["arguments"]["length"].as_u64()?).ok()?;
        let body = format!("{}{SECRET}", "x".repeat(length));
        let head = format!("HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        Some(Conduct::Say([head, body].concat().into_bytes()))
    })
    .await;
    let stage = Stage::begin().await;
    stage.run("b", server(true, vec![tool("t")], super::stage::echo));
    stage.want_http_with("a", refusing.address, SECRET, "b");
    stage.until_known(2).await;
    for length in 260..300 {
        let reply = call(stage.address, "a__t", &json!({ "length": length })).await;
        assert!(reply.body.contains("xxx") && !reply.body.contains("xp"), "{reply:?}");
        assert!(reply.body.matches('x').count() <= 300, "{reply:?}");
    }
}

#[tokio::test]
async fn a_secret_that_is_new_since_a_call_began_is_hidden_in_its_answer_too() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let hold = move |message: &Value, out: &Out| {
        if message["method"] == "tools/call" {
            tell.send((message.clone(), out.clone())).unwrap();
        }
    };
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("t")], hold));
    let with = |secret: &str| {
        let mut with = config("a", Endpoint::Stdio, PinPolicy::Off);
        with.secrets = vec![secret.to_owned()];
        stage.hub.set_servers(vec![with]);
    };
    with("the old one");
    stage.until_known(1).await;
    let address = stage.address;
    let calling = tokio::spawn(async move { call(address, "a__t", &json!({})).await });
    let (message, out) = told.recv().await.unwrap();
    with(SECRET);
    out.answer_text(&message, &format!("the old one, {SECRET}"));
    let reply = calling.await.unwrap();
    assert_hidden(2, &reply.body);
    assert!(!reply.body.contains("the old one"), "{reply:?}");
}
