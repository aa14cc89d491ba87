//! Answers that no engine gives, from a listener of our own: proxies, strangers, silence.

use std::time::Duration;

use planner::plan::VolumeCreate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::engine::docker::DockerEngine;
use crate::engine::docker::attach::attach;
use crate::engine::docker::transport::{Address, Mode, open_client};
use crate::engine::{Engine, ErrorKind};

/// Listens, and answers `/_ping` and `/version` as an engine would and everything else with `answer`, each on its own connection.
pub(super) async fn listen(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 8192];
                let read = stream.read(&mut head).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let version = http("200 OK", r#"{"Version":"27.0","ApiVersion":"1.46","MinAPIVersion":"1.24"}"#);
                let ping = http("200 OK", "OK").replace("Connection:", "Api-Version: 1.46\r\nConnection:");
                let answer = match head.split(' ').nth(1) {
                    Some("/_ping") => ping,
                    Some("/version") => version,
                    _ => answer,
                };
                drop(stream.write_all(answer.as_bytes()).await);
            });
        }
    });
    address
}

pub(super) fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn engine_that_answers(answer: String) -> DockerEngine {
    DockerEngine::connect(&format!("tcp://{}", listen(answer).await)).unwrap()
}

#[tokio::test]
async fn nothing_that_listens_is_unreachable() {
    for address in ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1"] {
        let error = DockerEngine::connect(address).unwrap().list_networks().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        assert!(error.text.starts_with("cannot connect to"), "{error}");
    }
    let error = DockerEngine::connect("docker.sock").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn a_proxy_that_forbids_is_told_from_an_engine_that_refuses() {
    let engine = engine_that_answers(http("403 Forbidden", "<html>\n<h1>403</h1>\u{1b}[31m</html>")).await;
    let error = engine.create_volume(&VolumeCreate::default()).await.unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Forbidden, Some(403)));
    assert_eq!(error.text, "<html> <h1>403</h1>\\u{1b}[31m</html>");
}

#[tokio::test]
async fn an_answer_of_something_else_leaves_a_change_unknown_and_fails_a_read() {
    for answer in [http("200 OK", "<html>welcome</html>"), http("201 Created", ""), http("200 OK", "{\"Name\":")] {
        let engine = engine_that_answers(answer).await;
        let error = engine.create_volume(&VolumeCreate::default()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
        assert_eq!(engine.list_networks().await.unwrap_err().kind, ErrorKind::Internal);
    }
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_leaves_the_outcome_unknown() {
    for answer in [String::new(), "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".into(), "not http\r\n\r\n".into()] {
        let error = engine_that_answers(answer).await.create_volume(&VolumeCreate::default()).await.unwrap_err();
        assert_eq!((error.kind, error.status), (ErrorKind::Unknown, None), "{error}");
    }
}

#[tokio::test]
async fn an_error_inside_a_good_answer_fails_a_pull() {
    let body = concat!(
        "{\"status\":\"Pulling from x\",\"id\":\"1\"}\r\n",
        "{\"errorDetail\":{\"message\":\"manifest unknown\"},\"error\":\"manifest unknown\"}\r\n"
    );
    let error = engine_that_answers(http("200 OK", body)).await.pull_image("x:1").await.unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::RegistryNotFound, Some(200)));
}

#[tokio::test]
async fn a_pull_that_is_cut_off_is_no_success() {
    let line = "{\"status\":\"Downloading\",\"id\":\"1\"}\r\n";
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
    // In the middle of a line, between two lines, and before the first one.
    for answer in [chunked(&line[..9]), chunked(line), chunked(line) + "ff\r\n"] {
        let error = engine_that_answers(answer).await.pull_image("x:1").await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Unknown | ErrorKind::RegistryUnavailable), "{error:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    let docker = open_client(&address, bollard::API_DEFAULT_VERSION, Mode::Versioned).unwrap();
    let call = tokio::spawn(async move { docker.remove_network("x").await });
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(stream.read(&mut [0; 8192]).await.unwrap() > 0);
    call.abort();
    let rest = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await;
    assert_eq!(rest.expect("it is closed").unwrap(), 0);
}

#[tokio::test]
async fn an_engine_that_was_exchanged_is_asked_for_its_version_again() {
    let body = r#"{"message":"client version 1.46 is too new. Maximum supported API version is 1.41"}"#;
    let engine = engine_that_answers(http("400 Bad Request", body)).await;
    assert_eq!(engine.client().await.unwrap().client_version().to_string(), "1.46");
    let error = engine.create_volume(&VolumeCreate::default()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal, "{error}");
    assert!(engine.client.read().unwrap().is_none());
}

#[tokio::test]
async fn an_engine_that_is_too_new_is_named_as_such() {
    let body = r#"{"ApiVersion":"9.9","MinAPIVersion":"9.0"}"#;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // Whatever is asked: the ping, which tells no version here, and then the version.
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(http("200 OK", body).as_bytes()).await.unwrap();
            drop(stream.read(&mut [0; 1024]).await);
        }
    });
    let error = DockerEngine::connect(&address).unwrap().info().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.text.starts_with("the Engine wants API 9.0 or later"), "{error}");
}

#[tokio::test]
async fn a_list_of_300_containers_is_read_in_milliseconds() {
    let one = |number: u32| {
        serde_json::json!({
            "Id": format!("{number:064x}"), "Names": [format!("/web-1a2b3c4d-{number}")], "Image": "web:1",
            "ImageID": "sha256:00", "Command": "serve", "Created": 1_700_000_000, "Ports": [], "State": "running",
            "Status": "Up 2 minutes (healthy)", "HostConfig": { "NetworkMode": "back" },
            "Labels": { "evenkeel.dev/template": "x".repeat(800), "evenkeel.dev/proof": "00".repeat(32) },
            "NetworkSettings": { "Networks": { "back": { "NetworkID": "01", "IPAddress": "10.0.0.2", "Aliases": null } } },
            "Mounts": [{ "Type": "volume", "Name": "data", "Source": "", "Destination": "/data", "RW": true }],
        })
    };
    let body = serde_json::Value::from((0..300).map(one).collect::<Vec<_>>()).to_string();
    let engine = engine_that_answers(http("200 OK", &body)).await;
    engine.client().await.unwrap();
    let began = std::time::Instant::now();
    let list = engine.list_containers("main").await.unwrap();
    println!("300 containers, {} bytes: {:?}", body.len(), began.elapsed());
    assert_eq!(list.len(), 300);
    assert_eq!((list[7].name.as_str(), list[7].network_ids.len()), ("web-1a2b3c4d-7", 1));
}

#[tokio::test]
async fn a_connection_that_is_handed_over_carries_what_came_with_the_answer_too() {
    let handed_over = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let frames = "\u{1}\0\0\0\0\0\0\u{3}one\u{2}\0\0\0\0\0\0\u{1}x\u{1}\0\0\0\0\0\0\u{3}two";
    let address = Address::Tcp(listen(format!("{handed_over}{frames}")).await);
    let mut attached = attach(&address, *bollard::API_DEFAULT_VERSION, "01").await.unwrap();
    let mut heard = String::new();
    attached.output.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "onetwo");
}

#[tokio::test]
async fn an_attach_is_refused_in_the_words_of_the_engine_or_of_who_stands_before_it() {
    let refusals = [
        (http("409 Conflict", r#"{"message":"container 01 is paused"}"#), (409, "container 01 is paused")),
        (http("403 Forbidden", "<h1>no</h1>"), (403, "<h1>no</h1>")),
        (http("200 OK", ""), (200, "the way to the Engine lets no connection be handed over")),
    ];
    for (answer, (status, text)) in refusals {
        let address = Address::Tcp(listen(answer).await);
        let error = attach(&address, *bollard::API_DEFAULT_VERSION, "01").await.unwrap_err();
        let bollard::errors::Error::DockerResponseServerError { status_code, message } = error else {
            panic!("{error}");
        };
        assert_eq!((status_code, message.as_str()), (status, text));
    }
}
