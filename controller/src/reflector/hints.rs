//! What events said something about, gathered until it is looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::GATHER_TIME;

/// Things that an event said something about.
#[derive(Debug, Default)]
pub(super) struct Hints {
    pub(super) containers: BTreeMap<String, Hint>,
    pub(super) networks: bool,
    pub(super) volumes: bool,
    pub(super) images: bool,
}

/// A container that an event said something about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hint {
    /// When it is looked at.
    pub(super) due: Instant,
    /// What was asked since then knows what the event told.
    pub(super) since: Instant,
    /// When the first of the events came.
    pub(super) first: Instant,
}

impl Hints {
    pub(super) fn put(&mut self, id: &str, settle: Duration) {
        let now = Instant::now();
        // What ends may be started again: only a look after that time will do.
        let since = if settle > GATHER_TIME { now + settle } else { now };
        let hint = self.containers.entry(id.to_owned()).or_insert(Hint { due: now + settle, since, first: now });
        hint.due = hint.due.min(now + settle);
        hint.since = hint.since.max(since);
    }
}
