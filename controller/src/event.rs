//! Events: what happened to an object, for people; de-duplicated, counted and kept across restarts.

use crds_schema::ObjectKey;
use serde::{Deserialize, Serialize};

/// Something that happened, once or many times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// Grows with every new or repeated event; what a watch resumes from.
    pub sequence: u64,
    /// Which object; absent for the controller itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// How bad it is.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// One `CamelCase` word, such as `ContainerRemoved`.
    pub reason: String,
    /// One sentence; lower-case, no trailing full stop.
    pub message: String,
    /// How often it happened.
    pub count: u64,
    /// When it first happened, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// When it last happened.
    pub last_ms: i64,
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Something is wrong, or was done by somebody else.
    Warning,
}

/// An event about to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Which object; `None` for the controller itself.
    pub object: Option<ObjectKey>,
    /// How bad it is.
    pub event_type: EventType,
    /// One `CamelCase` word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl NewEvent {
    /// A normal event of an object.
    pub fn normal(object: &ObjectKey, reason: &str, message: impl Into<String>) -> Self {
        let object = Some(object.clone());
        Self { object, event_type: EventType::Normal, reason: reason.to_owned(), message: message.into() }
    }

    /// A warning about an object.
    pub fn warning(object: &ObjectKey, reason: &str, message: impl Into<String>) -> Self {
        Self { event_type: EventType::Warning, ..Self::normal(object, reason, message) }
    }

    /// A warning about the controller itself.
    pub fn controller_warning(reason: &str, message: impl Into<String>) -> Self {
        let event_type = EventType::Warning;
        Self { object: None, event_type, reason: reason.to_owned(), message: message.into() }
    }
}
