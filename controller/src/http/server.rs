//! The server: an accept loop of our own, because the usual one has no time limits and no cap on connections.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::api::{EngineName, ListMetadata};
use super::error::Problem;
use super::guard::{Peer, guard};
use super::strict::{StrictStream, WireReport};
use super::token::Token;
use super::{controller, events, health, metrics, objects, prune, rollout};
use crate::board::Board;
use crate::config::ListenAddress;
use crate::user_word::UserWord;

/// A head of a request that is not whole by then ends the connection; so does a pause between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Further connections are closed at once.
const MAX_CONNECTIONS: usize = 256;

/// Further watches are refused.
const MAX_WATCHES: usize = 64;

/// Enough for a request target that the guard can refuse with the right status.
const MAX_BUFFER_BYTES: usize = 128 * 1024;

/// How long requests that run may go on once the server is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// A pause after a failed accept: out of file descriptors, it would fail again at once, for ever.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What handlers need. A clone shares everything.
#[derive(Clone)]
pub struct Api {
    pub(super) board: Arc<Board>,
    pub(super) registry: Arc<Registry>,
    pub(super) token: Token,
    pub(super) words: mpsc::Sender<UserWord>,
    pub(super) shutdown: watch::Receiver<bool>,
    pub(super) watches: Arc<Semaphore>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("token", &self.token).finish_non_exhaustive()
    }
}

impl Api {
    /// What handlers need: the board that is read, the metrics, the token of changes, where users' words go, and a flag
    /// that turns true when the server is to end.
    pub fn new(
        board: Arc<Board>,
        registry: Arc<Registry>,
        token: Token,
        words: mpsc::Sender<UserWord>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self { board, registry, token, words, shutdown, watches: Arc::new(Semaphore::new(MAX_WATCHES)) }
    }

    pub(super) fn engine_name(&self) -> EngineName {
        if self.board.controller().is_simulated { EngineName::Simulated } else { EngineName::Docker }
    }

    pub(super) fn list_metadata(&self) -> ListMetadata {
        ListMetadata { engine: self.engine_name() }
    }
}

/// Every route, behind the guard.
pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(health::get_healthz))
        .route("/readyz", get(health::get_readyz))
        .route("/metrics", get(metrics::get_metrics))
        .route("/api/v1/controller", get(controller::get_controller))
        .route("/api/v1/objects", get(objects::get_objects))
        .route("/api/v1/objects/{kind}/{namespace}/{name}", get(objects::get_object))
        .route("/api/v1/events", get(events::get_events))
        .route("/api/v1/prune-confirmations", post(prune::post_prune_confirmation))
        .route("/api/v1/rollout-retries", post(rollout::post_rollout_retry))
        .fallback(|| async { Problem::no_route() })
        .method_not_allowed_fallback(|method: Method| async move { Problem::method_not_allowed(&method) })
        .layer(from_fn_with_state(api.clone(), guard))
        .with_state(api)
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`")]
pub struct ListenError {
    /// The address.
    pub address: ListenAddress,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Listener {
    /// Listens on an address. A unix socket that a dead process left is replaced, and gets mode 0660.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        let fail = |source| ListenError { address: address.clone(), source };
        match address {
            ListenAddress::Tcp(tcp) => {
                let socket = TcpListener::bind(tcp).await.map_err(fail)?;
                let address = ListenAddress::Tcp(socket.local_addr().map_err(fail)?);
                Ok(Self { socket: Socket::Tcp(socket), address })
            }
            ListenAddress::Unix(path) => {
                let socket = bind_unix(path).await.map_err(fail)?;
                Ok(Self { socket: Socket::Unix(socket), address: address.clone() })
            }
        }
    }

    /// Where it listens; with the port that the kernel chose, if it did.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if UnixStream::connect(path).await.is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) => fs::remove_file(path)?,
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}

/// Serves the API until the flag in `api` turns true, then lets what runs end, for at most three seconds.
///
/// Flow: accept; a connection above the cap, or of a stranger on a unix socket, is closed at once; each other one has its own
/// task, which a panic ends without harm to others.
pub async fn serve(listener: Listener, api: Api) {
    let mut shutdown = api.shutdown.clone();
    let router = router(api.clone());
    let mut connections = JoinSet::new();
    loop {
        // Accepting and joining are cancel-safe: no connection and no result is lost when another arm wins.
        tokio::select! {
            () = wait_until_true(&mut shutdown) => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener.socket) => match accepted {
                Ok(_) if connections.len() >= MAX_CONNECTIONS => {}
                Ok(Some((Stream::Tcp(stream), local))) => {
                    connections.spawn(serve_connection(stream, local, router.clone(), api.shutdown.clone()));
                }
                Ok(Some((Stream::Unix(stream), local))) => {
                    connections.spawn(serve_connection(stream, local, router.clone(), api.shutdown.clone()));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    if let (Socket::Unix(_), ListenAddress::Unix(path)) = (&listener.socket, &listener.address) {
        drop(fs::remove_file(path));
    }
    drop(listener);
    let drain = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, drain).await.is_err() {
        connections.shutdown().await;
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The next connection and the address of ours that it came to; `None` for a stranger.
async fn accept(socket: &Socket) -> io::Result<Option<(Stream, Option<SocketAddr>)>> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            let local = stream.local_addr()?;
            Ok(Some((Stream::Tcp(stream), Some(local))))
        }
        Socket::Unix(listener) => {
            let (stream, _) = listener.accept().await?;
            let peer = stream.peer_cred()?;
            let ours = fs::metadata("/proc/self")?;
            let is_known = peer.uid() == 0 || peer.uid() == ours.uid() || peer.gid() == ours.gid();
            Ok(is_known.then_some((Stream::Unix(stream), None)))
        }
    }
}

async fn serve_connection<S>(stream: S, local: Option<SocketAddr>, router: Router, mut shutdown: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let report = Arc::new(WireReport::default());
    let peer = Peer { local, report: report.clone() };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(StrictStream::new(stream, report)), service);
    tokio::pin!(connection);
    // The connection is polled on by the second await, so that losing the first race loses nothing.
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = wait_until_true(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::trace!(%error, "connection ended");
    }
}

/// Returns when the flag is true, or will never be.
async fn wait_until_true(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|is_true| *is_true).await);
}
