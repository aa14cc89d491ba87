//! What a server answers by HTTP, read to the message that it is.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

use super::exchange::{Answer, Note, UpstreamError};
use crate::wire::envelope::{Message, Outcome};
use crate::wire::id::Id;
use crate::wire::sse::{Event, SseReader};

/// How the content type of a stream of events begins.
const EVENT_STREAM: &str = "text/event-stream";
/// How many characters are told of what a server says where it fails.
pub(crate) const REFUSAL_LIMIT: usize = 300;
/// How many are kept until its secrets are taken out: what is cut before that may end with the beginning of one.
pub(crate) const TEXT_LIMIT: usize = 8 << 10;

/// How long a server that has ended a stream is left alone where it names no time.
pub(super) const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// How long it is left alone at least: one that names no time at all must not keep us busy.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// How far a stream of events came.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// What the last event that has an id is called.
    pub(super) last_event: Option<HeaderValue>,
    /// How long the server wants to be left alone before the rest is fetched.
    pub(super) pause: Option<Duration>,
}

impl Place {
    /// It came as far as this event.
    pub(crate) fn note(&mut self, event: &Event) {
        self.pause = event.retry_ms.map(Duration::from_millis).or(self.pause);
        if let Some(id) = &event.id {
            self.last_event = HeaderValue::from_str(id).ok().filter(|id| !id.is_empty());
        }
    }

    /// From which event the rest is fetched, and after which time. Taken: a stream that then comes no further is the last.
    pub(crate) fn take(&mut self) -> Option<(HeaderValue, Duration)> {
        Some((self.last_event.take()?, self.pause.unwrap_or(DEFAULT_PAUSE).max(SHORTEST_PAUSE)))
    }
}

/// Whether an answer is a stream of events.
pub(crate) fn is_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let begin = kind.and_then(|kind| kind.trim_start().get(..EVENT_STREAM.len()));
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(EVENT_STREAM))
}

/// The whole of a body of at most `limit` bytes.
pub(crate) async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, UpstreamError> {
    let mut first: Option<Bytes> = None;
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| UpstreamError::Gone(format!("its answer broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + first.as_ref().map_or(0, Bytes::len) + data.len() > limit {
            return Err(UpstreamError::TooLarge(limit));
        }
        // Most answers are one piece, which is not copied.
        match (first.take(), whole.is_empty()) {
            (None, true) => first = Some(data),
            (None, false) => whole.extend_from_slice(&data),
            (Some(begun), _) => {
                whole.extend_from_slice(&begun);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| Bytes::from(whole)))
}

/// The answer that a whole body is.
///
/// # Errors
/// When it is none.
pub(super) fn read_answer(body: &[u8], status: StatusCode, number: u64) -> Result<Answer, UpstreamError> {
    let text = std::str::from_utf8(body).map_err(|_| UpstreamError::NotMcp("its answer is no UTF-8".to_owned()))?;
    match Message::parse(text) {
        Ok(Message::Response { id, outcome }) => {
            let is_ours = id.as_ref().is_none_or(|id| id.as_number() == Some(number));
            match outcome {
                Outcome::Result(result) if is_ours => Ok(Answer::Result(result.get().to_owned())),
                Outcome::Error(error) => Ok(Answer::Error(error.get().to_owned())),
                Outcome::Result(_) => Err(UpstreamError::NotMcp("it answered with another id".to_owned())),
            }
        }
        Ok(_) | Err(_) if !status.is_success() => {
            let text: String = text.chars().take(TEXT_LIMIT).collect();
            Err(UpstreamError::Refused { status: status.as_u16(), text })
        }
        Ok(_) => Err(UpstreamError::NotMcp("its answer is no response".to_owned())),
        Err(error) => Err(UpstreamError::NotMcp(error.to_string())),
    }
}

/// Reads events until the answer to `number`, or with none until the end; `None` where the stream has ended before.
pub(super) async fn read_events(
    mut body: Incoming,
    limit: usize,
    number: Option<u64>,
    notes: &mpsc::Sender<Note>,
    place: &mut Place,
) -> Result<Option<Answer>, UpstreamError> {
    let mut reader = SseReader::new(limit);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| UpstreamError::Gone(format!("its stream broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        for event in reader.push(&data).map_err(|_| UpstreamError::TooLarge(limit))? {
            place.note(&event);
            if event.data.trim().is_empty() {
                continue;
            }
            let note = match Message::parse(&event.data) {
                Ok(Message::Response { id, outcome }) => {
                    if number.is_some() && id.as_ref().and_then(Id::as_number) == number {
                        return Ok(Some(match outcome {
                            Outcome::Result(result) => Answer::Result(result.get().to_owned()),
                            Outcome::Error(error) => Answer::Error(error.get().to_owned()),
                        }));
                    }
                    continue;
                }
                Ok(Message::Notification { method, params }) => {
                    Note::Notification { method: method.into_owned(), params: params.map(|raw| raw.get().to_owned()) }
                }
                Ok(Message::Request { id, method, params }) => {
                    Note::Request { id, method: method.into_owned(), params: params.map(|raw| raw.get().to_owned()) }
                }
                Err(error) => {
                    tracing::debug!(error = %error, "an event of a server is no message");
                    continue;
                }
            };
            if notes.send(note).await.is_err() && number.is_none() {
                return Err(UpstreamError::Gone("nobody listens any more".to_owned()));
            }
        }
    }
    Ok(None)
}
