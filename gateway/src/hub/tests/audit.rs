//! The audit has a record of each request, whatever came of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::stage::{Stage, nothing_more, server};
use crate::audit::verify;

#[tokio::test]
async fn what_is_refused_before_it_is_understood_leaves_a_record_too() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::begin(Some(directory.path())).await;
    let host = stage.address.to_string();
    let json = "Content-Type: application/json\r\n";
    let modern = "MCP-Protocol-Version: 2026-07-28\r\n";
    let session = "Mcp-Session-Id: guessed\r\n";
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let requests = [
        ("POST /mcp", format!("Host: {host}\r\nAccept: text/html\r\n{json}"), "{}"),
        ("POST /mcp", format!("Host: {host}\r\nContent-Type: text/plain\r\n"), "{}"),
        ("POST /mcp", format!("Host: {host}\r\n{json}"), "{"),
        ("POST /mcp", format!("Host: {host}\r\n{json}"), "[]"),
        ("POST /mcp", format!("Host: {host}\r\n{json}"), ping),
        ("POST /mcp", format!("Host: {host}\r\n{json}{session}"), ping),
        ("POST /mcp", format!("Host: {host}\r\n{json}{modern}"), ping),
        ("POST /mcp/nobody", format!("Host: {host}\r\n{json}"), ping),
        ("POST /mcp", "Host: evil.example\r\n".to_owned(), ping),
        ("GET /mcp", format!("Host: {host}\r\n"), ""),
        ("DELETE /mcp", format!("Host: {host}\r\n{session}"), ""),
        ("PUT /mcp", format!("Host: {host}\r\n"), ""),
    ];
    for (line, headers, body) in &requests {
        let mut stream = tokio::net::TcpStream::connect(stage.address).await.unwrap();
        let length = body.len();
        let request =
            format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{line}: {answer}");
    }
    let path = directory.path().join("audit.jsonl");
    let expected = u64::try_from(requests.len()).unwrap();
    for _ in 0..500 {
        if verify(BufReader::new(fs::File::open(&path).unwrap())).is_ok_and(|count| count == expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", fs::read_to_string(&path).unwrap());
}

#[tokio::test]
async fn there_is_a_record_of_each_request_and_no_value_of_an_argument() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::begin(Some(directory.path())).await;
    stage.servers.run("a-1", server(true, &["echo"], nothing_more));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_ready("a-1").await;
    let client = stage.legacy(json!({})).await;
    for _ in 0..50 {
        let secret = json!({"password": "hunter2"});
        client.call_tool("a__echo", secret.clone()).await.unwrap();
        stage.modern("tools/call", json!({"name": "a__echo", "arguments": secret})).await.unwrap();
        stage.modern("tools/call", json!({"name": "a__none", "arguments": {}})).await.unwrap_err();
        client.call("tools/list", json!({}), |_, _| Value::Null).await.unwrap();
        stage.modern("server/discover", json!({})).await.unwrap();
    }
    let path = directory.path().join("audit.jsonl");
    // The two that began the session, and five of each round.
    let expected = 2 + 50 * 5;
    for _ in 0..500 {
        if verify(BufReader::new(fs::File::open(&path).unwrap())).is_ok_and(|count| count == expected) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(verify(text.as_bytes()).unwrap(), expected);
    assert!(!text.contains("hunter2"), "no value is written down");
    let mut outcomes: BTreeMap<(String, String), u32> = BTreeMap::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let word = |field: &str| record["record"][field].as_str().unwrap().to_owned();
        *outcomes.entry((word("method"), word("outcome"))).or_default() += 1;
        assert!(!text.contains(client.session.id.as_deref().unwrap()), "a session's id is a key");
    }
    let count = |method: &str, outcome: &str| outcomes[&(method.to_owned(), outcome.to_owned())];
    assert_eq!((count("tools/call", "ok"), count("tools/call", "refused")), (100, 50));
    assert_eq!((count("tools/list", "ok"), count("server/discover", "ok")), (50, 50));
    assert!(text.contains(r#""arguments":{"password":"string(7)"}"#));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_has_ended_has_written_down_what_it_answered_and_what_it_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::begin(Some(directory.path())).await;
    let hung = Arc::new(Notify::new());
    let hangs = Arc::clone(&hung);
    stage.servers.run("a-1", server(true, &["echo", "hang"], move |_, _| hangs.notify_one()));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_ready("a-1").await;
    let hanging = stage.modern_exchange("tools/call", json!({"name": "a__hang", "arguments": {}}));
    let ending = async {
        timeout(Duration::from_secs(30), hung.notified()).await.unwrap();
        for _ in 0..20 {
            stage.modern("tools/call", json!({"name": "a__echo", "arguments": {}})).await.unwrap();
        }
        stage.end().await;
    };
    let (cut_off, ()) = tokio::join!(hanging, ending);
    drop(cut_off);
    let text = fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    let outcomes = |outcome: &str| text.matches(&format!(r#""outcome":"{outcome}""#)).count();
    assert_eq!((outcomes("ok"), outcomes("cancelled")), (20, 1), "{text}");
}
