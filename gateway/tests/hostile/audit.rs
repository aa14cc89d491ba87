//! What is written down of whom: denials, refusals, what servers ask, and values where they are wanted.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::audit::verify;
use gateway::config::{Action, AuditConfig, Endpoint, GatewayConfig, PinPolicy, Rule};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::http_server::{Asked, Conduct, HttpServer, stream_head, whole};
use super::stage::{IN_TIME, Out, Stage, at, config, echo, eventually, server, tool};
use super::wire::{asked_id, begin_session, call, legacy, modern, read_until, request, send};

const SECRET: &str = "pa\"ss/word+1";

/// A hub that writes an audit into a directory.
async fn begin(directory: &Path, has_values: bool, rules: &[Rule]) -> Stage {
    let audit = AuditConfig { has_values, ..AuditConfig::to(directory.join("audit.jsonl")) };
    Stage::begin_as(|config| GatewayConfig { audit: Some(audit), rules: rules.to_vec(), ..config }).await
}

/// The records of an audit so far, which is whole.
async fn records(stage: &Stage, directory: &Path) -> Vec<Value> {
    stage.hub.audit.settled().await;
    let text = fs::read_to_string(directory.join("audit.jsonl")).unwrap();
    assert!(!text.contains("ss/word"), "{text}");
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].take()).collect();
    verify(text.as_bytes()).unwrap();
    records
}

/// Of the records of a method how each ended, its server and its name.
fn ends(records: &[Value], method: &str) -> Vec<(String, Value, Value)> {
    let of = records.iter().filter(|record| record["method"] == method);
    of.map(|record| (record["outcome"].as_str().unwrap().to_owned(), record["server"].clone(), record["name"].clone()))
        .collect()
}

fn end(outcome: &str, server: &str, name: &str) -> (String, Value, Value) {
    (outcome.to_owned(), if server.is_empty() { Value::Null } else { server.into() }, name.into())
}

fn rule(server: &str, tool: &str, action: Action) -> Rule {
    Rule { principals: vec!["*".into()], servers: vec![server.into()], tools: vec![tool.into()], action }
}

#[tokio::test]
async fn what_a_rule_denies_is_denied_in_the_audit_by_its_own_name_and_unknown_to_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let rules = [rule("b", "*", Action::Deny), rule("a", "rm", Action::Deny), rule("*", "*", Action::Allow)];
    let stage = begin(directory.path(), false, &rules).await;
    stage.run("a", server(true, vec![tool("echo"), tool("rm"), tool("off")], echo));
    stage.run("b", server(false, vec![tool("t")], echo));
    let mut first = config("a", Endpoint::Stdio, PinPolicy::Off);
    first.rename.insert("rm".to_owned(), "remove".to_owned());
    first.deny.push("off".to_owned());
    stage.hub.set_servers(vec![first, config("b", Endpoint::Stdio, PinPolicy::Off)]);
    stage.until_known(4).await;
    let address = stage.address;
    let session = begin_session(address, "", json!({})).await;
    let mut told = Vec::new();
    for name in ["a__remove", "a__nothing", "a__off", "b__t"] {
        let reply = call(address, name, &json!({})).await;
        told.push(reply.json().to_string().replace(name, "NAME"));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}}).to_string();
        let reply = send(address, legacy(address, "", &session, &body)).await;
        told.push(reply.json().to_string().replace(name, "NAME"));
    }
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 1, "what is there looks like what is not: {told:?}");
    let long = "x".repeat(5_000);
    assert_eq!(call(address, &long, &json!({})).await.code(), -32602);
    let scoped = request("POST /mcp/b", &format!("Host: {address}\r\nContent-Type: application/json\r\n"), "{}");
    assert_eq!(send(address, scoped).await.status, 404);
    let params = json!({"uri": "file:///r"});
    assert_eq!(send(address, modern(address, "Mcp-Name: file:///r\r\n", "resources/read", params)).await.status, 404);
    let records = records(&stage, directory.path()).await;
    let twice = |end: (String, Value, Value)| [end.clone(), end];
    let expected = [
        twice(end("denied", "a", "rm")),
        twice(end("refused", "", "a__nothing")),
        twice(end("denied", "a", "off")),
        twice(end("denied", "b", "t")),
    ];
    let found = ends(&records, "tools/call");
    assert_eq!(found[..8], expected.concat());
    assert_eq!(found[8..], [end("refused", "", &long[..200])]);
    let scoped = records.iter().find(|record| record["method"] == "http POST").unwrap();
    assert_eq!((&scoped["outcome"], &scoped["server"]), (&json!("denied"), &json!("b")));
    let metrics = send(address, request("GET /metrics", &format!("Host: {address}\r\n"), "")).await.body;
    assert!(metrics.contains("evenkeel_mcp_requests_total{outcome=\"denied\"} 10\n"), "{metrics}");
    assert!(metrics.contains("evenkeel_mcp_call_seconds_count 1\n"), "none of them went to a server: {metrics}");
}

#[tokio::test]
async fn what_is_too_large_too_much_not_there_or_a_secret_is_in_the_audit_with_server_and_name() {
    let directory = tempfile::tempdir().unwrap();
    let stage = begin(directory.path(), false, &[]).await;
    for name in ["a", "b"] {
        stage.run(name, server(true, vec![tool("echo")], echo));
    }
    let mut first = config("a", Endpoint::Stdio, PinPolicy::Off);
    (first.calls.request_bytes, first.secrets) = (1_000, vec![SECRET.to_owned()]);
    let mut second = config("b", Endpoint::Stdio, PinPolicy::Off);
    second.calls.concurrency = 0;
    stage.hub.set_servers(vec![first, second]);
    stage.until_known(2).await;
    let address = stage.address;
    assert_eq!(call(address, "a__echo", &json!({"x": "y".repeat(2_000)})).await.code(), -31005);
    assert_eq!(call(address, "a__echo", &json!({SECRET: SECRET})).await.code(), -32602);
    assert_eq!(call(address, "b__echo", &json!({})).await.code(), -31004);
    assert_eq!(call(address, SECRET, &json!({})).await.code(), -32602);
    let params = json!({"name": "a__echo"});
    let mismatched = modern(address, "", "tools/call", params).replace("Mcp-Name: a__echo", "Mcp-Name: b__echo");
    assert_eq!(send(address, mismatched).await.code(), -32020);
    let found = ends(&records(&stage, directory.path()).await, "tools/call");
    let refused = |server: &str| end("refused", server, "echo");
    assert_eq!(found[..3], [refused("a"), refused("a"), refused("b")]);
    assert_eq!(found[3..], [end("refused", "", "[secret]"), ("refused".into(), Value::Null, Value::Null)]);
}

/// Asks for a name, and answers with what it was told.
fn ask_first(message: &Value, out: &Out) {
    let answers = &message["params"]["inputResponses"];
    if answers.is_object() {
        out.answer_text(message, &answers.to_string());
    } else if message["method"] == "tools/call" {
        let requests =
            json!({"who": {"method": "elicitation/create", "params": {"message": format!("who? {SECRET}")}}});
        out.answer(message, &json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}));
    }
}

/// Asks in the course of a call, and on the stream of what belongs to none.
fn ask_meanwhile(asked: &Asked) -> Option<Conduct> {
    let question = |id: &str, method: &str| {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"prompt": SECRET}});
        format!("data: {message}\n\n")
    };
    let say = |text: String| [stream_head(), text.into_bytes()].concat();
    if asked.method() == "tools/call" {
        let answer = json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": {"content": []}});
        return Some(Conduct::Say(say(format!("{}data: {answer}\n\n", question("q", "sampling/createMessage")))));
    }
    let is_stream = asked.head.starts_with("get") && asked.head.contains("theirs");
    is_stream.then(|| Conduct::Stop(say(question("r", "roots/list"))))
}

#[tokio::test]
async fn each_question_of_a_server_has_a_line_that_says_how_it_ended() {
    let directory = tempfile::tempdir().unwrap();
    let old = HttpServer::start(false, ask_meanwhile).await;
    let stage = begin(directory.path(), true, &[]).await;
    stage.run("new", server(true, vec![tool("ask")], ask_first));
    let mut first = config("old", at(old.address), PinPolicy::Off);
    first.secrets = vec![SECRET.to_owned()];
    stage.hub.set_servers(vec![first, config("new", Endpoint::Stdio, PinPolicy::Off)]);
    stage.until_known(2).await;
    let address = stage.address;
    // A modern client is asked with an answer.
    assert!(call(address, "new__ask", &json!({})).await.body.contains("input_required"));
    // One with a session is asked meanwhile: it answers, refuses, says a secret, and says nothing.
    let session = begin_session(address, "", json!({"elicitation": {}, "sampling": {}, "roots": {}})).await;
    let mut heard = TcpStream::connect(address).await.unwrap();
    let get = format!("GET /mcp HTTP/1.1\r\nHost: {address}\r\nMcp-Session-Id: {session}\r\n\r\n");
    heard.write_all(get.as_bytes()).await.unwrap();
    read_until(&mut heard, "text/event-stream").await;
    let say = async |message: Value| send(address, legacy(address, "", &session, &message.to_string())).await.status;
    let answers = [
        (json!({"result": {"action": "accept", "content": {"name": "ann"}}}), 202),
        (json!({"error": {"code": -1, "message": "no"}}), 202),
        (json!({"result": {"action": "accept", "content": {"name": SECRET}}}), 400),
    ];
    for (mut answer, status) in answers {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body =
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "new__ask"}}).to_string();
        stream.write_all(legacy(address, "", &session, &body).as_bytes()).await.unwrap();
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = asked_id(&mut stream).await;
        assert_eq!(say(answer).await, status);
        read_until(&mut stream, "\"id\":7").await;
    }
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "old__t"}});
    assert_eq!(say(body).await, 200);
    read_until(&mut heard, "roots/list").await;
    let end_it = request("DELETE /mcp", &format!("Host: {address}\r\nMcp-Session-Id: {session}\r\n"), "");
    assert_eq!(send(address, end_it).await.status, 200);
    // Who has no session cannot be asked by a server of the older eras.
    assert_eq!(call(address, "old__t", &json!({})).await.status, 200);
    let records = records(&stage, directory.path()).await;
    let asked: Vec<Value> = records.iter().filter(|record| record["askedBy"] == "server").cloned().collect();
    let of = |method: &str| ends(&asked, method);
    let elicited = |outcome: &str| end(outcome, "new", "ask");
    assert_eq!(of("elicitation/create"), ["asked", "ok", "error", "refused"].map(elicited));
    assert_eq!(of("sampling/createMessage"), ["cancelled", "refused"].map(|outcome| end(outcome, "old", "t")));
    let [stray] = of("roots/list").try_into().unwrap();
    assert_eq!((stray.0.as_str(), &stray.1, &stray.2), ("cancelled", &json!("old"), &Value::Null));
    assert_eq!(asked.len(), 7, "{asked:#?}");
    let session_of = |record: &Value| record["session"].as_str().map(str::to_owned);
    assert_eq!(session_of(&asked[0]), None);
    assert!(asked[1..6].iter().all(|record| session_of(record).is_some()), "{asked:#?}");
    assert!(asked.iter().all(|record| record["principal"] == "anonymous"));
    assert_eq!(asked[1]["arguments"]["message"], "who? [secret]");
    assert_eq!(asked[1]["result"], r#"{"action":"accept","content":{"name":"ann"}}"#);
}

#[tokio::test]
async fn with_values_arguments_and_the_beginnings_of_results_are_written_down_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let stage = begin(directory.path(), true, &[]).await;
    let answer = |message: &Value, out: &Out| match message["params"]["arguments"]["how"].as_str() {
        Some("long") => out.answer_text(message, &"é".repeat(40_000)),
        Some("error") => {
            let error = json!({"code": -32000, "message": format!("not with {SECRET}")});
            out.say(&json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
        }
        _ => out.answer_text(message, &format!("it is {SECRET}")),
    };
    stage.run("a", server(true, vec![tool("t")], answer));
    let mut with = config("a", Endpoint::Stdio, PinPolicy::Off);
    with.secrets = vec![SECRET.to_owned()];
    stage.hub.set_servers(vec![with]);
    stage.until_known(1).await;
    for arguments in [json!({"how": "plain"}), json!({"how": "error"}), json!({"how": "long"}), json!({"how": SECRET})]
    {
        call(stage.address, "a__t", &arguments).await;
    }
    let records = records(&stage, directory.path()).await;
    let calls: Vec<&Value> = records.iter().filter(|record| record["method"] == "tools/call").collect();
    assert_eq!(calls[0]["arguments"], json!({"how": "plain"}));
    assert!(calls[0]["result"].as_str().unwrap().contains("it is [secret]"), "{}", calls[0]);
    assert!(calls[1]["result"].as_str().unwrap().contains("not with [secret]"), "{}", calls[1]);
    let long = calls[2]["result"].as_str().unwrap();
    assert!(long.contains("éé") && long.len() <= 16 << 10, "{} bytes", long.len());
    assert_eq!((&calls[3]["arguments"], &calls[3]["outcome"]), (&json!({"how": "[secret]"}), &json!("refused")));
}

#[tokio::test]
async fn who_hangs_up_before_he_is_understood_has_a_line_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let stage = begin(directory.path(), false, &[]).await;
    let whole = modern(stage.address, "", "tools/list", json!({}));
    let rounds = 50;
    for length in [whole.len() - 1, whole.len()].repeat(rounds) {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(&whole.as_bytes()[..length]).await.unwrap();
    }
    eventually(|| {
        let text = fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
        text.lines().count() >= 2 * rounds
    })
    .await;
    let found = records(&stage, directory.path()).await;
    assert_eq!(found.len(), 2 * rounds);
    let is_known = |record: &Value| record["method"] == "tools/list" || record["outcome"] != "ok";
    assert!(found.iter().all(is_known), "{found:?}");
}

#[tokio::test]
async fn who_does_not_wait_for_a_list_has_lines_in_the_order_of_his_questions() {
    let directory = tempfile::tempdir().unwrap();
    let stage = begin(directory.path(), false, &[]).await;
    let asked = ["tools/list", "server/discover", "prompts/list", "tools/list", "no/such"];
    let all: String = asked.map(|method| modern(stage.address, "", method, json!({}))).concat();
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(all.as_bytes()).await.unwrap();
    read_until(&mut stream, "no such method").await;
    let found = records(&stage, directory.path()).await;
    assert_eq!(found.iter().map(|record| record["method"].as_str().unwrap()).collect::<Vec<_>>(), asked);
}

#[tokio::test]
async fn who_hangs_up_while_a_server_is_told_has_a_line_all_the_same_and_the_server_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let told = Arc::new(Notify::new());
    let tell = Arc::clone(&told);
    // Asks in the course of a call, and takes what it is told only once the client is gone.
    let conduct = move |asked: &Asked| match asked.method() {
        "tools/call" => {
            let question = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}});
            Some(Conduct::Stop([stream_head(), format!("data: {question}\n\n").into_bytes()].concat()))
        }
        "logging/setLevel" => Some(Conduct::Stop(stream_head())),
        "" if asked.message["result"].is_object() => Some(Conduct::Wait(Arc::clone(&tell), whole("", ""))),
        _ => None,
    };
    let server = HttpServer::start(false, conduct).await;
    let stage = begin(directory.path(), false, &[]).await;
    stage.want_http("a", server.address);
    stage.until_known(1).await;
    let address = stage.address;
    let session = begin_session(address, "", json!({"elicitation": {}})).await;
    let begin = async |message: Value| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(legacy(address, "", &session, &message.to_string()).as_bytes()).await.unwrap();
        stream
    };
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "a__t"}});
    let mut calling = begin(call).await;
    let id = asked_id(&mut calling).await;
    let has_come = |is_it: &dyn Fn(&Asked) -> bool| server.asked.lock().unwrap().iter().any(is_it);
    let level = json!({"jsonrpc": "2.0", "id": 8, "method": "logging/setLevel", "params": {"level": "error"}});
    let setting = begin(level).await;
    eventually(|| has_come(&|asked| asked.method() == "logging/setLevel")).await;
    drop(setting);
    let answering = begin(json!({"jsonrpc": "2.0", "id": id, "result": {"action": "decline"}})).await;
    eventually(|| has_come(&|asked| asked.message["result"].is_object())).await;
    let so_far = records(&stage, directory.path()).await;
    assert!(ends(&so_far, "elicitation/create").is_empty(), "it is not told yet: {so_far:?}");
    drop(answering);
    let outcomes = async |method: &str, outcome: &str| loop {
        let records = records(&stage, directory.path()).await;
        let of: Vec<_> = records.iter().filter(|record| record["method"] == method).collect();
        if !of.is_empty() {
            assert!(of.len() == 1 && of[0]["outcome"] == outcome, "{of:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    timeout(IN_TIME, outcomes("logging/setLevel", "cancelled")).await.unwrap();
    told.notify_one();
    timeout(IN_TIME, outcomes("elicitation/create", "ok")).await.unwrap();
    timeout(IN_TIME, outcomes("response", "ok")).await.unwrap();
}

#[tokio::test]
async fn a_subscription_is_in_the_audit_with_what_it_asks_for_and_denied_where_all_of_that_is_withheld() {
    let directory = tempfile::tempdir().unwrap();
    let rules = [rule("a", "x://withheld/*", Action::Deny), rule("*", "*", Action::Allow)];
    let stage = begin(directory.path(), false, &rules).await;
    stage.run("a", server(true, vec![tool("t")], echo));
    let mut with = config("a", Endpoint::Stdio, PinPolicy::Off);
    with.secrets = vec![SECRET.to_owned()];
    stage.hub.set_servers(vec![with]);
    stage.until_known(1).await;
    let wanted = [
        json!({"resourceSubscriptions": ["x://withheld/1", "x://withheld/2"]}),
        json!({"resourceSubscriptions": ["x://r", format!("x://r/{SECRET}"), "x://withheld/1"]}),
        json!({"toolsListChanged": true}),
    ];
    for wanted in &wanted {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        let asked = modern(stage.address, "", "subscriptions/listen", json!({ "notifications": wanted }));
        stream.write_all(asked.as_bytes()).await.unwrap();
        read_until(&mut stream, "acknowledged").await;
    }
    let audit = directory.path().join("audit.jsonl");
    let count = || fs::read_to_string(&audit).unwrap().matches("subscriptions/listen").count();
    eventually(|| count() == wanted.len()).await;
    let records = records(&stage, directory.path()).await;
    let mut found = ends(&records, "subscriptions/listen");
    found.sort_by_key(|(outcome, server, name)| (outcome.clone(), server.to_string(), name.to_string()));
    let denied = end("denied", "a", "x://withheld/1 x://withheld/2");
    let heard = end("ok", "a", "x://r x://r/[secret] x://withheld/1");
    assert_eq!(found, [denied, heard, ("ok".to_owned(), Value::Null, Value::Null)]);
    let denied = records.iter().find(|record| record["outcome"] == "denied").unwrap();
    assert_eq!(denied["arguments"], json!({"resourceSubscriptions": "array(2)"}));
}

#[tokio::test]
async fn without_values_nothing_of_an_argument_a_result_a_question_or_its_answer_is_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let stage = begin(directory.path(), false, &[]).await;
    stage.run("a", server(true, vec![tool("ask")], ask_first));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let answers = json!({"who": {"action": "accept", "content": {"name": "canary"}}});
    let params = json!({"name": "a__ask", "arguments": {"canary": "canary"}, "inputResponses": answers});
    let asked = Arc::new(call(stage.address, "a__ask", &json!({"x": "canary"})).await);
    assert!(asked.body.contains("who?"), "{asked:?}");
    assert!(send(stage.address, modern(stage.address, "", "tools/call", params)).await.body.contains("canary"));
    let text = json!(records(&stage, directory.path()).await).to_string();
    assert!(!text.contains("who?") && text.matches("canary").count() == 1, "only the name of an argument is: {text}");
}
