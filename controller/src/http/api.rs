//! The bodies of the API, shared by the server and the CLI.

use crds_schema::{Diagnostic, ObjectKey};
use serde::{Deserialize, Serialize};

use crate::event::EventRecord;

/// The header that names the engine in every answer, with the value `docker` or `simulated`.
pub const ENGINE_HEADER: &str = "evenkeel-engine";

/// The media type of problems (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The media type of a watch: one JSON value a line, and empty lines to keep the connection alive.
pub const WATCH_MEDIA_TYPE: &str = "application/x-ndjson";

/// The engine that the controller keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// A real one.
    Docker,
    /// The simulated one: nothing that is shown runs anywhere.
    Simulated,
}

/// A list of objects or events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// `ObjectList` or `EventList`.
    pub kind: String,
    /// About the list.
    pub metadata: ListMetadata,
    /// What was asked for.
    pub items: Vec<T>,
}

/// About a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMetadata {
    /// Which engine it is about.
    pub engine: EngineName,
}

/// A line of a watch over objects. `T` is an `ObjectRecord`, or a reference to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum ObjectLine<T> {
    /// An object as it is now; the first lines are all that there are.
    Put {
        /// The object.
        object: T,
    },
    /// An object is gone.
    Gone {
        /// Which.
        key: ObjectKey,
    },
    /// Everything that was there when the watch began has been sent; what follows is news.
    Synced,
}

/// A line of a watch over events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum EventLine {
    /// An event, new or repeated.
    Put {
        /// The event.
        event: EventRecord,
    },
    /// Everything that was there when the watch began has been sent.
    Synced,
}

/// What is true of the controller itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControllerView {
    /// Which engine it keeps.
    pub engine: EngineName,
    /// The controller's version.
    pub version: String,
    /// Whether the first full pass is done.
    pub is_ready: bool,
    /// Whether the Engine answered last time.
    pub is_engine_reachable: bool,
    /// Why the store is not what it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_recovered: Option<String>,
    /// Why the manifests could not be read as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_problem: Option<String>,
    /// The faults of the manifests at present.
    pub diagnostics: Vec<Diagnostic>,
    /// What prune holds back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune_held: Option<PruneHeldView>,
}

/// A removal that waits for a user's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneHeldView {
    /// What would be removed.
    pub keys: Vec<ObjectKey>,
    /// What `evenkeel prune --confirm` takes.
    pub token: String,
    /// Why it is held.
    pub reason: String,
}

/// The body of `POST /api/v1/prune-confirmations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneConfirmation {
    /// The token of what is held.
    pub token: String,
}

/// The body of `POST /api/v1/rollout-retries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutRetry {
    /// Which object, as `KIND/NAME` or `KIND/NAMESPACE/NAME`.
    pub object: ObjectKey,
}

/// An error body (RFC 9457).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProblemBody {
    /// The HTTP status again.
    pub status: u16,
    /// What went wrong, in general: the same for every problem of its sort.
    pub title: String,
    /// What went wrong this time; at most 500 characters, and never a copy of what was sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What the caller can do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}
