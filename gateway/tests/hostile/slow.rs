//! Clients that hold on to what they were given and use it for nothing. The clock is the test's own where time must pass, and only there:
//! one that is stopped runs ahead of bytes that are still on their way.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::stage::{Out, Stage, echo, server, tool};
use super::wire::{begin_session, call, modern, receive, send};

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_and_a_connection_that_says_nothing_are_closed() {
    let stage = Stage::begin().await;
    for begun in ["", "POST /mcp HTTP/1.1\r\nHost: loc", "POST /mcp HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let started = Instant::now();
        let reply = receive(&mut stream).await;
        assert!([0, 408].contains(&reply.status), "{begun:?}: {reply:?}");
        assert!(started.elapsed() <= Duration::from_secs(20), "{begun:?}");
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_after_its_answer_is_closed() {
    let stage = Stage::begin().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(modern(stage.address, "", "tools/list", json!({})).as_bytes()).await.unwrap();
    assert_eq!(receive(&mut stream).await.status, 200);
    tokio::time::pause();
    assert_eq!(receive(&mut stream).await.status, 0);
}

#[tokio::test]
async fn a_body_that_never_comes_is_answered_408() {
    for begun in ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"] {
        let stage = Stage::begin().await;
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        let head = format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", stage.address);
        stream.write_all(format!("{head}Expect: 100-continue\r\n{begun}").as_bytes()).await.unwrap();
        // The head has been read when the body is asked for.
        let mut asked_on = [0; 25];
        stream.read_exact(&mut asked_on).await.unwrap();
        assert_eq!(&asked_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        tokio::time::pause();
        let mut all = Vec::new();
        let reading = stream.read_to_end(&mut all);
        tokio::time::timeout(Duration::from_mins(2), reading).await.expect("it is closed").unwrap();
        tokio::time::resume();
        assert!(all.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&all));
    }
}

#[tokio::test]
async fn three_hundred_silent_connections_keep_nobody_out() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("echo")], echo));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(stage.address).await.unwrap());
    }
    assert_eq!(call(stage.address, "a__echo", &json!({"n": 1})).await.status, 200);
}

/// Answers a call with more than any buffer takes, before its answer.
fn talk(message: &serde_json::Value, out: &Out) {
    let token = &message["params"]["_meta"]["progressToken"];
    let text = "x".repeat(64 << 10);
    for number in 0..1_000 {
        let params = json!({"progressToken": token, "progress": number, "message": text});
        out.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
    }
    out.answer_text(message, "done");
}

#[tokio::test]
async fn a_client_that_never_reads_its_stream_holds_up_no_other() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("talk")], talk));
    stage.run("b", server(true, vec![tool("echo")], echo));
    stage.want(&["a", "b"]);
    stage.until_known(2).await;
    let session = begin_session(stage.address, "", json!({})).await;
    let mut listening = TcpStream::connect(stage.address).await.unwrap();
    let get = format!("GET /mcp HTTP/1.1\r\nHost: {}\r\nMcp-Session-Id: {session}\r\n\r\n", stage.address);
    listening.write_all(get.as_bytes()).await.unwrap();
    let mut deaf = TcpStream::connect(stage.address).await.unwrap();
    let params = json!({"name": "a__talk", "arguments": {}, "_meta": {"progressToken": "t"}});
    deaf.write_all(modern(stage.address, "", "tools/call", params).as_bytes()).await.unwrap();
    for round in 0..50 {
        let reply = call(stage.address, "b__echo", &json!({"round": round})).await;
        assert_eq!(reply.json()["result"]["content"][0]["text"], json!({"round": round}).to_string());
    }
    drop(deaf);
    assert_eq!(send(stage.address, modern(stage.address, "", "tools/list", json!({}))).await.status, 200);
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_loses_its_place_at_the_server() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("talk")], talk));
    stage.want_one_at_a_time("a");
    stage.until_known(1).await;
    let mut deaf = TcpStream::connect(stage.address).await.unwrap();
    let params = json!({"name": "a__talk", "arguments": {}, "_meta": {"progressToken": "t"}});
    deaf.write_all(modern(stage.address, "", "tools/call", params).as_bytes()).await.unwrap();
    deaf.read_exact(&mut [0; 1]).await.unwrap();
    assert_eq!(call(stage.address, "a__talk", &json!({})).await.code(), -31004, "there is one place");
    for _ in 0..500 {
        // Whether it waits for its client by now is not seen from outside: time passes again and again.
        tokio::time::pause();
        tokio::time::advance(Duration::from_mins(1)).await;
        tokio::time::resume();
        let reply = call(stage.address, "a__talk", &json!({})).await.json();
        if reply["error"]["code"] != -31004 {
            assert_eq!(reply["result"]["content"][0]["text"], "done", "{reply}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("its place is still taken");
}
