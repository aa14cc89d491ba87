//! What is known of an object: the record that the store keeps, the API serves and the CLI prints.

use crds_schema::{Condition, ConditionStatus, ConditionType, Generation, ObjectKey, SourceLocation};
use planner::plan::Plan;
use planner::rollup::{DEADLINE_EXCEEDED, Failure, RollUp};
use planner::world::Hold;
use serde::{Deserialize, Serialize};

/// Everything that is known of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRecord {
    /// Which object.
    pub key: ObjectKey,
    /// The manifest as applied: `apiVersion`, `kind`, `metadata`, `spec`.
    pub manifest: serde_json::Value,
    /// Where the manifest was read.
    pub source: SourceLocation,
    /// When the object was first seen, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// What was brought back in its place, where its rollout failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// What is true of it.
    pub status: ObjectStatus,
}

/// What was brought back in place of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// The manifest that is in force.
    pub manifest: serde_json::Value,
    /// Why, for people.
    pub message: String,
    /// When that was decided, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// What is true of an object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectStatus {
    /// The generation of the manifest.
    pub generation: Generation,
    /// The generation that the rest of the status is about.
    pub observed_generation: Generation,
    /// When the Engine was last looked at for it, in milliseconds since the Unix epoch.
    pub observed_ms: i64,
    /// `Ready`, `Progressing`, `Degraded`, `Stalled`.
    pub conditions: Vec<Condition>,
    /// What it waits for, one phrase each, as in the plan's text.
    pub waiting: Vec<String>,
    /// The last failure, until a pass without one.
    pub last_error: Option<String>,
    /// When the next try is due, in milliseconds since the Unix epoch.
    pub next_retry_ms: Option<i64>,
    /// What tables show, in order: `READY`, `UP-TO-DATE` and the like.
    pub columns: Vec<Column>,
    /// What it has in the Engine.
    pub primitives: Vec<PrimitiveStatus>,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// The heading, upper case.
    pub name: String,
    /// The cell.
    pub value: String,
    /// Only shown with `-o wide`.
    #[serde(default)]
    pub wide: bool,
}

/// One thing of the Engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrimitiveStatus {
    /// Such as `container/web-7f9c4d21-0`.
    pub subject: String,
    /// The full id, or the name of a volume.
    pub id: String,
    /// Such as `running` or `exited (137)`.
    pub state: String,
    /// More for people, such as `health: starting` or an address; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl ObjectRecord {
    /// The manifest that is in force: the user's, or what was brought back in its place.
    pub fn manifest_in_force(&self) -> &serde_json::Value {
        self.rolled_back.as_ref().map_or(&self.manifest, |rolled_back| &rolled_back.manifest)
    }

    /// Whether what is told of it is of the newest try of its newest spec.
    pub fn is_looked_at(&self) -> bool {
        self.status.observed_generation >= self.status.generation
    }

    /// Why the rollout of its spec has failed, where it has.
    pub fn failed_rollout(&self) -> Option<&str> {
        let progressing = self.status.condition(ConditionType::Progressing);
        let told = progressing.filter(|told| told.reason == DEADLINE_EXCEEDED).map(|told| told.message.as_str());
        self.rolled_back.as_ref().map(|rolled_back| rolled_back.message.as_str()).or(told)
    }
}

impl ObjectStatus {
    /// One condition, if it is known yet.
    pub fn condition(&self, condition_type: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }

    /// Whether the object is as its spec says, and serves.
    pub fn is_ready(&self) -> bool {
        self.condition(ConditionType::Ready).is_some_and(|ready| ready.status == ConditionStatus::True)
    }
}

/// Whether two statuses differ only in when they were observed.
pub(crate) fn is_same_but_for_time(old: &ObjectStatus, new: &ObjectStatus) -> bool {
    let old = ObjectStatus { observed_ms: new.observed_ms, ..old.clone() };
    old == *new
}

/// The status that follows from a roll-up. A condition that did not change keeps its time.
pub(crate) fn new_status(
    before: &ObjectStatus,
    rolled: RollUp,
    plan: &Plan,
    failure: Option<&Failure>,
    hold: Option<Hold>,
    now_ms: i64,
) -> ObjectStatus {
    let conditions = rolled
        .conditions
        .into_iter()
        .map(|statement| {
            let old = before.condition(statement.condition_type);
            let since_ms = old.filter(|old| old.status == statement.status).map_or(now_ms, |old| old.since_ms);
            Condition {
                condition_type: statement.condition_type,
                status: statement.status,
                reason: statement.reason.to_owned(),
                message: statement.message,
                observed_generation: before.generation,
                since_ms,
            }
        })
        .collect::<Vec<_>>();
    let is_ready = conditions.first().is_some_and(|ready| ready.status == ConditionStatus::True);
    ObjectStatus {
        generation: before.generation,
        observed_generation: before.generation,
        observed_ms: now_ms,
        conditions,
        waiting: plan.waiting.iter().map(ToString::to_string).collect(),
        last_error: failure.filter(|_| !is_ready).map(|failure| failure.message.clone()),
        next_retry_ms: match hold {
            Some(Hold::Backoff(until_ms) | Hold::UnknownOutcome(until_ms)) => Some(until_ms),
            None => None,
        },
        columns: rolled
            .columns
            .into_iter()
            .map(|(name, value, wide)| Column { name: name.to_owned(), value, wide })
            .collect(),
        primitives: rolled
            .primitives
            .into_iter()
            .map(|view| PrimitiveStatus { subject: view.subject, id: view.id, state: view.state, detail: view.detail })
            .collect(),
    }
}
