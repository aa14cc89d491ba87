//! Tests of the store, from the outside of its modules.

mod ladder;
mod twins;
mod typed;

use crds_schema::{ObjectKey, SourceLocation};
use serde_json::json;

use crate::event::{EventRecord, EventType};
use crate::status::{ObjectRecord, ObjectStatus};

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn object(name: &str) -> ObjectRecord {
    ObjectRecord {
        key: key(name),
        manifest: json!({ "spec": { "image": "nginx:1.29", "text": "\",\"record\":" } }),
        source: SourceLocation { file: "a.yaml".into(), line: 1 },
        created_ms: 1,
        rolled_back: None,
        status: ObjectStatus::default(),
    }
}

fn event(sequence: u64, object: Option<&str>, message: &str) -> EventRecord {
    EventRecord {
        sequence,
        object: object.map(key),
        event_type: EventType::Normal,
        reason: "Tested".into(),
        message: message.into(),
        count: 1,
        first_ms: 1,
        last_ms: 1,
    }
}
