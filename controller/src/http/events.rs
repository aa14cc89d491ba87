//! Events: what happened, and what happens.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use crds_schema::ObjectKey;
use serde::Deserialize;

use super::api::{EventLine, List};
use super::error::Problem;
use super::server::Api;
use super::watch::{WatchSource, is_watch, write_line};
use crate::board::{Board, EVENT_CAPACITY};

/// Which events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventQuery {
    r#for: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
    watch: Option<String>,
}

/// `GET /api/v1/events?for=KIND/NAMESPACE/NAME&after=SEQUENCE&limit=&watch=1`: a list, oldest first, or a stream of lines.
///
/// `limit` keeps the newest.
pub(super) async fn get_events(
    State(api): State<Api>,
    query: Result<Query<EventQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let object = query.r#for.as_deref().map(str::parse::<ObjectKey>).transpose().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid query")
            .detail("`for` takes `KIND/NAME` or `KIND/NAMESPACE/NAME`")
    })?;
    let limit = query.limit.unwrap_or(EVENT_CAPACITY);
    if !(1..=EVENT_CAPACITY).contains(&limit) {
        let detail = format!("`limit` takes 1 to {EVENT_CAPACITY}");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid query").detail(detail));
    }
    let after = query.after.unwrap_or(0);
    if is_watch(query.watch.as_deref())? {
        return api.watch(EventWatch { object, after, is_synced: false });
    }
    let mut items = api.board.events(object.as_ref(), after);
    let items = items.split_off(items.len().saturating_sub(limit));
    Ok(Json(List { kind: "EventList".to_owned(), metadata: api.list_metadata(), items }).into_response())
}

/// A watch over events: those after the last one that was sent.
#[derive(Debug)]
struct EventWatch {
    object: Option<ObjectKey>,
    after: u64,
    is_synced: bool,
}

impl WatchSource for EventWatch {
    fn next_lines(&mut self, board: &Board) -> String {
        let mut lines = String::new();
        for event in board.events(self.object.as_ref(), self.after) {
            self.after = self.after.max(event.sequence);
            write_line(&mut lines, &EventLine::Put { event });
        }
        if !self.is_synced {
            self.is_synced = true;
            write_line(&mut lines, &EventLine::Synced);
        }
        lines
    }
}
