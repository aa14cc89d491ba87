//! The edge: the HTTP endpoint that clients come to.

mod body;
mod call;
mod guard;
mod legacy;
mod listen;
mod modern;
mod patience;
mod post;
mod request;
mod sessions;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::hub::Hub;
use patience::Patient;

/// How long a client has for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// How large the head of a request may be, in bytes, give or take what comes with its last piece.
const HEAD_BYTES: usize = 32 << 10;
/// How long those that are being answered have when the gateway ends.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How many connections at once; more wait in the system's queue.
const CONNECTION_LIMIT: usize = 4_096;

/// Answers clients until told to stop, and then until those that are being answered are, at most ten seconds.
pub async fn serve(hub: Arc<Hub>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let permits = Arc::new(tokio::sync::Semaphore::new(CONNECTION_LIMIT));
    let (tell_end, end) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            // Cancel-safe: an accept that is dropped has accepted nothing.
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Descriptors may be out: those that end give some back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // A stream that cannot be told so is slower, and works.
        drop(stream.set_nodelay(true));
        let (hub, end) = (Arc::clone(&hub), end.clone());
        connections.spawn(async move {
            let _permit = permit;
            serve_stream(hub, stream, end).await;
        });
    }
    drop(listener);
    // Nobody may be left to hear it.
    tell_end.send_replace(true);
    drop(timeout(DRAIN_TIME, async { while connections.join_next().await.is_some() {} }).await);
}

/// Answers one client until it hangs up, or until what it has asked is answered once `end` changes.
pub(crate) async fn serve_stream<S>(hub: Arc<Hub>, stream: S, mut end: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let hub = Arc::clone(&hub);
        async move { Ok::<_, Infallible>(request::answer(hub, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    tokio::select! {
        // Whoever hung up wants nothing more. The order is fixed so that a run can be repeated.
        biased;
        ended = connection.as_mut() => drop(ended),
        _ = end.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}
