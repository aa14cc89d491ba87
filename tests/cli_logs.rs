//! `evenkeel logs` and `evenkeel mcp logs` from outside, between a controller in this process and an Engine of a few lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use controller::status::{ObjectRecord, ObjectStatus, PrimitiveStatus};
use crds_schema::{ObjectKey, SourceLocation};
use serde_json::json;

use crate::cli::{Controller, start_controller};
use crate::support::engine::{eventually, text_of};
use crate::support::mcp::{mcp_scene, over_stdio};
use crate::support::scene::{NOTHING, PATIENCE, program};

/// An Engine with the logs of three containers. It answers until the process ends.
struct LogEngine {
    address: String,
    /// The path and the query of each request for a log.
    asked: Arc<Mutex<Vec<String>>>,
}

impl LogEngine {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("tcp://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Whoever hangs up early has had enough.
                drop(answer(&stream, &noted));
            }
        });
        Self { address, asked }
    }

    fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("nobody panicked"))
    }
}

fn answer(mut stream: &TcpStream, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = if path.contains("/logs?") {
        asked.lock().expect("nobody panicked").push(path.to_owned());
        let has_stdout = path.contains("stdout=true");
        let output = if has_stdout { frame(1, "said \u{1b}[31m\n") } else { Vec::new() };
        ("200 OK", [output, frame(2, "warned\nand ended")].concat())
    } else if let Some(id) = path.strip_suffix("/json").and_then(|path| path.rsplit('/').next()) {
        let config = json!({ "OpenStdin": id.starts_with("stdio") });
        let body = json!({ "Id": id, "Name": format!("/{id}"), "State": { "Status": "running" }, "Config": config });
        if id.starts_with("gone") { ("404 Not Found", b"{}".to_vec()) } else { ("200 OK", body.to_string().into()) }
    } else {
        ("200 OK", b"OK".to_vec())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// A piece of output as the Engine wraps it.
fn frame(stream: u8, text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("it is short").to_be_bytes();
    [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
}

/// An object of which these containers are known.
fn put(controller: &Controller, key: &str, containers: &[&str]) {
    let key: ObjectKey = key.parse().expect("a key");
    let primitive = |id: &&str| PrimitiveStatus {
        subject: format!("container/{id}"),
        id: (*id).to_owned(),
        state: "running".into(),
        detail: String::new(),
    };
    let status = ObjectStatus { primitives: containers.iter().map(primitive).collect(), ..ObjectStatus::default() };
    controller.board.put_object(ObjectRecord {
        manifest: json!({}),
        key,
        source: SourceLocation::default(),
        created_ms: 0,
        rolled_back: None,
        status,
    });
}

#[tokio::test]
async fn logs_are_shown_without_the_protocol_and_with_nothing_that_drives_a_terminal() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let controller = start_controller(directory.path()).await;
    controller.board.update_controller(|status| status.is_simulated = false);
    put(&controller, "Deployment/web", &["web-0", "web-1", "gone-2"]);
    put(&controller, "McpServer/lab/pipe", &["stdio-0"]);
    put(&controller, "McpServer/far", &[]);
    let engine = LogEngine::start();
    let ask = async |arguments: &[&str]| controller.ask(&[arguments, &["--engine", &engine.address]].concat()).await;

    let (code, stdout, stderr) = ask(&["logs", "deploy/web"]).await;
    let of = |name: &str| format!("[{name}] said \\u{{1b}}[31m\n[{name}] warned\n[{name}] and ended\n");
    assert_eq!((code, stdout, stderr), (Some(0), of("web-0") + &of("web-1"), String::new()));
    let asked = engine.take_asked();
    assert!(asked.len() == 2 && asked.iter().all(|path| path.contains("follow=false")), "{asked:?}");

    let (code, stdout, _) = ask(&["mcp", "logs", "lab/pipe", "-f", "--tail", "5", "--since", "10m"]).await;
    assert_eq!((code, stdout.as_str()), (Some(0), "warned\nand ended\n"), "its standard output is the protocol");
    let [asked] = engine.take_asked().try_into().expect("one log");
    for part in ["/containers/stdio-0/logs?", "follow=true", "stdout=false", "tail=5"] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(!asked.contains("since=0"), "{asked}");

    let (code, _, stderr) = ask(&["mcp", "logs", "far"]).await;
    let expected =
        "error: McpServer/far has no container\nhint: `evenkeel describe McpServer/far -n default` says why\n";
    assert_eq!((code, stderr.as_str()), (Some(2), expected));
    let (code, _, stderr) = ask(&["mcp", "logs", "unheard-of"]).await;
    assert!(code == Some(2) && stderr.contains("McpServer/unheard-of is not known"), "{stderr}");
    let (code, _, stderr) = ask(&["logs", "deploy/web", "--since", "10"]).await;
    assert!(code == Some(2) && stderr.contains("write for example `10s`"), "{stderr}");
    let (code, _, stderr) = controller.ask(&["logs", "deploy/web", "--engine", "unix:///nowhere.sock"]).await;
    assert!(code == Some(2) && stderr.contains("cannot read the logs of Deployment/web"), "{stderr}");
    controller.board.update_controller(|status| status.is_simulated = true);
    assert_eq!(ask(&["logs", "deploy/web"]).await, (Some(0), String::new(), "simulated engine\n".to_owned()));
}

#[test]
fn what_containers_write_is_followed_on_a_real_engine_and_the_protocol_is_none_of_it() {
    let Some(mut bed) = mcp_scene("logs") else { return };
    let talk = r#"[/bin/sh, -c, "echo out; echo err >&2; sleep 3600"]"#;
    let end = r#"[/bin/sh, -c, "echo first; sleep 3; echo last"]"#;
    let objects = program("talker", talk, "") + &program("brief", end, "restart: Never") + &over_stdio("pipe");
    bed.write("objects.yaml", &objects);
    bed.start();
    bed.await_ready("Deployment", "talker");
    bed.await_ready("McpServer", "pipe");
    let namespace = bed.namespace();
    let logs = |arguments: &[&str]| {
        let logs = bed.evenkeel(arguments);
        assert!(logs.status.success(), "{}", text_of(&logs));
        let mut lines: Vec<String> = String::from_utf8_lossy(&logs.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let talker = ["logs", "deployment/talker", "-n", &namespace];
    let both = ["err", "out"];
    eventually("both streams are in the log", PATIENCE, || (logs(&talker) == both).then_some(()));
    assert_eq!(logs(&[&talker[..], &["--since", "1h"]].concat()), both);
    assert_eq!(logs(&[&talker[..], &["--tail", "1"]].concat()).len(), 1);
    assert_eq!(
        logs(&["mcp", "logs", &format!("{namespace}/pipe")]),
        NOTHING,
        "it answered, and on its standard output"
    );
    eventually("the controller knows its container", PATIENCE, || {
        let primitives = bed.object("Deployment", "brief")["status"]["primitives"].to_string();
        ["running", "exited"].iter().any(|state| primitives.contains(state)).then_some(())
    });
    assert_eq!(logs(&["logs", "deployment/brief", "-n", &namespace, "-f"]), ["first", "last"], "followed to its end");
}
