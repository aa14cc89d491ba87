//! Conditions: what is true of an object right now, in Kubernetes' form.

use serde::{Deserialize, Serialize};

use crate::object::Generation;

/// One statement about an object, with its reason and a message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the statement is about.
    #[serde(rename = "type")]
    pub condition_type: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// One `CamelCase` word for machines, such as `Converged` or `ImagePullFailed`.
    pub reason: String,
    /// One sentence for people; lower-case, no trailing full stop.
    pub message: String,
    /// The generation of the object that this was evaluated for.
    pub observed_generation: Generation,
    /// When `status` last changed, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

/// The kinds of statement that every object makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionType {
    /// The object is as its spec says, and serves.
    Ready,
    /// Work is under way, or is waited for.
    Progressing,
    /// It serves less than its spec says, or something is wrong that does not stop it from serving.
    Degraded,
    /// Nothing more will happen without a change from outside.
    Stalled,
    /// Everything that a server says of itself to models is approved. It is told where that is not so.
    ToolsApproved,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It could not be observed.
    Unknown,
}
