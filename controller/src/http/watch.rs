//! Watches: streams of JSON lines, fed by the board.
//!
//! Nothing is buffered for a slow reader: what it has not read is compared again when it reads, so that it sees the newest state.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::api::WATCH_MEDIA_TYPE;
use super::error::Problem;
use super::server::Api;
use crate::board::Board;

/// An empty line is sent after this long without news.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Knows what it has sent, and writes what is new.
pub(super) trait WatchSource: Send + 'static {
    /// The lines that are due; empty where there are none.
    fn next_lines(&mut self, board: &Board) -> String;
}

/// Whether a query asks for a watch.
pub(super) fn is_watch(value: Option<&str>) -> Result<bool, Problem> {
    match value {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "invalid query").detail("`watch` takes `1` or `0`")),
    }
}

/// Adds a value as a line of its own.
pub(super) fn write_line<T: Serialize>(lines: &mut String, value: &T) {
    // Records are plain data with text keys, which JSON can always hold.
    if let Ok(text) = serde_json::to_string(value) {
        lines.push_str(&text);
        lines.push('\n');
    }
}

struct Watch<S> {
    api: Api,
    source: S,
    revision: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

impl<S: WatchSource> Watch<S> {
    /// The next chunk; `None` when the server shuts down.
    async fn next_chunk(&mut self) -> Option<String> {
        loop {
            if *self.api.shutdown.borrow() {
                return None;
            }
            self.revision.mark_unchanged();
            let lines = self.source.next_lines(&self.api.board);
            if !lines.is_empty() {
                return Some(lines);
            }
            // Both arms only wait for a number to change, which is cancel-safe.
            let news = async {
                tokio::select! {
                    changed = self.revision.changed() => changed.is_ok(),
                    stopped = self.api.shutdown.changed() => stopped.is_ok(),
                }
            };
            match timeout(HEARTBEAT, news).await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => return Some("\n".to_owned()),
            }
        }
    }
}

impl Api {
    /// The answer to a watch; 503 when there are too many of them.
    pub(super) fn watch(self, source: impl WatchSource) -> Result<Response, Problem> {
        let too_many = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many watches");
        let permit = self.watches.clone().try_acquire_owned().map_err(too_many)?;
        let revision = self.board.subscribe();
        let state = Watch { api: self, source, revision, _permit: permit };
        let chunks = stream::unfold(state, |mut state| async move {
            let chunk = state.next_chunk().await?;
            Some((Ok::<_, Infallible>(Bytes::from(chunk)), state))
        });
        Ok(([(header::CONTENT_TYPE, WATCH_MEDIA_TYPE)], Body::from_stream(chunks)).into_response())
    }
}
