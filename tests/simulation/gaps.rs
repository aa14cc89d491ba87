//! The gaps of `docs/reliability.md`: what no controller could have known or prevented, told apart from what it did wrong.

use controller::engine::simulated::Call;
use controller::store::kv::Kv as _;
use controller::store::memory::MemoryKv;
use crds_schema::ObjectKey;

use super::meddler::MEDDLED;
use super::trace::Trace;

/// How long a call without an answer may take effect before its object is looked at and gone on with.
const LATE_EFFECT_GRACE_MS: u64 = 30_000;

/// What is needed to tell a gap.
#[derive(Debug)]
pub(crate) struct Gaps {
    /// The disk of the process that was started last.
    disk: MemoryKv,
    trace: Trace,
}

impl Gaps {
    /// Nothing has happened yet.
    pub(crate) fn new(trace: Trace) -> Self {
        Self { disk: MemoryKv::default(), trace }
    }

    /// A process was started with this disk.
    pub(crate) fn set_disk(&mut self, disk: MemoryKv) {
        self.disk = disk;
    }

    /// Whether a container cannot be told from a copy of ours: see [`is_lost_to_us`].
    pub(crate) fn is_lost_to_us(&self, id: &str, name: &str) -> bool {
        is_lost_to_us(&self.disk, id, name)
    }

    /// Whether a call whose connection broke was carried out so late that its object had been looked at and gone on with, and something
    /// that was begun since stands in its way.
    pub(crate) fn came_too_late(&self, call: &Call, now_ms: u64, since_ms: Option<u64>) -> bool {
        let grace_end_ms = call.sent_ms + LATE_EFFECT_GRACE_MS;
        let is_gap = now_ms > grace_end_ms && since_ms.is_none_or(|since_ms| since_ms >= grace_end_ms);
        if is_gap {
            self.trace.count("gap: a call was carried out after its grace");
        }
        is_gap
    }

    /// Whether the disk, which could not be written at some time, still says what an object said before.
    pub(crate) fn was_last_heard_to_say(&self, key: &ObjectKey, what: &str) -> bool {
        let counts = self.trace.counts();
        let could_not_write =
            ["fault: disk full", "fault: broken store handle"].iter().any(|fault| counts.contains_key(fault));
        let record = self.disk.get(&format!("inventory/directory|{key}")).ok().flatten().unwrap_or_default();
        let is_gap = could_not_write && String::from_utf8_lossy(&record).contains(what);
        if is_gap {
            self.trace.count("gap: what was read while the disk was full is forgotten");
        }
        is_gap
    }
}

/// Whether somebody renamed a container before its id was on the disk, or the disk was lost since: it cannot be told from a copy of ours
/// under a name of its own, and is left alone.
pub(crate) fn is_lost_to_us(disk: &MemoryKv, id: &str, name: &str) -> bool {
    let record = disk.get(&format!("container/{id}")).ok().flatten();
    // A record that was damaged is as good as none.
    let is_known = record.is_some_and(|record| record.ends_with(b"}"));
    name.starts_with(MEDDLED) && !is_known
}
