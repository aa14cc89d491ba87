//! What must have happened in many runs: every sort of fault, and every way in which the controller comes back from one. A fault that
//! never fires proves nothing.

use super::trace::Counts;

/// Reasons of events that tell that something was put right, held back or waited for, and the names that they are counted under.
const RECOVERIES: [(&str, &str); 29] = [
    ("AddressConflict", "recovery: AddressConflict"),
    ("ContainerExited", "recovery: ContainerExited"),
    ("ContainerPaused", "recovery: ContainerPaused"),
    ("ContainerRemoved", "recovery: ContainerRemoved"),
    ("ContainerRenamed", "recovery: ContainerRenamed"),
    ("ContainerUnusable", "recovery: ContainerUnusable"),
    ("ContainerUpdated", "recovery: ContainerUpdated"),
    ("CrashLoopBackOff", "recovery: CrashLoopBackOff"),
    ("DuplicateContainer", "recovery: DuplicateContainer"),
    ("EngineUnreachable", "recovery: EngineUnreachable"),
    ("InUse", "recovery: InUse"),
    ("InvalidManifest", "recovery: InvalidManifest"),
    ("NameConflict", "recovery: NameConflict"),
    ("NetworkDisconnected", "recovery: NetworkDisconnected"),
    ("NetworkRemoved", "recovery: NetworkRemoved"),
    ("NoSpace", "recovery: NoSpace"),
    ("OutcomeUnknown", "recovery: OutcomeUnknown"),
    ("PassInterrupted", "recovery: PassInterrupted"),
    ("PortConflict", "recovery: PortConflict"),
    ("ProgressDeadlineExceeded", "recovery: ProgressDeadlineExceeded"),
    ("PruneHeld", "recovery: PruneHeld"),
    ("Pruning", "recovery: Pruning"),
    ("RegistryThrottled", "recovery: RegistryThrottled"),
    ("RolledBack", "recovery: RolledBack"),
    ("SourceUnavailable", "recovery: SourceUnavailable"),
    ("StartFailed", "recovery: StartFailed"),
    ("Unpaused", "recovery: Unpaused"),
    ("UnprovenOwnership", "recovery: UnprovenOwnership"),
    ("VolumeRemoved", "recovery: VolumeRemoved"),
];
/// What happens so rarely that it need not in a few thousand runs.
const RARE: [&str; 3] = ["recovery: AddressConflict", "recovery: DuplicateContainer", "recovery: InUse"];
/// From how many seeds on everything must have happened but conflicts of addresses, which nobody makes.
const LONG: u64 = 50_000;

/// Every fault of the random runs.
const FAULTS: [&str; 49] = [
    "fault: broken file",
    "fault: broken store handle",
    "fault: cut stream",
    "fault: daemon restarted",
    "fault: daemon restarted live",
    "fault: damaged record",
    "fault: delayed event",
    "fault: disk full",
    "fault: empty directory",
    "fault: failed call",
    "fault: frozen controller",
    "fault: frozen stream",
    "fault: garbage event",
    "fault: hanging object",
    "fault: killed at a point",
    "fault: late effect",
    "fault: lost event",
    "fault: lost read",
    "fault: lost reply",
    "fault: lost request",
    "fault: reordered event",
    "fault: repeated event",
    "fault: silent directory",
    "fault: slow reply",
    "fault: stale list",
    "fault: stalled engine",
    "fault: store from a backup",
    "fault: store lost",
    "fault: unreachable",
    "fault: unreadable directory",
    "fault: wall clock moved",
    "meddle: copy with our labels",
    "meddle: docker kill",
    "meddle: docker pause",
    "meddle: docker rename",
    "meddle: docker rm -f",
    "meddle: docker start",
    "meddle: docker stop",
    "meddle: docker unpause",
    "meddle: docker update",
    "meddle: host port taken",
    "meddle: image removed",
    "meddle: name taken",
    "meddle: network connect",
    "meddle: network disconnect",
    "meddle: network rm",
    "meddle: process ended",
    "meddle: process killed",
    "meddle: volume rm",
];

/// Under what an event, as the store keeps it, is counted.
pub(crate) fn recovery_of(event: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(event).ok()?;
    let (_, rest) = text.split_once("\"reason\":\"")?;
    let (reason, _) = rest.split_once('"')?;
    let place = RECOVERIES.binary_search_by(|(name, _)| (*name).cmp(reason)).ok()?;
    Some(RECOVERIES[place].1)
}

/// What never happened of what must in many runs.
pub(crate) fn never_happened(counts: &Counts, seeds: u64) -> Vec<&'static str> {
    let is_asked = |name: &&str| *name != RARE[0] && (seeds >= LONG || !RARE.contains(name));
    let recoveries = RECOVERIES.iter().map(|(_, name)| *name).filter(is_asked);
    FAULTS.into_iter().chain(recoveries).filter(|name| !counts.contains_key(name)).collect()
}
