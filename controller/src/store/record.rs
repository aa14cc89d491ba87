//! What the store keeps, beside the records of objects and events, and the keys that it is kept under.

use crds_schema::{Generation, ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What a source is known to hold, or to have held: enough to remove it as it asked to be, when its manifest is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryEntry {
    /// Whether the object was never to be pruned.
    pub protect: bool,
    /// Whether what the object holds, such as a volume's data, was to be deleted with it.
    pub delete_with_object: bool,
    /// The last good manifest.
    pub manifest: Json,
}

/// What a file said when it last parsed, so that a restart while it is broken still has its objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoodFile {
    /// The hash of its text; the caller's choice of hash.
    pub text_hash: String,
    /// Its manifests, in order.
    pub manifests: Vec<Json>,
}

/// Names one pass over one object, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IntentId(pub u64);

/// A pass that was about to change the Engine: written before the first call, so that a crash leaves a trace of what may
/// have been done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Which pass.
    pub id: IntentId,
    /// Over which object.
    pub key: ObjectKey,
    /// When it began, in milliseconds since the Unix epoch.
    pub begun_ms: i64,
    /// Its steps, as the plan's text says them.
    pub steps: Vec<String>,
}

/// A pass that ended: the audit's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishedPass {
    /// What was intended.
    #[serde(flatten)]
    pub intent: Intent,
    /// When it ended, in milliseconds since the Unix epoch.
    pub finished_ms: i64,
    /// What became of each step, in their order, such as `done`; shorter where later steps were not tried.
    pub outcomes: Vec<String>,
}

/// The manifest of an object that prune removed, kept so that it can be had back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedManifest {
    /// Which object.
    pub key: ObjectKey,
    /// The source that it came from.
    pub source: String,
    /// The last good manifest.
    pub manifest: Json,
    /// When it was removed, in milliseconds since the Unix epoch.
    pub removed_ms: i64,
}

/// What is remembered of an object's rollouts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutRecord {
    /// The manifest of the last rollout that was completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<Json>,
    /// The manifest that is not tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
}

/// A manifest whose rollout failed: it is not tried again until its spec changes, or somebody asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// The manifest, whole: another release may write the same spec with another hash.
    pub manifest: Json,
    /// What was wrong, for people.
    pub message: String,
    /// When that was decided, in milliseconds since the Unix epoch.
    pub rejected_ms: i64,
}

/// Which version of a spec is the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerationRecord {
    pub(super) generation: Generation,
    pub(super) spec_hash: String,
}

/// Begins the keys of objects' records.
pub(super) const OBJECT: &str = "object/";
/// Begins the keys of events.
pub(super) const EVENT: &str = "event/";
/// Begins the keys of generations.
pub(super) const GENERATION: &str = "generation/";
/// Begins the keys of what is remembered of rollouts.
pub(super) const ROLLOUT: &str = "rollout/";
/// Begins the keys of inventory entries.
pub(super) const INVENTORY: &str = "inventory/";
/// Begins the keys of files' last good content.
pub(super) const FILE: &str = "file/";
/// Begins the keys of tombstones.
pub(super) const TOMBSTONE: &str = "tombstone/";
/// Begins the keys of known containers.
pub(super) const CONTAINER: &str = "container/";
/// Begins the keys of passes that have begun.
pub(super) const INTENT: &str = "intent/";
/// Begins the keys of passes that have ended.
pub(super) const PASS: &str = "pass/";
/// Begins the keys of archived manifests.
pub(super) const ARCHIVE: &str = "archive/";
/// Begins the keys of small values.
pub(super) const META: &str = "meta/";
/// Counts the commits; it tells a store that lost its tail from one that did not.
pub(super) const COMMITS: &str = "meta/commits";
/// The id of the engine that the store belongs to.
pub(super) const ENGINE_ID: &str = "meta/engine-id";

/// A numbered key, so that the order of the keys is that of the numbers.
pub(super) fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

/// The number of a numbered key. One that counting never comes to is damage, and no number to go on from.
pub(super) fn number_of(prefix: &str, key: &str) -> Option<u64> {
    key.strip_prefix(prefix)?.parse().ok().filter(|number| *number <= LAST_NUMBER)
}

/// The last number that is believed.
const LAST_NUMBER: u64 = u64::MAX / 2;

/// The key of an inventory entry. An object's key holds no `|`, so the last one divides.
pub(super) fn inventory_key(source: &str, object: &ObjectKey) -> String {
    format!("{INVENTORY}{source}|{object}")
}

/// The source and object of an inventory entry's key.
pub(super) fn split_inventory_key(key: &str) -> Option<(&str, ObjectKey)> {
    let (source, object) = key.strip_prefix(INVENTORY)?.rsplit_once('|')?;
    Some((source, object.parse().ok()?))
}
