//! The way to the Engine: one connection a call, over a unix socket or plain TCP.
//!
//! bollard's own transports check the socket when they are made, cannot tell a refused connection from a lost answer, and
//! cannot ask without a version. Hence this one.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::rt::{Read, Write};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Where the Engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// How requests are sent.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    /// Without the version in the path, which every engine answers.
    Unversioned,
    /// The same, and keeps which version the Engine names as its highest in the head of its answer.
    Probing(Arc<OnceLock<String>>),
    /// With the version that was agreed on.
    Versioned,
    /// The same, and tells when the head of a good answer has come: the stream that follows may be silent for hours.
    Announced(Arc<Notify>),
}

impl Address {
    /// Reads `unix:///path` or `tcp://host:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix://") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let host = text.strip_prefix("tcp://")?.trim_end_matches('/');
        let (name, port) = host.rsplit_once(':')?;
        (!name.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)).then(|| Self::Tcp(host.to_owned()))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// A client whose calls have no deadline of their own: pulls, long stops and event streams take as long as they take.
pub(super) fn open_client(address: &Address, version: &ClientVersion, mode: Mode) -> Result<Docker, Error> {
    let address = address.clone();
    let transport = move |request| {
        let (address, mode) = (address.clone(), mode.clone());
        async move { send(&address, &mode, request).await }
    };
    Docker::connect_with_custom_transport(transport, Some("http://localhost"), NO_DEADLINE_SECS, version)
}

/// Sends one request. A failure to connect is [`Error::SocketNotFoundError`], which nothing else here is.
async fn send(address: &Address, mode: &Mode, request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let response = match address {
        Address::Unix(path) => {
            let stream = connect(address, UnixStream::connect(path)).await?;
            exchange(TokioIo::new(stream), "localhost", mode, request).await?
        }
        Address::Tcp(host) => {
            let stream = connect(address, TcpStream::connect(host)).await?;
            stream.set_nodelay(true)?;
            exchange(TokioIo::new(stream), host, mode, request).await?
        }
    };
    match mode {
        Mode::Announced(answered) if response.status() == StatusCode::OK => answered.notify_one(),
        Mode::Probing(highest) => {
            if let Some(version) = response.headers().get("api-version").and_then(|version| version.to_str().ok()) {
                highest.get_or_init(|| version.to_owned());
            }
        }
        Mode::Unversioned | Mode::Versioned | Mode::Announced(_) => {}
    }
    Ok(response)
}

/// Connects, in time. A failure is [`Error::SocketNotFoundError`].
pub(super) async fn connect<T>(
    address: &Address,
    connecting: impl Future<Output = std::io::Result<T>>,
) -> Result<T, Error> {
    let refuse = |reason: &str| Error::SocketNotFoundError(format!("cannot connect to {address}: {reason}"));
    match timeout(CONNECT_DEADLINE, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(refuse(&error.to_string())),
        Err(_) => Err(refuse("no answer")),
    }
}

async fn exchange(
    io: impl Read + Write + Unpin + Send + 'static,
    host: &str,
    mode: &Mode,
    mut request: BollardRequest,
) -> Result<Response<Incoming>, Error> {
    *request.uri_mut() = shorten_uri(request.uri(), mode);
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
    let (mut sender, connection) = http1::handshake(io).await?;
    // Nobody joins this task: it ends with the answer's body, or as soon as the call is dropped, whichever is first.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// The path and query alone, as a server expects them, with or without the version.
fn shorten_uri(uri: &Uri, mode: &Mode) -> Uri {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = match mode {
        Mode::Unversioned | Mode::Probing(_) => {
            path.get(1..).and_then(|rest| rest.find('/')).map_or(path, |slash| &path[slash + 1..])
        }
        Mode::Versioned | Mode::Announced(_) => path,
    };
    path.parse().unwrap_or_default()
}

/// How long a connection may take to come about.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Ten years: bollard has no word for none.
const NO_DEADLINE_SECS: u64 = 315_360_000;

#[cfg(test)]
mod tests {
    use super::{Address, Mode, shorten_uri};

    #[test]
    fn addresses_are_unix_paths_or_hosts_with_ports() {
        for good in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375"] {
            assert_eq!(Address::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "/var/run/docker.sock", "unix://docker.sock", "tcp://host", "tcp://:1", "http://host:1"] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_version_can_be_left_out() {
        let uri = "http://localhost/v1.53/version?a=1".parse().unwrap();
        assert_eq!(shorten_uri(&uri, &Mode::Unversioned).to_string(), "/version?a=1");
        assert_eq!(shorten_uri(&uri, &Mode::Versioned).to_string(), "/v1.53/version?a=1");
    }
}
