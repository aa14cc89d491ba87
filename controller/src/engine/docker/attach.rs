//! Attaching to a container: an HTTP request whose connection then carries the container's standard streams.
//!
//! bollard's own attach holds a frame back until all of it has come, and takes what is no frame for output. Hence this one, see
//! <https://docs.docker.com/engine/api/v1.41/#operation/ContainerAttach>.

use bollard::ClientVersion;
use bollard::errors::Error;
use http_body_util::{BodyExt as _, Collected, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::rt::{Read, Write};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::demultiplexer::Demultiplexer;
use super::transport::{Address, connect};
use crate::engine::AttachedContainer;

/// The largest error that is read.
const ERROR_BYTES: usize = 64 * 1024;

/// Attaches to a container, by full id.
pub(super) async fn attach(address: &Address, version: ClientVersion, id: &str) -> Result<AttachedContainer, Error> {
    match address {
        Address::Unix(path) => {
            let stream = connect(address, UnixStream::connect(path)).await?;
            let upgraded = upgrade(TokioIo::new(stream), "localhost", version, id).await?;
            let (stream, begun) = part::<UnixStream>(upgraded)?;
            let (output, input) = stream.into_split();
            Ok(join(input, output, begun, id))
        }
        Address::Tcp(host) => {
            let stream = connect(address, TcpStream::connect(host)).await?;
            stream.set_nodelay(true)?;
            let upgraded = upgrade(TokioIo::new(stream), host, version, id).await?;
            let (stream, begun) = part::<TcpStream>(upgraded)?;
            let (output, input) = stream.into_split();
            Ok(join(input, output, begun, id))
        }
    }
}

/// Asks for the streams, and returns the connection that carries them from then on.
async fn upgrade(
    io: impl Read + Write + Unpin + Send + 'static,
    host: &str,
    version: ClientVersion,
    id: &str,
) -> Result<Upgraded, Error> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v{version}/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=0"))
        .header(HOST, host)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .header(CONTENT_TYPE, "text/plain")
        .body(Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::handshake(io).await?;
    // Nobody joins this task: it ends when the connection is handed over, or with it.
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(read_refusal(response).await);
    }
    Ok(hyper::upgrade::on(response).await?)
}

/// The error that an answer is which is no handing over.
async fn read_refusal(response: Response<Incoming>) -> Error {
    let status = response.status();
    if status.is_success() {
        // Whoever stands before the Engine took the upgrade away. The stream that follows would have no end.
        let message = "the way to the Engine lets no connection be handed over".to_owned();
        return Error::DockerResponseServerError { status_code: status.as_u16(), message };
    }
    let body = Limited::new(response.into_body(), ERROR_BYTES).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message = told.as_ref().and_then(|told| told["message"].as_str());
    let message = message.map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
    Error::DockerResponseServerError { status_code: status.as_u16(), message }
}

/// The connection itself, and what was read of it already.
fn part<S>(upgraded: Upgraded) -> Result<(S, Bytes), Error>
where
    TokioIo<S>: Read + Write + Unpin + 'static,
{
    let parts =
        upgraded.downcast::<TokioIo<S>>().map_err(|_| std::io::Error::other("another connection was handed over"))?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

fn join(
    input: impl AsyncWrite + Send + Unpin + 'static,
    output: impl AsyncRead + Send + Unpin + 'static,
    begun: Bytes,
    id: &str,
) -> AttachedContainer {
    let frames = std::io::Cursor::new(begun).chain(output);
    AttachedContainer { input: Box::new(input), output: Box::new(Demultiplexer::new(frames, id)) }
}
