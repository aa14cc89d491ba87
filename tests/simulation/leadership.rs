//! S6: who leads an instance by the lease in the Engine, and who acts all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::engine::simulated::{Call, CallKind};
use tokio::time::Instant;

/// What the name of every lease begins with; the instance follows.
const LEASE: &str = "evenkeel-lease-";
/// For how long after it was followed a controller may go on by an earlier confirmation of its lease.
const CONFIRMED_TIME: Duration = Duration::from_secs(2);

/// Who leads each instance.
#[derive(Debug, Default)]
pub(crate) struct Leadership {
    leaders: BTreeMap<String, Leader>,
}

#[derive(Debug, Clone, Copy)]
struct Leader {
    pid: u32,
    since: Instant,
}

impl Leadership {
    /// A call was done: who makes a lease leads.
    pub(crate) fn after(&mut self, call: &Call) {
        if call.kind == CallKind::CreateContainer
            && let Some(instance) = call.subject.strip_prefix(LEASE)
        {
            self.leaders.insert(instance.to_owned(), Leader { pid: call.actor, since: Instant::now() });
        }
    }

    /// A process sends a changing call. Returns who leads in its stead, for longer than is allowed. Where nobody made a lease, the first
    /// who acts leads.
    pub(crate) fn rival_of(&mut self, instance: &str, pid: u32) -> Option<u32> {
        let now = Instant::now();
        let leader = self.leaders.entry(instance.to_owned()).or_insert(Leader { pid, since: now });
        (leader.pid != pid && now > leader.since + CONFIRMED_TIME).then_some(leader.pid)
    }
}
