//! What a process uses, as the kernel tells it.

use std::fs;
use std::time::Duration;

/// Memory of a process that is in use now, and the most that ever was, in MiB.
pub(crate) fn resident_mib(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(f64::NAN);
        kib / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The time that all programs which we started and which have ended have had on a core, to a hundredth of a second.
pub(crate) fn children_cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program may hold anything; the fields are counted from behind it.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[13].parse::<u64>().unwrap() + fields[14].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// The time that all threads of a process that live have had on a core.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}
