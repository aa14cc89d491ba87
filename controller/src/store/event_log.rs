//! Which events are kept: the newest 100 of each object, 5 000 in all, and of a repeated event only its newest record.

use std::collections::{BTreeMap, BTreeSet};

use crds_schema::ObjectKey;

use super::codec::hash_bytes;
use crate::event::EventRecord;

/// How many events of one object are kept.
pub const EVENTS_PER_OBJECT: usize = 100;
/// How many events are kept in all.
pub const EVENTS_IN_ALL: usize = 5_000;

/// Knows what is kept, by sequence, without the events themselves.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    kept: BTreeMap<u64, (Option<ObjectKey>, u64)>,
    by_object: BTreeMap<Option<ObjectKey>, BTreeSet<u64>>,
    by_content: BTreeMap<u64, u64>,
}

impl EventLog {
    /// Takes an event in, and returns the sequences of those that go out for it.
    pub(super) fn admit(&mut self, event: &EventRecord) -> Vec<u64> {
        let content = content_hash(event);
        let mut out: Vec<u64> =
            self.by_content.get(&content).copied().filter(|old| *old != event.sequence).into_iter().collect();
        for sequence in &out {
            self.forget(*sequence);
        }
        self.forget(event.sequence);
        self.kept.insert(event.sequence, (event.object.clone(), content));
        self.by_content.insert(content, event.sequence);
        let of_object = self.by_object.entry(event.object.clone()).or_default();
        of_object.insert(event.sequence);
        let oldest_of_object = of_object.first().copied().filter(|_| of_object.len() > EVENTS_PER_OBJECT);
        let oldest = self.kept.keys().next().copied().filter(|_| self.kept.len() > EVENTS_IN_ALL);
        if let Some(sequence) = oldest_of_object.or(oldest) {
            self.forget(sequence);
            out.push(sequence);
        }
        out
    }

    fn forget(&mut self, sequence: u64) {
        let Some((object, content)) = self.kept.remove(&sequence) else {
            return;
        };
        if self.by_content.get(&content) == Some(&sequence) {
            self.by_content.remove(&content);
        }
        if let Some(of_object) = self.by_object.get_mut(&object) {
            of_object.remove(&sequence);
            if of_object.is_empty() {
                self.by_object.remove(&object);
            }
        }
    }
}

/// What makes two events one that is repeated: object, reason and message.
fn content_hash(event: &EventRecord) -> u64 {
    let object = event.object.as_ref().map(ToString::to_string).unwrap_or_default();
    hash_bytes([object.as_str(), &event.reason, &event.message].into_iter().flat_map(|part| part.bytes().chain([0])))
}
