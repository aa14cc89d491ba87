//! Both sides of the socket in one process: what is told, what is refused, and who goes on without the other.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateway::config::{Endpoint, GatewayConfig, Instance, Isolation, ServerConfig, Sharing};
use gateway::hub::Attach;
use gateway::lease::{LeaseBook, Lend as _};
use gateway::upstream::stdio::Attached;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::by_controller::ByController;
use super::hub::{Expectation, ProcessHub};
use super::line::OPENING_BYTES;
use super::runner::{ProcessConfig, run};
use super::wire::{Hello, PROTOCOL, RELEASE};
use crate::mcp::report::GatewayState;

/// In place of containers: each says what it is told.
#[derive(Debug)]
struct EchoAttach;

#[async_trait]
impl Attach for EchoAttach {
    async fn attach(&self, _instance: &str) -> io::Result<Attached> {
        let (near, far) = duplex(1024);
        let ((output, input), (mut read, mut write)) = (split(near), split(far));
        tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

struct Stage {
    directory: TempDir,
    leases: Arc<LeaseBook>,
}

impl Stage {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), leases: Arc::default() }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("gateway.sock")
    }

    /// A controller's side with an instance over standard streams, `pipe`, and one over HTTP, `web`.
    fn hub(&self) -> ProcessHub {
        let config = GatewayConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut hub = ProcessHub::open(
            config,
            self.socket(),
            Arc::new(EchoAttach),
            Arc::clone(&self.leases),
            Arc::new(Notify::new()),
        )
        .unwrap();
        let web = Endpoint::Http {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            path: "/mcp".into(),
            host: "web".into(),
            headers: [].into(),
        };
        let server = |name: &str, endpoint| {
            ServerConfig::of(
                name,
                vec![Instance { id: name.to_owned(), run_ms: None, is_current: true, is_leaving: false, endpoint }],
            )
        };
        hub.set_servers(vec![server("pipe", Endpoint::Stdio), server("web", web)]);
        hub
    }

    /// A process, until the sender is dropped.
    fn process(&self) -> (oneshot::Sender<()>, JoinHandle<()>) {
        let config = ProcessConfig { socket: self.socket(), state_dir: self.directory.path().join("state") };
        let (stop, stopped) = oneshot::channel::<()>();
        (stop, tokio::spawn(run(config, async { drop(stopped.await) })))
    }

    /// What is answered to these bytes until the other side has nothing more to say, or says one line.
    async fn say(&self, bytes: &[u8]) -> String {
        let (_stream, answer) = say(&self.socket(), bytes).await;
        answer
    }
}

async fn say(socket: &Path, bytes: &[u8]) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // What is too long is not read to its end.
    drop(stream.write_all(bytes).await);
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") && stream.read_buf(&mut answer).await.unwrap_or(0) > 0 {}
    (stream, String::from_utf8(answer).unwrap())
}

fn hello(protocol: u32) -> Vec<u8> {
    line(&json!({ "gateway": { "protocol": protocol, "release": "0.0.9" } }))
}

fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

async fn address_of(hub: &ProcessHub) -> SocketAddr {
    eventually(async || if let GatewayState::Serving(address) = hub.state() { Some(address) } else { None }).await
}

#[tokio::test]
async fn a_process_goes_on_without_its_controller_and_ends_when_the_next_one_does_not_want_it() {
    let stage = Stage::new();
    let (stop, process) = stage.process();
    let hub = stage.hub();
    let address = address_of(&hub).await;
    assert_eq!((hub.expectation(), hub.status().unwrap().servers), (Expectation::There, 2));

    drop(hub);
    assert!(!stage.socket().exists(), "whoever asks now is told at once that nobody is there");
    TcpStream::connect(address).await.unwrap();
    let hub = stage.hub();
    assert_eq!(address_of(&hub).await, address, "it is the same listener");

    hub.close("it is not wanted").await;
    eventually(async || TcpStream::connect(address).await.is_err().then_some(())).await;
    let hub = stage.hub();
    address_of(&hub).await;
    drop(stop);
    process.await.unwrap();
    eventually(async || (hub.expectation() == Expectation::OnItsWay).then_some(())).await;
    assert!(matches!(hub.state(), GatewayState::NotConnected(_)));
}

#[tokio::test]
async fn what_is_left_of_an_older_socket_is_no_hindrance_and_nobody_else_may_connect() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new();
    std::os::unix::net::UnixListener::bind(stage.socket()).unwrap();
    let _hub = stage.hub();
    let mode = std::fs::metadata(stage.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(stage.say(&hello(PROTOCOL)).await.contains("welcome"));
}

#[tokio::test]
async fn a_path_that_no_socket_can_have_is_told_of() {
    let long = PathBuf::from(format!("/tmp/{}/gateway.sock", "x".repeat(120)));
    let config = GatewayConfig::on(SocketAddr::from(([127, 0, 0, 1], 0)));
    let error =
        ProcessHub::open(config, long, Arc::new(EchoAttach), Arc::default(), Arc::new(Notify::new())).unwrap_err();
    assert!(error.to_string().contains("107 is the limit"), "{error}");
}

#[tokio::test]
async fn a_process_that_speaks_otherwise_is_refused_and_both_sides_know_why() {
    let stage = Stage::new();
    let hub = stage.hub();
    let answer = stage.say(&hello(PROTOCOL + 1)).await;
    for part in ["refused", RELEASE, "0.0.9", "run the same release"] {
        assert!(answer.contains(part), "{answer}");
    }
    let GatewayState::Failed("VersionMismatch", told) = hub.state() else { panic!("{:?}", hub.state()) };
    assert!(told.contains("0.0.9"), "{told}");
    let other = Hello { protocol: PROTOCOL + 1, release: "9.9.9".to_owned() };
    assert!(Hello::misfit(&other, &Hello::own()).unwrap().contains("9.9.9"));
    let (_stop, _process) = stage.process();
    address_of(&hub).await;
}

#[tokio::test]
async fn a_process_that_speaks_otherwise_is_forgotten_when_it_does_not_ask_any_more() {
    let stage = Stage::new();
    let hub = stage.hub();
    assert!(stage.say(&hello(PROTOCOL + 1)).await.contains("refused"));
    assert!(matches!(hub.state(), GatewayState::Failed("VersionMismatch", _)), "{:?}", hub.state());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(matches!(hub.state(), GatewayState::Failed("VersionMismatch", _)), "it may ask again: {:?}", hub.state());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(matches!(hub.state(), GatewayState::NotConnected(_)), "{:?}", hub.state());
}

#[tokio::test]
async fn there_is_one_process_at_a_time() {
    let stage = Stage::new();
    let hub = stage.hub();
    let (first, welcome) = say(&stage.socket(), &hello(PROTOCOL)).await;
    assert!(welcome.contains("welcome"), "{welcome}");
    let refused = stage.say(&hello(PROTOCOL)).await;
    assert!(refused.contains("another `evenkeel gateway` is connected"), "{refused}");
    assert_eq!(hub.expectation(), Expectation::OnItsWay, "it has not said how it is");
    drop(first);
    eventually(async || stage.say(&hello(PROTOCOL)).await.contains("welcome").then_some(())).await;
}

#[tokio::test]
async fn only_the_streams_of_its_own_servers_can_be_had() {
    let stage = Stage::new();
    let hub = stage.hub();
    let attach = ByController(stage.socket());
    let mut pipe = attach.attach("pipe").await.unwrap();
    pipe.input.write_all(b"ahoy\n").await.unwrap();
    let mut said = [0; 5];
    pipe.output.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"ahoy\n");
    for other in ["web", "a-container-of-somebody-else", "", "../pipe"] {
        let error = attach.attach(other).await.unwrap_err();
        assert!(error.to_string().contains("no such instance"), "{other}: {error}");
    }
    hub.close("it is not wanted").await;
    assert_eq!(pipe.output.read(&mut said).await.unwrap(), 0, "with the gateway its streams end");
    assert!(attach.attach("pipe").await.is_err());
}

#[tokio::test]
async fn an_instance_is_lent_to_one_client_until_he_hangs_up_and_to_nobody_after_him() {
    let stage = Stage::new();
    let mut hub = stage.hub();
    let instance = |id: &str| Instance {
        id: id.to_owned(),
        run_ms: None,
        is_current: true,
        is_leaving: false,
        endpoint: Endpoint::Stdio,
    };
    let own = |ids: &[&str]| ServerConfig {
        sharing: Sharing { isolation: Isolation::PerSession, max: 4, is_on_demand: true, idle: None },
        ..ServerConfig::of("own", ids.iter().map(|id| instance(id)).collect())
    };
    let shared = ServerConfig::of("pipe", vec![instance("pipe")]);
    hub.set_servers(vec![shared.clone(), own(&["a", "b"])]);
    let (_stop, _process) = stage.process();
    address_of(&hub).await;
    let leased = |hub: &ProcessHub| hub.demands().get("own").map(|demand| demand.leased);

    let lender = ByController(stage.socket());
    let loan = lender.lend("a").await.unwrap().expect("nobody has had it");
    assert!(stage.leases.is_taken("a"));
    assert!(lender.lend("a").await.unwrap().is_none(), "somebody has it");
    let other = lender.lend("b").await.unwrap().expect("nobody has had it");
    assert_eq!(leased(&hub), Some(2));
    for nobodys in ["pipe", "a-container-of-somebody-else", ""] {
        assert!(lender.lend(nobodys).await.unwrap().is_none(), "{nobodys}");
        assert!(stage.leases.is_fresh(nobodys), "{nobodys}");
    }
    drop(loan);
    eventually(async || stage.leases.is_used_up("a").then_some(())).await;
    assert!(lender.lend("a").await.unwrap().is_none(), "somebody had it");
    // What is lent stays counted whatever else changes.
    hub.set_servers(vec![own(&["b", "c"]), shared]);
    assert_eq!(leased(&hub), Some(1));
    drop(hub);
    eventually(async || stage.leases.is_used_up("b").then_some(())).await;
    lender.lend("c").await.unwrap_err();
    drop(other);
}

#[tokio::test]
async fn nothing_else_can_be_asked_for_and_hostile_lines_harm_nobody() {
    let stage = Stage::new();
    let hub = stage.hub();
    let long = format!("{{\"attach\":\"{}\"}}\n", "x".repeat(OPENING_BYTES));
    let nested = "[".repeat(OPENING_BYTES - 1) + "\n";
    let hostile: [&[u8]; 9] = [
        b"\n",
        b"GET /containers/json HTTP/1.1\r\n\r\n",
        b"{\"stop\":\"pipe\"}\n",
        b"{\"attach\":[\"pipe\"]}\n",
        b"{\"attach\":\"pipe\",\"gateway\":{\"protocol\":1,\"release\":\"\"}}\n",
        b"{\"gateway\":{\"protocol\":-1,\"release\":\"\"}}\n",
        b"\xff\xfe\x00\n",
        long.as_bytes(),
        nested.as_bytes(),
    ];
    for bytes in hostile {
        let answer = stage.say(bytes).await;
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        assert!(answer.contains("refused"), "{text}: {answer}");
        assert!(!answer.contains("containers") && !answer.contains("xxx"), "{answer}");
    }
    // A process that says what is no account of itself is let go, and the next one is let in.
    for account in ["{}\n", "\"\\ud800\"\n", "{\"listening\":{\"Ok\":\"nowhere\"}}\n"] {
        let (mut stream, welcome) = say(&stage.socket(), &hello(PROTOCOL)).await;
        assert!(welcome.contains("welcome"), "{welcome}");
        stream.write_all(account.as_bytes()).await.unwrap();
        // The orders come first, and then the end.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap_or_default();
        eventually(async || matches!(hub.state(), GatewayState::NotConnected(_)).then_some(())).await;
    }
    let (_stop, _process) = stage.process();
    address_of(&hub).await;
}
