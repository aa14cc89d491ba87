//! A server elsewhere, by `https`: reached by its certificate, or not at all. The containers' Engine is the simulated one.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::engine::{free_port, program_path};

/// What the server wants to see.
const TOKEN: &str = "a-secret-of-some-length";
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Serves MCP of 2026-07-28 as `localhost`, to whoever sends `X-Team: a` and the token. Returns the address and the certificate as PEM.
async fn serve() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).expect("a key of its certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    });
    (address, made.cert.pem())
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let has = |name: &str, value: &str| request.headers().get(name).is_some_and(|found| found == value);
    let is_ours = has("x-team", "a") && has("authorization", &format!("Bearer {TOKEN}"));
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let result = match asked["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
            "cacheScope": "private", "capabilities": { "tools": {} } }),
        "tools/list" => json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            "tools": [{ "name": "find", "inputSchema": { "type": "object" } }] }),
        "tools/call" => json!({ "resultType": "complete", "content": [{ "type": "text", "text": "found" }] }),
        _ => Value::Null,
    };
    let answer = if result.is_null() {
        json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32601, "message": "no such method" } })
    } else {
        json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result })
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    *response.status_mut() = if is_ours { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    response.headers_mut().insert("content-type", "application/json".parse().expect("a value"));
    response
}

/// A controller with one server elsewhere and one gateway; ended with this.
struct Running {
    child: Child,
    api: String,
    hub: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn evenkeel(directory: &Path) -> Command {
    let mut command = Command::new(program_path());
    command.env_clear().env("EVENKEEL_DATA_DIR", directory.join("data")).current_dir(directory).stdin(Stdio::null());
    command
}

impl Running {
    /// Runs in a directory. `trusted`: the certificates that are, as PEM.
    fn start(directory: &Path, server: SocketAddr, trusted: &str) -> Self {
        let port = server.port();
        let [api, hub] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let text = format!(
            "apiVersion: evenkeel.dev/v1\nkind: McpServer\nmetadata: {{ name: tickets }}\n\
             spec:\n  remote:\n    url: \"https://localhost:{port}/mcp\"\n    headers: {{ X-Team: a }}\n    \
             headerFiles: [{{ name: Authorization, prefix: \"Bearer \", file: ./tickets.token }}]\n---\n\
             apiVersion: evenkeel.dev/v1\nkind: McpGateway\nmetadata: {{ name: hub }}\nspec: {{ listen: \"{hub}\" }}\n"
        );
        fs::create_dir(directory.join("manifests")).unwrap();
        fs::write(directory.join("manifests/remote.yaml"), text).unwrap();
        fs::write(directory.join("trusted.pem"), trusted).unwrap();
        let token = directory.join("manifests/tickets.token");
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = evenkeel(directory);
        command.args(["--engine", "simulated", "run", "--manifests", "manifests", "--listen", &api]);
        command.env("SSL_CERT_FILE", directory.join("trusted.pem"));
        let log = fs::File::create(directory.join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the program starts");
        Self { child, api, hub }
    }

    /// What is told of the server.
    fn status(&self, directory: &Path) -> String {
        let mut command = evenkeel(directory);
        command.args(["--server", &format!("http://{}", self.api), "describe", "mcpserver", "tickets"]);
        String::from_utf8_lossy(&command.output().expect("the program starts").stdout).into_owned()
    }

    /// Calls the server's tool: exit code and output.
    fn call(&self, directory: &Path) -> (Option<i32>, String) {
        let mut command = evenkeel(directory);
        command.args(["mcp", "call", "tickets__find", "--gateway", &format!("http://{}/mcp", self.hub)]);
        let output = command.output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Waits for something; says what the controller logged when it does not come.
fn await_that(directory: &Path, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(begun.elapsed() < PATIENCE, "{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_elsewhere_is_reached_when_its_certificate_is_trusted() {
    let (server, certificate) = serve().await;
    let work = move || {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let running = Running::start(directory, server, &certificate);
        await_that(directory, || running.call(directory) == (Some(0), "found\n".to_owned()));
        let told = running.status(directory) + &fs::read_to_string(directory.join("log")).unwrap();
        assert!(told.contains("tickets.token") && !told.contains(TOKEN), "{told}");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_elsewhere_whose_certificate_is_not_trusted_is_not_spoken_to() {
    let (server, _) = serve().await;
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
    let work = move || {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let running = Running::start(directory, server, &other);
        await_that(directory, || running.status(directory).contains("invalid peer certificate"));
        assert_ne!(running.call(directory).0, Some(0));
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
