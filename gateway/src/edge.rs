//! The edge: the HTTP endpoint that clients come to.

mod alert;
mod arrival;
mod body;
mod call;
mod enduring;
mod entry;
mod guard;
mod heading;
mod late;
mod legacy;
mod listen;
mod modern;
mod patience;
mod post;
mod request;
mod sessions;
mod worker;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::hub::Hub;
pub(crate) use alert::Alert;
use arrival::Arrival;
use late::Late;
use patience::Patient;
use worker::Workers;

/// How long a client has for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// How large the head of a request may be, in bytes, give or take what comes with its last piece.
const HEAD_BYTES: usize = 32 << 10;
/// How long those that are being answered have when the gateway ends.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How many connections at once; more wait in the system's queue.
const CONNECTION_LIMIT: usize = 4_096;

/// Answers clients until told to stop, and then until those that are being answered are, at most two seconds. Where the runtime has
/// several threads, connections go to threads of their own; a runtime of one thread, and whoever stops its clock, has them all.
pub async fn serve(hub: Arc<Hub>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let permits = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let (tell_end, end) = watch::channel(false);
    let mut workers = Workers::start(&hub, &end);
    let mut connections = Connections::new(hub, end, None);
    tokio::pin!(stop);
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let accepted = tokio::select! {
            // Cancel-safe: an accept that is dropped has accepted nothing.
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // Descriptors may be out: those that end give some back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // A stream that cannot be told so is slower, and works.
        drop(stream.set_nodelay(true));
        if let Some((stream, permit)) = workers.take(stream, permit).await {
            connections.follow(stream, permit);
        }
    }
    drop(listener);
    // Nobody may be left to hear it.
    tell_end.send_replace(true);
    tokio::join!(workers.drain(), connections.drain());
}

/// The connections that one runtime has.
struct Connections {
    hub: Arc<Hub>,
    /// Says that the gateway ends; closed where it already has.
    end: watch::Receiver<bool>,
    /// What keeps the thread awake, where it has one of its own.
    alert: Option<Arc<Alert>>,
    tasks: JoinSet<()>,
}

impl Connections {
    fn new(hub: Arc<Hub>, end: watch::Receiver<bool>, alert: Option<Arc<Alert>>) -> Self {
        Self { hub, end, alert, tasks: JoinSet::new() }
    }

    /// Answers what comes over a connection. `place`: what it keeps for as long as it lasts.
    fn follow(&mut self, stream: TcpStream, place: impl Send + 'static) {
        self.forget_ended();
        let (hub, end, alert) = (Arc::clone(&self.hub), self.end.clone(), self.alert.clone());
        self.tasks.spawn(async move {
            let _place = place;
            serve_stream(hub, stream, end, alert).await;
        });
    }

    /// Whether there are any; those that have ended are forgotten.
    fn are_any(&mut self) -> bool {
        self.forget_ended();
        !self.tasks.is_empty()
    }

    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    /// Waits for those that are being answered, and cuts off the others.
    async fn drain(mut self) {
        if timeout(DRAIN_TIME, async { while self.tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::debug!("requests were under way when a gateway was closed");
        }
        self.tasks.shutdown().await;
    }
}

/// The connection that a request has come by, as far as its answer is concerned.
#[derive(Debug, Clone)]
struct Way {
    /// Says that the gateway ends; closed where nobody would say so.
    end: watch::Receiver<bool>,
    late: Late,
}

/// Answers one client until it hangs up, or until what it has asked is answered once `end` changes.
pub(crate) async fn serve_stream<S>(hub: Arc<Hub>, stream: S, mut end: watch::Receiver<bool>, alert: Option<Arc<Alert>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let late = Late::default();
    let way = Way { end: end.clone(), late: late.clone() };
    let service = service_fn(move |request| {
        // Of a client that did not wait for the answer before.
        way.late.write();
        // Outside of what follows: that may be dropped before it is looked at even once.
        let arrival = Arrival::of(&hub, &request);
        let (hub, alert, way) = (Arc::clone(&hub), alert.clone(), way.clone());
        async move {
            let mut answering = pin!(request::answer(hub, way, request, arrival));
            let mut under_way = alert.as_deref().map(Alert::begin);
            poll_fn(|cx| {
                let answer = answering.as_mut().poll(cx);
                // A list waits for nobody.
                if answer.is_pending()
                    && let Some(under_way) = &mut under_way
                {
                    under_way.note_waiting();
                }
                answer.map(Ok::<_, Infallible>)
            })
            .await
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    // So that it is looked at only when there is something to hear, and not whenever the client says something.
    let mut ended = FuturesUnordered::from_iter([end.changed()]);
    tokio::select! {
        // Whoever hung up wants nothing more. The order is fixed so that a run can be repeated.
        biased;
        closed = late.after(connection.as_mut()) => drop(closed),
        Some(told) = ended.next() => if told.is_ok() {
            connection.as_mut().graceful_shutdown();
            drop(late.after(connection).await);
        }
    }
}
