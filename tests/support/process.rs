//! Processes of the host: those behind the Engine's containers, and signals to them.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use super::engine::{TestBed, text_of};

/// Whether this test may act on processes and mounts of the host. Where not, prints a line that begins with `SKIPPED:`.
///
/// # Panics
/// When it may not and `CI` is `true`: there, nothing may be skipped.
pub(crate) fn root_or_skip(test_name: &str, tools: &[&str]) -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|of_mine| std::os::unix::fs::MetadataExt::uid(&of_mine) == 0);
    let is_there = |tool: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|directory| directory.join(tool).exists())
    };
    let missing: Vec<&str> = tools.iter().filter(|tool| !is_there(tool)).copied().collect();
    if is_root && missing.is_empty() {
        return true;
    }
    let why = if is_root { format!("no {} on PATH", missing.join(", ")) } else { "only root can do this".to_owned() };
    skip(test_name, &why);
    false
}

/// Says that a test is skipped, and why.
fn skip(test_name: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test_name}: {why}, and in CI nothing is skipped");
    // Written to the stream itself: the test harness swallows what a passing test prints by macro.
    writeln!(std::io::stderr(), "\nSKIPPED: {test_name}: {why}").unwrap();
}

/// The process that stands between the Engine and a container: its shim. Nothing where the Engine's processes cannot be seen.
pub(crate) fn shim_of(test_name: &str, container_id: &str) -> Option<u32> {
    let is_shim = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let program = words.first().copied().unwrap_or_default();
        String::from_utf8_lossy(program).contains("containerd-shim") && words.contains(&container_id.as_bytes())
    };
    let mut entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let found = entries.find(is_shim);
    if found.is_none() {
        skip(test_name, "the Engine's processes cannot be seen");
    }
    found
}

/// The processes that have a text in their arguments, and those that they started.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<u32> = entries.filter(|pid| *pid != std::process::id()).collect();
    let has_text = |pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    let mut found: Vec<u32> = all.iter().copied().filter(|pid| has_text(*pid)).collect();
    // Those with the text first, then their children, theirs, and so on.
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = all.iter().copied().filter(|pid| parent_of(*pid) == Some(parent) && !found.contains(pid));
        found.extend(children.collect::<Vec<u32>>());
        next += 1;
    }
    found
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The first process of a container, as the host numbers it.
pub(crate) fn pid_of(bed: &TestBed, container_id: &str) -> u32 {
    let pid = bed.inspect("container", container_id)["State"]["Pid"].as_u64().unwrap_or_default();
    u32::try_from(pid).ok().filter(|pid| *pid > 1).unwrap_or_else(|| panic!("`{container_id}` does not run"))
}

/// Sends a signal, such as `STOP`.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).output().unwrap();
    assert!(sent.status.success(), "cannot send {name} to {pid}: {}", text_of(&sent));
}

/// A process that is stopped until this is dropped.
pub(crate) struct Frozen(u32);

impl Frozen {
    /// Stops a process.
    pub(crate) fn new(pid: u32) -> Self {
        signal(pid, "STOP");
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have ended meanwhile.
        drop(Command::new("kill").args(["-CONT", &self.0.to_string()]).output());
    }
}
