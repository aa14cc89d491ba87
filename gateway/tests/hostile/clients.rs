//! Who is let in, and what a message may be.

use std::net::SocketAddr;

use gateway::config::{Action, Rule};
use serde_json::json;

use super::stage::{Stage, echo, server, tool};
use super::wire::{call, modern, post, request, send, tool_names};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn list(address: SocketAddr, headers: &str) -> String {
    modern(address, headers, "tools/list", json!({}))
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_answered_400() {
    let stage = Stage::begin().await;
    for hosts in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nHost: evil.example\r\n"] {
        let reply =
            send(stage.address, request("POST /mcp", &format!("{hosts}Content-Type: application/json\r\n"), PING))
                .await;
        assert_eq!(reply.status, 400, "{hosts:?}: {reply:?}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_answered_403_in_every_spelling() {
    let stage = Stage::begin().await;
    for host in [
        "evil.example",
        "evil.example:3010",
        "localhost.evil.example",
        "[::1].evil.example",
        "localhost@evil.example",
        "127.1",
        "0.0.0.0",
        "169.254.169.254",
    ] {
        for line in ["POST /mcp", "GET /mcp", "DELETE /mcp", "GET /metrics"] {
            let reply = send(stage.address, request(line, &format!("Host: {host}\r\n"), "")).await;
            assert_eq!(reply.status, 403, "{line} {host}: {reply:?}");
            assert!(!reply.body.contains("evil"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn a_foreign_page_a_null_origin_and_two_origins_are_answered_403_with_any_method() {
    let stage = Stage::begin().await;
    let host = format!("Host: {}\r\n", stage.address);
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://[::1].evil.example",
        "file://",
        "http://localhost\r\nOrigin: https://evil.example",
    ] {
        for line in ["POST /mcp", "GET /mcp", "DELETE /mcp", "OPTIONS /mcp", "GET /metrics"] {
            let reply = send(stage.address, request(line, &format!("{host}Origin: {origin}\r\n"), "")).await;
            assert_eq!(reply.status, 403, "{line} {origin}: {reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
}

#[tokio::test]
async fn an_absolute_uri_of_another_host_is_refused_whatever_the_host_header_says() {
    let stage = Stage::begin().await;
    let body = list(stage.address, "");
    let foreign = body.replace("POST /mcp", "POST http://evil.example/mcp");
    assert_eq!(send(stage.address, foreign).await.status, 403);
    let own = body.replace("POST /mcp", &format!("POST http://{}/mcp", stage.address));
    assert_eq!(send(stage.address, own).await.status, 200);
}

#[tokio::test]
async fn a_strange_path_is_answered_404_or_400_and_not_echoed() {
    let stage = Stage::begin().await;
    let long = format!("/mcp/{}", "a".repeat(5_000));
    for path in [
        "/mcp/..%2f..",
        "/mcp/%2e%2e",
        "/mcp/%00",
        "/mcp/%0a",
        "/mcp/%1b[31m",
        "/mcp/a/../b",
        "/mcp//",
        "/mcp/A",
        "/mcp/\u{fffd}",
        "/v1/apps",
        "/mcp/nobody",
        "*",
        &long,
    ] {
        let reply = send(
            stage.address,
            request(
                &format!("POST {path}"),
                &format!("Host: {}\r\nContent-Type: application/json\r\n", stage.address),
                PING,
            ),
        )
        .await;
        assert!([400, 404].contains(&reply.status), "{path}: {reply:?}");
        assert!(reply.body.len() < 200 && !reply.body.contains('%'), "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_answered_405_with_those_that_are_allowed() {
    let stage = Stage::begin().await;
    let host = format!("Host: {}\r\n", stage.address);
    for (line, allowed) in [
        ("PUT /mcp", "POST, GET, DELETE"),
        ("OPTIONS /mcp", "POST, GET, DELETE"),
        ("TRACE /mcp", "POST, GET, DELETE"),
        ("GET /mcp", "POST"),
        ("POST /health", "GET, HEAD"),
        ("DELETE /metrics", "GET, HEAD"),
    ] {
        let reply = send(stage.address, request(line, &host, "")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some(allowed)), "{line}: {reply:?}");
    }
}

#[tokio::test]
async fn no_token_a_wrong_one_two_and_one_in_the_address_are_answered_401() {
    let stage = Stage::begin_with(&[("ann", "s3cret-of-ann")], &[]).await;
    let good = "Authorization: Bearer s3cret-of-ann\r\n";
    assert_eq!(send(stage.address, list(stage.address, good)).await.status, 200);
    let bad = [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Basic s3cret-of-ann\r\n",
        "Authorization: s3cret-of-ann\r\n",
        "X-Api-Key: s3cret-of-ann\r\n",
        "Cookie: token=s3cret-of-ann\r\n",
    ];
    for headers in bad.iter().map(|text| (*text).to_owned()).chain([format!("{good}{good}")]) {
        let reply = send(stage.address, list(stage.address, &headers)).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{headers}: {reply:?}");
        assert!(!reply.body.contains("s3cret"), "{reply:?}");
    }
    for query in ["?token=s3cret-of-ann", "?access_token=s3cret-of-ann"] {
        let reply = send(stage.address, list(stage.address, "").replace("/mcp", &format!("/mcp{query}"))).await;
        assert_eq!(reply.status, 401, "{query}: {reply:?}");
    }
    assert_eq!(
        send(stage.address, request("GET /metrics", &format!("Host: {}\r\n", stage.address), "")).await.status,
        401
    );
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_header_is_answered_415() {
    let stage = Stage::begin().await;
    let host = format!("Host: {}\r\n", stage.address);
    for kind in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/jsonp\r\n",
    ] {
        let reply = send(stage.address, request("POST /mcp", &format!("{host}{kind}"), PING)).await;
        assert_eq!(reply.status, 415, "{kind}: {reply:?}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_answered_415_and_never_unpacked() {
    let stage = Stage::begin().await;
    for coding in ["gzip", "deflate", "br", "identity, gzip"] {
        let reply = send(stage.address, post(stage.address, &format!("Content-Encoding: {coding}\r\n"), PING)).await;
        assert_eq!(reply.status, 415, "{coding}: {reply:?}");
    }
    let plain = list(stage.address, "Content-Encoding: identity\r\n");
    assert_eq!(send(stage.address, plain).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_413_whether_its_length_is_told_or_not() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("echo")], echo));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let reply = call(stage.address, "a__echo", &json!({"text": "x".repeat(10 << 20)})).await;
    // One that says how long it will be may be cut off while it still writes.
    assert!([413, 0].contains(&reply.status), "{}", reply.status);
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        stage.address
    );
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
    let reply = send(stage.address, head + &chunk.repeat(6)).await;
    assert!([413, 0].contains(&reply.status), "{}", reply.status);
    assert_eq!(call(stage.address, "a__echo", &json!({"n": 1})).await.status, 200);
}

#[tokio::test]
async fn what_is_no_json_is_answered_400_with_its_place_and_little_of_itself() {
    let stage = Stage::begin().await;
    let many = format!("\"{}\"", "A".repeat(100_000));
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} trailing", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",}", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":NaN,\"method\":\"ping\"}", -32700),
        ("{'jsonrpc':'2.0'}", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"method\":\"tools/call\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600),
        ("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600),
        ("[]", -32600),
        ("null", -32600),
        (&many, -32600),
    ] {
        let reply = send(stage.address, post(stage.address, "", body)).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!((reply.status, reply.code()), (400, code), "{start}: {reply:?}");
        assert!(reply.body.len() <= 500, "{start}: {} bytes", reply.body.len());
    }
    let mut bytes = post(stage.address, "", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"??\"}").into_bytes();
    let at = bytes.len() - 4;
    bytes[at..at + 2].copy_from_slice(&[0xff, 0xfe]);
    let reply = send(stage.address, bytes).await;
    assert_eq!((reply.status, reply.code()), (400, -32700), "{reply:?}");
}

#[tokio::test]
async fn what_is_nested_too_deep_is_answered_400_and_reaches_no_server() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("echo")], |message, _| panic!("asked {message}")));
    stage.want(&["a"]);
    stage.until_known(1).await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let plain = modern(stage.address, "", "tools/call", json!({"name": "a__echo", "arguments": {"deep": "@"}}));
        let (_, body) = plain.split_once("\r\n\r\n").unwrap();
        let headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: a__echo\r\n";
        let reply = send(stage.address, post(stage.address, headers, &body.replace("\"@\"", &deep))).await;
        assert_eq!((reply.status, reply.code()), (400, -32600), "{reply:?}");
    }
    // Brackets in a text nest nothing.
    let text = json!({"name": "a__none", "arguments": {"text": "[{\"\\".repeat(10_000)}});
    assert_eq!(send(stage.address, modern(stage.address, "", "tools/call", text)).await.code(), -32602);
}

#[tokio::test]
async fn headers_that_say_something_else_than_the_body_are_answered_400() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("read"), tool("delete")], |message, _| panic!("asked {message}")));
    stage.want(&["a"]);
    stage.until_known(2).await;
    let good = modern(stage.address, "", "tools/call", json!({"name": "a__delete", "arguments": {}}));
    let mismatched = [
        good.replace("Mcp-Name: a__delete", "Mcp-Name: a__read"),
        good.replace("Mcp-Name: a__delete\r\n", ""),
        good.replace("Mcp-Name: a__delete", "Mcp-Name: a__delete\r\nMcp-Name: a__read"),
        good.replace("Mcp-Method: tools/call", "Mcp-Method: tools/list"),
        good.replace("Mcp-Method: tools/call\r\n", ""),
        good.replace("MCP-Protocol-Version: 2026-07-28", "MCP-Protocol-Version: 2025-11-25"),
        good.replace("MCP-Protocol-Version: 2026-07-28\r\n", ""),
    ];
    for request in mismatched {
        let reply = send(stage.address, &request).await;
        assert_eq!((reply.status, reply.code()), (400, -32020), "{request}: {reply:?}");
    }
}

#[tokio::test]
async fn an_unknown_server_or_tool_and_a_bad_cursor_are_errors_that_reach_nobody() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("echo")], |message, _| panic!("asked {message}")));
    stage.want(&["a"]);
    stage.until_known(1).await;
    for name in ["nobody__echo", "a__nothing", "echo", "a__echo ", "A__echo", "a__echo%00"] {
        let body = modern(stage.address, "", "tools/call", json!({"name": name, "arguments": {}}));
        assert!([-32602, -32020].contains(&send(stage.address, body).await.code()), "{name}");
    }
    for cursor in [json!(""), json!("x"), json!("k.!"), json!("k./w"), json!(-1), json!(1e9), json!({})] {
        let reply = send(stage.address, modern(stage.address, "", "tools/list", json!({"cursor": cursor}))).await;
        assert_eq!((reply.status, reply.code()), (400, -32602), "{cursor}: {reply:?}");
    }
    assert_eq!(tool_names(stage.address).await, ["a__echo"]);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_400_to_a_modern_client_and_nothing_to_a_session() {
    let stage = Stage::begin().await;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let reply = send(stage.address, post(stage.address, "MCP-Protocol-Version: 2026-07-28\r\n", answer)).await;
    assert_eq!((reply.status, reply.code()), (400, -32600), "{reply:?}");
    let session = super::wire::begin_session(stage.address, "", json!({})).await;
    let reply = send(stage.address, super::wire::legacy(stage.address, "", &session, answer)).await;
    assert_eq!((reply.status, reply.body.as_str()), (202, ""), "{reply:?}");
}

#[tokio::test]
async fn a_flood_of_notifications_is_taken_one_by_one_and_holds_nobody_up() {
    let stage = Stage::begin().await;
    stage.run("a", server(true, vec![tool("echo")], echo));
    stage.want(&["a"]);
    stage.until_known(1).await;
    let session = super::wire::begin_session(stage.address, "", json!({})).await;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/anything"}"#;
    let flood = super::wire::legacy(stage.address, "", &session, note).repeat(2_000);
    let address = stage.address;
    let flooding = tokio::spawn(async move { send(address, flood).await.status });
    for round in 0..20 {
        let reply = call(address, "a__echo", &json!({"round": round})).await;
        assert_eq!(reply.json()["result"]["content"][0]["text"], json!({"round": round}).to_string());
    }
    assert_eq!(flooding.await.unwrap(), 202);
}

#[tokio::test]
async fn what_a_rule_denies_is_neither_listed_nor_found_nor_called() {
    let own = |text: &str| vec![text.to_owned()];
    let rule = |principal: &str, server: &str, tool: &str| Rule {
        principals: own(principal),
        servers: own(server),
        tools: own(tool),
        action: Action::Allow,
    };
    let rules = [rule("ann", "*", "*"), rule("bob", "files", "read*")];
    let stage = Stage::begin_with(&[("ann", "token-of-ann"), ("bob", "token-of-bob")], &rules).await;
    stage.run("files", server(true, vec![tool("read"), tool("delete")], echo));
    stage.run("shell", server(true, vec![tool("read")], echo));
    stage.want(&["files", "shell"]);
    stage.until_known(3).await;
    let as_bob = async |path: &str, method: &str, params| {
        let text = modern(stage.address, "Authorization: Bearer token-of-bob\r\n", method, params);
        send(stage.address, text.replace("POST /mcp", &format!("POST {path}"))).await
    };
    let listed = as_bob("/mcp", "tools/list", json!({})).await;
    assert!(listed.body.contains("files__read"), "{listed:?}");
    assert!(!listed.body.contains("delete") && !listed.body.contains("shell"), "{listed:?}");
    for name in ["files__delete", "shell__read"] {
        let call = as_bob("/mcp", "tools/call", json!({"name": name, "arguments": {}})).await;
        assert_eq!(call.code(), -32602, "{call:?}");
    }
    let call = as_bob("/mcp/files", "tools/call", json!({"name": "delete", "arguments": {}})).await;
    assert_eq!(call.code(), -32602, "{call:?}");
    assert_eq!(as_bob("/mcp/shell", "tools/list", json!({})).await.status, 404);
    assert_eq!(as_bob("/mcp", "tools/call", json!({"name": "files__read", "arguments": {}})).await.status, 200);
}
