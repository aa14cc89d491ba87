//! A bare hop made of the hub's own libraries: `hop PORT SERVER=ADDRESS …`. It reads each message's envelope, sends the message on as it is, and
//! answers with what comes back. What the hub costs beside it is what the hub does.
//!
//! It has a thread for each core, as nginx and the hub have, and each thread its own connections to the servers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::available_parallelism;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What it reads of a message.
#[derive(serde::Deserialize)]
struct Envelope<'text> {
    #[serde(borrow, default)]
    method: Option<&'text str>,
    #[serde(borrow, default)]
    params: Option<&'text RawValue>,
}

/// The servers, each under its path.
type Servers = HashMap<String, SocketAddr>;

/// Serves until it is killed.
pub(crate) fn serve(port: &str, servers: &[&str]) {
    let address = |word: &&str| {
        let (name, address) = word.split_once('=').unwrap();
        (format!("/{name}/mcp"), address.parse().unwrap())
    };
    let servers: Arc<Servers> = Arc::new(servers.iter().map(address).collect());
    let mut workers = Vec::new();
    for _ in 0..available_parallelism().unwrap().get() {
        let (tx, rx) = mpsc::unbounded_channel();
        let servers = Arc::clone(&servers);
        // It ends with the process.
        std::thread::spawn(move || one_thread().block_on(work(rx, servers)));
        workers.push(tx);
    }
    one_thread().block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port.parse::<u16>().unwrap())).await.unwrap();
        for worker in workers.iter().cycle() {
            let Ok((stream, _)) = listener.accept().await else { continue };
            drop(stream.set_nodelay(true));
            worker.send(stream.into_std().unwrap()).unwrap();
        }
    });
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn work(mut handed: mpsc::UnboundedReceiver<std::net::TcpStream>, servers: Arc<Servers>) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    while let Some(stream) = handed.recv().await {
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
        let (client, servers) = (client.clone(), Arc::clone(&servers));
        let service = service_fn(move |request| {
            let (client, servers) = (client.clone(), Arc::clone(&servers));
            async move { Ok::<_, Infallible>(pass_on(&client, &servers, request).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
    }
}

async fn pass_on(
    client: &Client<HttpConnector, Full<Bytes>>,
    servers: &Servers,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let is_message = serde_json::from_slice::<Envelope<'_>>(&body).is_ok_and(|envelope| {
        envelope.method.is_some() && envelope.params.is_none_or(|params| !params.get().is_empty())
    });
    let Some(server) = servers.get(head.uri.path()).filter(|_| is_message || body.is_empty()) else {
        return failed(StatusCode::BAD_REQUEST);
    };
    head.uri = format!("http://{server}/mcp").parse().unwrap();
    head.headers.remove(HOST);
    let Ok(answer) = client.request(Request::from_parts(head, Full::new(body))).await else {
        return failed(StatusCode::BAD_GATEWAY);
    };
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, Full::new(body))
}

fn failed(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
