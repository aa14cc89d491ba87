//! What will happen to containers by itself, in the order of time.
//!
//! Nothing runs for a container: a transition waits here until some call, or the task that serves event streams, looks at the
//! clock. One that belongs to an earlier run of its container is dropped when its time comes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that is due.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    pub(super) container_id: Arc<str>,
    /// The run of the container that it belongs to.
    pub(super) run: u32,
    pub(super) what: What,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The program ends.
    Exit { code: i64, is_out_of_memory: bool },
    /// The grace of a stop is over.
    Kill,
    /// The Engine starts the container again.
    Restart,
    /// The health check runs.
    Probe,
}

/// Everything that is due, by time and then in the order of scheduling.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    due: BTreeMap<(u64, u64), Transition>,
    sequence: u64,
}

impl Timeline {
    pub(super) fn schedule(&mut self, due_ms: u64, transition: Transition) {
        self.sequence += 1;
        self.due.insert((due_ms, self.sequence), transition);
    }

    /// The next time at which something is due.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.due.first_key_value().map(|((due_ms, _), _)| *due_ms)
    }

    /// Takes the first transition that is due by now.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<(u64, Transition)> {
        let entry = self.due.first_entry()?;
        let due_ms = entry.key().0;
        (due_ms <= now_ms).then(|| (due_ms, entry.remove()))
    }
}
