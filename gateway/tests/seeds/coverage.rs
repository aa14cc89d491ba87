//! What must have happened in many runs: every sort of fault, and every way back from one. A fault that never fires proves nothing.

use super::trace::Counts;

const NEEDED: [&str; 48] = [
    "fault: answer of an unknown id",
    "fault: answered twice",
    "fault: attach failed",
    "fault: begun anew unseen",
    "fault: cancelled",
    "fault: cut off",
    "fault: died of a call",
    "fault: died with calls",
    "fault: died without calls",
    "fault: garbage",
    "fault: half a line",
    "fault: hung up",
    "fault: id reused under way",
    "fault: late",
    "fault: limit of calls met",
    "fault: limit of leases met",
    "fault: limit of sessions met",
    "fault: list changed",
    "fault: log",
    "fault: never answered",
    "fault: progress",
    "fault: question",
    "fault: servers changed",
    "fault: session ended",
    "fault: session ended with calls under way",
    "fault: session left idle",
    "fault: session left, and another begun",
    "fault: updated",
    "recovery: a question answered",
    "recovery: a question of a modern server answered",
    "recovery: attached after a failure",
    "recovery: instance begun anew",
    "recovery: instance stopped that nobody needs",
    "recovery: new run seen",
    "recovery: nobody waits any more",
    "recovery: old instance replaced",
    "recovery: served after an instance went away",
    "recovery: server came back",
    "recovery: told that the session is gone",
    "recovery: used-up instance removed",
    "told: a list changed",
    "told: a question has no client to go to",
    "told: a server of a cancellation",
    "told: gone",
    "told: log",
    "told: not ready",
    "told: progress",
    "told: timed out",
];

/// What never happened, of what must.
pub(crate) fn never_happened(counts: &Counts) -> Vec<&'static str> {
    NEEDED.into_iter().filter(|what| !counts.contains_key(what)).collect()
}
