//! Answers of HTTP: JSON, streams of events, and neither.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::wire::id::Id;
use crate::wire::reply::{RpcError, error_reply};

/// How often a silent stream says that it is there.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(15);

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// JSON with a status.
pub(super) fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// JSON of two pieces, the second of which is not copied.
pub(super) fn joined_json(head: String, tail: Bytes) -> Response<Body> {
    let mut response = json(StatusCode::OK, Bytes::new());
    *response.body_mut() = Pieces([Some(head.into()), Some(tail)]).boxed_unsync();
    response
}

/// A body of pieces, each sent once.
struct Pieces([Option<Bytes>; 2]);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.iter_mut().find_map(Option::take).map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn size_hint(&self) -> SizeHint {
        let length: usize = self.0.iter().flatten().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

/// Text with a status and a content type.
pub(super) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = json(status, text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A status alone.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// An error of the protocol with a status.
pub(super) fn fault(status: StatusCode, id: Option<&Id>, error: &RpcError) -> Response<Body> {
    json(status, error_reply_or_none(id, error))
}

/// An error without a known id leaves the id out, as 2026-07-28 wants it; older clients take that as well.
fn error_reply_or_none(id: Option<&Id>, error: &RpcError) -> String {
    match id {
        Some(_) => error_reply(id, &error.to_json()),
        None => format!("{{\"jsonrpc\":\"2.0\",\"error\":{}}}", error.to_json()),
    }
}

/// A stream of events that ends when the channel does. Whoever hangs up drops the receiver.
pub(super) fn events(rx: mpsc::Receiver<String>) -> Response<Body> {
    let frames = stream::unfold(rx, |mut rx| async move {
        let piece = match timeout(KEEP_ALIVE_TIME, rx.recv()).await {
            Ok(Some(piece)) => Bytes::from(piece),
            Ok(None) => return None,
            Err(_) => Bytes::from_static(b": ping\n\n"),
        };
        Some((Ok::<_, Infallible>(Frame::data(piece)), rx))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
