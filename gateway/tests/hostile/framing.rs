//! Where one request ends and the next begins: what two readers could read in two ways is refused.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::stage::Stage;
use super::wire::{modern, receive, request, send};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn head(stage: &Stage, more: &str) -> String {
    format!("POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{more}", stage.address)
}

#[tokio::test]
async fn a_length_that_is_negative_huge_no_number_or_told_twice_is_answered_400() {
    let stage = Stage::begin().await;
    for lengths in [
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x10\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
    ] {
        let reply = send(stage.address, format!("{}\r\n{PING}", head(&stage, lengths))).await;
        assert_eq!(reply.status, 400, "{lengths}: {reply:?}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_begins_no_second_request() {
    let stage = Stage::begin().await;
    let smuggled = request("DELETE /mcp", &format!("Host: {}\r\n", stage.address), "");
    for both in
        ["Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"]
    {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        let text = format!("{}\r\n0\r\n\r\n{smuggled}", head(&stage, both));
        stream.write_all(text.as_bytes()).await.unwrap();
        let reply = receive(&mut stream).await;
        assert_eq!((reply.status, reply.header("connection")), (400, Some("close")), "{both}: {reply:?}");
        assert_eq!(receive(&mut stream).await.status, 0, "nothing after it is read");
    }
}

#[tokio::test]
async fn a_bad_chunk_and_a_coding_that_is_not_known_are_refused() {
    let stage = Stage::begin().await;
    for (coding, body) in [
        ("chunked", "zz\r\n{}\r\n0\r\n\r\n"),
        ("chunked", "-2\r\n{}\r\n0\r\n\r\n"),
        ("chunked", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ("chunked", "2\r\n{}XX0\r\n\r\n"),
        ("gzip", "2\r\n{}\r\n0\r\n\r\n"),
        ("chunked, gzip", "2\r\n{}\r\n0\r\n\r\n"),
    ] {
        let text = format!("{}\r\n{body}", head(&stage, &format!("Transfer-Encoding: {coding}\r\n")));
        let reply = send(stage.address, text).await;
        assert!([400, 0].contains(&reply.status), "{coding} {body:?}: {reply:?}");
    }
}

#[tokio::test]
async fn folded_lines_control_characters_and_spaces_before_a_colon_are_answered_400() {
    let stage = Stage::begin().await;
    for line in [
        "X-A: a\r\n b\r\n",
        "X-A: a\u{0}b\r\n",
        "X-A: a\rb\r\n",
        "X-A : a\r\n",
        " X-A: a\r\n",
        "X A: a\r\n",
        ": a\r\n",
        "X-A\r\n",
    ] {
        let reply = send(
            stage.address,
            request("POST /mcp", &format!("Host: {}\r\nContent-Type: application/json\r\n{line}", stage.address), PING),
        )
        .await;
        assert_eq!(reply.status, 400, "{line:?}: {reply:?}");
    }
    for line in ["POST /mcp\u{0}", "POST  /mcp", "POST /m cp", "PO\u{1b}ST /mcp"] {
        let reply = send(stage.address, request(line, &format!("Host: {}\r\n", stage.address), PING)).await;
        assert_eq!(reply.status, 400, "{line:?}: {reply:?}");
    }
}

#[tokio::test]
async fn line_feeds_alone_are_line_ends_and_begin_no_second_request() {
    let stage = Stage::begin().await;
    let one = modern(stage.address, "", "tools/list", json!({}));
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(one.replace("\r\n", "\n").as_bytes()).await.unwrap();
    assert_eq!(receive(&mut stream).await.status, 200);
    stream.write_all(one.as_bytes()).await.unwrap();
    assert_eq!(receive(&mut stream).await.status, 200);
}

#[tokio::test]
async fn too_many_headers_a_large_one_and_a_long_address_are_refused() {
    let stage = Stage::begin().await;
    let many = (0..150).fold(String::new(), |all, number| all + &format!("X-{number}: a\r\n"));
    let large = format!("X-Large: {}\r\n", "a".repeat(64 << 10));
    for headers in [many, large] {
        let reply =
            send(stage.address, request("POST /mcp", &format!("Host: {}\r\n{headers}", stage.address), PING)).await;
        assert_eq!(reply.status, 431, "{reply:?}");
    }
    let reply = send(
        stage.address,
        request(&format!("POST /mcp?{}", "a".repeat(70 << 10)), &format!("Host: {}\r\n", stage.address), PING),
    )
    .await;
    assert!([414, 431].contains(&reply.status), "{reply:?}");
}

#[tokio::test]
async fn what_is_not_http_1_is_refused_and_harms_nothing() {
    let stage = Stage::begin().await;
    let hello = [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03];
    let garbage: Vec<u8> = (0..=255).collect();
    for bytes in [
        &hello[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\r\nHELO\r\n\r\n",
        b"GET /mcp HTTP/9.9\r\n\r\n",
        &garbage,
    ] {
        let reply = send(stage.address, bytes).await;
        assert!([400, 505, 0].contains(&reply.status), "{bytes:?}: {reply:?}");
    }
    assert_eq!(send(stage.address, modern(stage.address, "", "tools/list", json!({}))).await.status, 200);
}

#[tokio::test]
async fn requests_that_come_in_one_piece_are_answered_one_by_one() {
    let stage = Stage::begin().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let one = modern(stage.address, "", "tools/list", json!({}));
    stream.write_all(format!("{one}{one}").as_bytes()).await.unwrap();
    let mut both = String::new();
    while both.matches("\"tools\":[]").count() < 2 {
        let reply = receive(&mut stream).await;
        assert_ne!(reply.status, 0, "{both}");
        both += &reply.body;
    }
}
