//! Tests of the API: by request and answer, and by raw bytes for what a client library would never send.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use crds_schema::{Condition, ConditionStatus, ConditionType, ObjectKey, SourceLocation};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

use super::guard::Peer;
use super::server::{Api, Listener, router, serve};
use super::token::Token;
use crate::board::{Board, PruneHeld};
use crate::config::ListenAddress;
use crate::event::NewEvent;
use crate::metrics::Metrics;
use crate::status::{ObjectRecord, ObjectStatus, RolledBack};
use crate::user_word::UserWord;

/// A served API.
struct Served {
    port: u16,
    board: Arc<Board>,
    words: mpsc::Receiver<UserWord>,
    shutdown: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

fn record(key: &str) -> ObjectRecord {
    let key: ObjectKey = key.parse().unwrap();
    let ready = Condition {
        condition_type: ConditionType::Ready,
        status: ConditionStatus::True,
        reason: "Converged".into(),
        message: "as its spec says".into(),
        observed_generation: 1,
        since_ms: 0,
    };
    ObjectRecord {
        manifest: serde_json::json!({ "kind": key.kind.as_str() }),
        key,
        source: SourceLocation::default(),
        created_ms: 0,
        rolled_back: None,
        status: ObjectStatus { conditions: vec![ready], ..ObjectStatus::default() },
    }
}

async fn start() -> Served {
    let board = Arc::new(Board::default());
    board.put_object(record("Deployment/web"));
    board.put_object(record("Network/staging/back"));
    board.record_event(NewEvent::normal(&"Deployment/web".parse().unwrap(), "Created", "created web"), 1);
    let mut registry = Registry::default();
    Metrics::register(&mut registry);
    let (say, words) = mpsc::channel(1);
    let (shutdown, shutdown_rx) = watch::channel(false);
    let api = Api::new(board.clone(), Arc::new(registry), Token::new("secret"), say, shutdown_rx);
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let ListenAddress::Tcp(address) = *listener.address() else { panic!("not TCP") };
    let server = tokio::spawn(serve(listener, api));
    Served { port: address.port(), board, words, shutdown, server }
}

impl Served {
    /// Sends bytes, in which `PORT` is the port, and reads until the connection ends or nothing comes.
    async fn raw(&self, text: &str) -> String {
        self.raw_bytes(text.replace("PORT", &self.port.to_string()).as_bytes()).await
    }

    async fn raw_bytes(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        // The server may refuse and close before it has read everything.
        drop(stream.write_all(bytes).await);
        read_what_comes(&mut stream).await
    }

    async fn get(&self, target: &str) -> String {
        self.raw(&format!("GET {target} HTTP/1.1\r\nHost: localhost:PORT\r\nConnection: close\r\n\r\n")).await
    }

    async fn post(&self, headers: &str, body: &str) -> String {
        let length = body.len();
        self.raw(&format!(
            "POST /api/v1/prune-confirmations HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }
}

async fn read_what_comes(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

#[tokio::test]
async fn objects_are_listed_filtered_and_read_one_by_one() {
    let served = start().await;
    let all = served.get("/api/v1/objects").await;
    assert!(all.contains("Deployment/web") && all.contains("Network/staging/back"), "{all}");
    assert!(all.contains("evenkeel-engine: docker") && all.contains(r#""metadata":{"engine":"docker"}"#), "{all}");
    let some = served.get("/api/v1/objects?kind=net&namespace=staging").await;
    assert!(!some.contains("Deployment/web") && some.contains("Network/staging/back"), "{some}");
    assert_eq!(status(&served.get("/api/v1/objects/deployment/default/web").await), "200");
    let missing = served.get("/api/v1/objects/Deployment/default/api").await;
    assert!(status(&missing) == "404" && missing.contains("application/problem+json"), "{missing}");
    assert!(missing.contains("Deployment/api is not known"), "{missing}");
    served.board.update_controller(|controller| controller.is_simulated = true);
    assert!(served.get("/api/v1/objects").await.contains("evenkeel-engine: simulated"));
}

#[tokio::test]
async fn the_controller_is_ready_when_the_first_pass_is_done_and_the_engine_answers() {
    let served = start().await;
    assert_eq!(status(&served.get("/healthz").await), "200");
    let not_ready = served.get("/readyz").await;
    assert_eq!(status(&not_ready), "503");
    assert!(not_ready.contains("the engine does not answer; the first full pass is not done"), "{not_ready}");
    served.board.update_controller(|controller| (controller.is_ready, controller.is_engine_reachable) = (true, true));
    assert_eq!(status(&served.get("/readyz").await), "200");
    assert!(served.get("/metrics").await.contains("evenkeel_queue_depth 0"));
    assert!(served.get("/api/v1/controller").await.contains(r#""isReady":true"#));
}

#[tokio::test]
async fn a_watch_tells_what_is_there_then_what_changes_then_ends_with_the_server() {
    let served = start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    let head = format!("GET /api/v1/objects?watch=1 HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", served.port);
    stream.write_all(head.as_bytes()).await.unwrap();
    let first = read_what_comes(&mut stream).await;
    assert!(first.contains("application/x-ndjson") && first.contains(r#""type":"put""#), "{first}");
    assert!(first.contains(r#"{"type":"synced"}"#), "{first}");
    served.board.remove_object(&"Deployment/web".parse().unwrap());
    let next = read_what_comes(&mut stream).await;
    assert!(next.contains(r#"{"type":"gone","key":"Deployment/web"}"#), "{next}");
    served.shutdown.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(2), served.server).await.unwrap().unwrap();
}

#[tokio::test]
async fn events_are_filtered_resumed_and_limited() {
    let served = start().await;
    assert!(served.get("/api/v1/events?for=Deployment/web").await.contains("created web"));
    assert!(!served.get("/api/v1/events?for=Network/web").await.contains("created web"));
    assert!(!served.get("/api/v1/events?after=1").await.contains("created web"));
    assert!(served.get("/api/v1/events?watch=1").await.contains(r#"{"type":"synced"}"#));
    for bad in [
        "after=-1",
        "after=x",
        "limit=0",
        "limit=-1",
        "limit=1000000000",
        "for=%2e%2e",
        "since=1",
        "after=1&after=2",
        "watch=2",
    ] {
        assert_eq!(status(&served.get(&format!("/api/v1/events?{bad}")).await), "400", "{bad}");
    }
}

#[tokio::test]
async fn hosts_and_origins_that_are_not_ours_are_refused() {
    let served = start().await;
    let cases = [
        ("GET /healthz HTTP/1.1\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:PORT\r\nHost: localhost:PORT\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:1\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:PORT.evil.example\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:PORT\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: https://evil\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: null\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://localhost:PORT\r\n\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nSec-Fetch-Site: cross-site\r\n\r\n", "403"),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n", "400"),
        ("GET http://localhost:PORT/healthz HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n", "200"),
    ];
    for (request, expected) in cases {
        let answer = served.raw(request).await;
        assert_eq!(status(&answer), expected, "{request}\n{answer}");
    }
}

#[tokio::test]
async fn nothing_but_a_plain_name_is_taken_from_a_path() {
    let served = start().await;
    let long = "a".repeat(5_000);
    for segment in ["..%2f..", "%2e%2e", "%00", "%0a", "%1b[31m", "%ff", "a..b", "Web", "we_b", &long] {
        let answer = served.get(&format!("/api/v1/objects/Deployment/default/{segment}")).await;
        assert_eq!(status(&answer), "400", "{segment}: {answer}");
        assert!(answer.contains("invalid name") && !answer.contains(segment), "{answer}");
    }
    assert_eq!(status(&served.get("/api/v1/nothing").await), "404");
    assert_eq!(status(&served.get("/api/v1/objects/Secret/default/a").await), "404");
    let answer = served.raw("DELETE /api/v1/objects HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n").await;
    assert!(status(&answer) == "405" && answer.to_lowercase().contains("\r\nallow: get"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let served = start().await;
    let head = "POST /api/v1/prune-confirmations HTTP/1.1\r\nHost: localhost:PORT\r\n";
    let cases = [
        format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
        format!("{head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
        format!("{head}Content-Length: -4\r\n\r\n"),
        "GET /healthz HTTP/1.1\nHost: localhost:PORT\n\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: localhost:PORT\r\nX: a\r\n b\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: localhost:PORT\r\nX: a\x01b\r\n\r\n".to_owned(),
    ];
    for request in cases {
        let answer = served.raw(&request).await;
        assert_eq!(status(&answer), "400", "{request:?}\n{answer}");
    }
    // What follows a body is never taken for a second request.
    let body = format!("{head}Content-Length: 2\r\n\r\n{{}}GET /healthz HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n");
    let answer = served.raw(&body).await;
    assert!(answer.matches("HTTP/1.1").count() == 1 && answer.contains("connection: close"), "{answer}");
    let tls = served.raw_bytes(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n").await;
    assert!(matches!(status(&tls), "400" | "closed"), "{tls}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_its_own_status() {
    let served = start().await;
    let headers = (0..150).map(|number| format!("X-{number}: a\r\n")).collect::<Vec<_>>().concat();
    let request = |extra: &str| format!("GET /healthz HTTP/1.1\r\nHost: localhost:PORT\r\n{extra}\r\n");
    assert_eq!(status(&served.raw(&request(&headers)).await), "431");
    assert_eq!(status(&served.raw(&request(&format!("X: {}\r\n", "a".repeat(64_000)))).await), "431");
    assert_eq!(status(&served.get(&format!("/{}", "a".repeat(70_000))).await), "414");
    assert_eq!(status(&served.get(&format!("/{}", "a".repeat(9_000))).await), "414");
    let token = "Authorization: Bearer secret\r\nContent-Type: application/json\r\n";
    assert_eq!(status(&served.post(token, &"a".repeat(70_000)).await), "413");
}

#[tokio::test]
async fn a_confirmation_needs_the_token_in_the_header_and_what_is_held() {
    let mut served = start().await;
    let held =
        PruneHeld { keys: vec!["Network/staging/back".parse().unwrap()], token: "t1".into(), reason: "all".into() };
    served.board.update_controller(|controller| controller.prune_held = Some(held));
    let body = r#"{"token":"t1"}"#;
    let json = "Content-Type: application/json\r\n";
    for credentials in
        ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic secret\r\n", "Authorization: Bearer \r\n"]
    {
        let answer = served.post(&format!("{credentials}{json}"), body).await;
        assert!(status(&answer) == "401" && answer.contains("www-authenticate: Bearer"), "{credentials}: {answer}");
    }
    assert_eq!(status(&served.get("/api/v1/objects?token=secret").await), "401");
    let token = "Authorization: Bearer secret\r\n";
    assert_eq!(status(&served.post(token, body).await), "415");
    assert_eq!(status(&served.post(&format!("{token}Content-Type: text/plain\r\n"), body).await), "415");
    assert_eq!(status(&served.post(&format!("{token}{json}Content-Encoding: gzip\r\n"), body).await), "415");
    let headers = format!("{token}{json}");
    let deep = "[".repeat(20_000);
    for bad in [
        "{",
        r#"{"token":"t1","token":"t1"}"#,
        r#"{"token":NaN}"#,
        r#"{"token":"t1"} x"#,
        r#"{"token":"t1","a":1}"#,
        &deep,
    ] {
        let answer = served.post(&headers, bad).await;
        assert_eq!(status(&answer), "400", "{answer}");
        assert!(answer.len() < 1_200, "{answer}");
    }
    assert_eq!(status(&served.post(&headers, r#"{"token":"t0"}"#).await), "409");
    let answer = served.post(&headers, body).await;
    assert!(status(&answer) == "202" && answer.contains("Network/staging/back"), "{answer}");
    assert_eq!(served.words.recv().await.unwrap(), UserWord::ConfirmPrune("t1".to_owned()));
}

#[tokio::test]
async fn a_rollout_that_failed_is_tried_again_by_whoever_has_the_token() {
    let mut served = start().await;
    let post = |body: &str, headers: &str| {
        let length = body.len();
        format!(
            "POST /api/v1/rollout-retries HTTP/1.1\r\nHost: localhost:PORT\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
    };
    let (body, json) = (r#"{"object":"Deployment/web"}"#, "Content-Type: application/json\r\n");
    let authorized = format!("{json}Authorization: Bearer secret\r\n");
    assert_eq!(status(&served.raw(&post(body, json)).await), "401");
    assert_eq!(status(&served.raw(&post(r#"{"object":"Deployment"}"#, &authorized)).await), "400");
    assert_eq!(status(&served.raw(&post(r#"{"object":"Deployment/api"}"#, &authorized)).await), "404");
    assert_eq!(status(&served.raw(&post(body, &authorized)).await), "409");
    let key = "Deployment/web".parse().unwrap();
    let rolled_back = RolledBack { manifest: serde_json::json!({}), message: String::new(), since_ms: 0 };
    let rolled_back = |record: &ObjectRecord| ObjectRecord { rolled_back: Some(rolled_back), ..record.clone() };
    served.board.change_object(&key, rolled_back);
    let mut words = std::mem::replace(&mut served.words, mpsc::channel(1).1);
    let controller = async {
        assert_eq!(words.recv().await.unwrap(), UserWord::RetryRollout(key.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        served.board.change_object(&key, |record| ObjectRecord { rolled_back: None, ..record.clone() });
    };
    let client = async {
        assert_eq!(status(&served.raw(&post(body, &authorized)).await), "202");
        assert!(served.board.object(&key).unwrap().rolled_back.is_none(), "it was answered before it was heard");
    };
    tokio::join!(controller, client);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_answered_once_it_is_heard_and_after_five_seconds_at_the_latest() {
    for is_heard in [true, false] {
        let (words, mut heard) = mpsc::channel(1);
        let (_shutdown, shutdown) = watch::channel(false);
        let board = Arc::new(Board::default());
        let rolled_back = RolledBack { manifest: serde_json::json!({}), message: String::new(), since_ms: 0 };
        board.put_object(ObjectRecord { rolled_back: Some(rolled_back), ..record("Deployment/web") });
        let api = Api::new(Arc::clone(&board), Arc::default(), Token::new("secret"), words, shutdown);
        let request = Request::post("/api/v1/rollout-retries")
            .extension(Peer { local: Some("127.0.0.1:7070".parse().unwrap()), report: Arc::default() })
            .header("host", "localhost:7070")
            .header("authorization", "Bearer secret")
            .header("content-type", "application/json")
            .body(Body::from(r#"{"object":"Deployment/web"}"#))
            .unwrap();
        let begun = tokio::time::Instant::now();
        let controller = async {
            heard.recv().await.unwrap();
            if is_heard {
                // It has been heard, and nothing is told of the new try yet.
                let status = |record: &ObjectRecord| ObjectStatus { generation: 1, ..record.status.clone() };
                let change = |record: &ObjectRecord| ObjectRecord { status: status(record), ..record.clone() };
                board.change_object(&"Deployment/web".parse().unwrap(), change);
            }
        };
        let (answer, ()) = tokio::join!(router(api).oneshot(request), controller);
        assert_eq!(answer.unwrap().status(), 202);
        assert_eq!(begun.elapsed().as_secs(), if is_heard { 0 } else { 5 });
    }
}

#[tokio::test]
async fn a_head_that_is_not_finished_in_five_seconds_is_not_waited_for() {
    let served = start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a").await.unwrap();
    tokio::task::yield_now().await;
    let mut answer = Vec::new();
    let started = std::time::Instant::now();
    tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(4));
}

#[tokio::test]
async fn connections_above_the_cap_are_closed_and_the_others_go_on() {
    let served = start().await;
    let mut kept = Vec::new();
    for _ in 0..256 {
        kept.push(TcpStream::connect(("127.0.0.1", served.port)).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&served.get("/healthz").await), "closed");
    let head = format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", served.port);
    kept[0].write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&read_what_comes(&mut kept[0]).await), "200");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_never_sent_is_answered_after_thirty_seconds() {
    let (words, _receiver) = mpsc::channel(1);
    let (_shutdown, shutdown) = watch::channel(false);
    let api = Api::new(Arc::default(), Arc::default(), Token::new("secret"), words, shutdown);
    let peer = Peer { local: Some("127.0.0.1:7070".parse().unwrap()), report: Arc::default() };
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::post("/api/v1/prune-confirmations")
        .extension(peer)
        .header("host", "localhost:7070")
        .header("authorization", "Bearer secret")
        .header("content-type", "application/json")
        .body(Body::from_stream(never))
        .unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(router(api).oneshot(request).await.unwrap().status(), 408);
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_dead_processs_socket_is_replaced_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.sock");
    let address = ListenAddress::Unix(path.clone());
    drop(tokio::net::UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&address).await.unwrap();
    assert_eq!(Listener::bind(&address).await.unwrap_err().source.kind(), std::io::ErrorKind::AddrInUse);
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert!(Listener::bind(&address).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
