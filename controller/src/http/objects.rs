//! Objects: all, some, one, and what becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use crds_schema::{Kind, Name, ObjectKey};
use serde::Deserialize;

use super::api::{List, ObjectLine};
use super::error::Problem;
use super::server::Api;
use super::watch::{WatchSource, is_watch, write_line};
use crate::board::Board;
use crate::status::ObjectRecord;

/// Which objects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObjectQuery {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    watch: Option<String>,
}

/// The same, parsed.
#[derive(Debug, Clone, Default)]
struct ObjectFilter {
    kind: Option<Kind>,
    namespace: Option<Name>,
    name: Option<Name>,
}

impl ObjectFilter {
    fn matches(&self, key: &ObjectKey) -> bool {
        self.kind.is_none_or(|kind| kind == key.kind)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
    }
}

impl TryFrom<&ObjectQuery> for ObjectFilter {
    type Error = Problem;

    fn try_from(query: &ObjectQuery) -> Result<Self, Problem> {
        let parse_name = |text: &Option<String>| text.as_deref().map(parse_name).transpose();
        Ok(Self {
            kind: query.kind.as_deref().map(|text| parse_kind(text, StatusCode::BAD_REQUEST)).transpose()?,
            namespace: parse_name(&query.namespace)?,
            name: parse_name(&query.name)?,
        })
    }
}

/// `GET /api/v1/objects?kind=&namespace=&name=&watch=1`: a list, or a stream of lines.
pub(super) async fn get_objects(
    State(api): State<Api>,
    query: Result<Query<ObjectQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let filter = ObjectFilter::try_from(&query)?;
    if is_watch(query.watch.as_deref())? {
        return api.watch(ObjectWatch { filter, sent: None });
    }
    let objects = api.board.objects();
    let items: Vec<&ObjectRecord> =
        objects.iter().map(AsRef::as_ref).filter(|object| filter.matches(&object.key)).collect();
    Ok(Json(List { kind: "ObjectList".to_owned(), metadata: api.list_metadata(), items }).into_response())
}

/// `GET /api/v1/objects/KIND/NAMESPACE/NAME`.
pub(super) async fn get_object(
    State(api): State<Api>,
    path: Result<Path<(String, String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((kind, namespace, name)) = path?;
    let (namespace, name) = (parse_name(&namespace)?, parse_name(&name)?);
    let key = ObjectKey { kind: parse_kind(&kind, StatusCode::NOT_FOUND)?, namespace, name };
    match api.board.object(&key) {
        Some(record) => Ok(Json(&*record).into_response()),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "no such object").detail(format!("{key} is not known"))),
    }
}

/// A kind of an address or a query; what was sent is not repeated.
fn parse_kind(text: &str, status: StatusCode) -> Result<Kind, Problem> {
    let known = || Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    Kind::parse(text).ok_or_else(|| Problem::new(status, "no such kind").hint(format!("the kinds are {}", known())))
}

fn parse_name(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|_| Problem::invalid_name())
}

/// A watch over objects: what differs from what was sent last.
#[derive(Debug)]
struct ObjectWatch {
    filter: ObjectFilter,
    /// `None` before the first lines.
    sent: Option<BTreeMap<ObjectKey, Arc<ObjectRecord>>>,
}

impl WatchSource for ObjectWatch {
    fn next_lines(&mut self, board: &Board) -> String {
        let mut lines = String::new();
        let matching = board.objects().into_iter().filter(|object| self.filter.matches(&object.key));
        let now: BTreeMap<ObjectKey, Arc<ObjectRecord>> = matching.map(|object| (object.key.clone(), object)).collect();
        let is_first = self.sent.is_none();
        let before = self.sent.take().unwrap_or_default();
        for (key, object) in &now {
            if before.get(key).is_none_or(|old| !Arc::ptr_eq(old, object)) {
                write_line(&mut lines, &ObjectLine::Put { object: &**object });
            }
        }
        for key in before.into_keys().filter(|key| !now.contains_key(key)) {
            write_line(&mut lines, &ObjectLine::<&ObjectRecord>::Gone { key });
        }
        if is_first {
            write_line(&mut lines, &ObjectLine::<&ObjectRecord>::Synced);
        }
        self.sent = Some(now);
        lines
    }
}
