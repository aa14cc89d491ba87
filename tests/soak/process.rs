//! The controller's process: running, frozen, or away for a while.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::engine::TestBed;

/// How the controller of a soak is started: what leaves the manifests goes soon, and everything is looked at again often.
const ARGUMENTS: [&str; 6] = ["--prune-delay", "1s", "--prune-limit", "100%", "--resync", "5s"];

/// What the controller is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Frozen(Instant),
    Away(Instant),
}

/// The bed's controller.
#[derive(Debug)]
pub(super) struct Process {
    phase: Phase,
    /// How many controllers have been started.
    pub(super) lives: u32,
}

impl Process {
    /// Starts the first one.
    pub(super) fn start(bed: &mut TestBed) -> Self {
        bed.start_with(&ARGUMENTS);
        Self { phase: Phase::Running, lives: 1 }
    }

    /// Brings it back, or lets it go on, when its time has come.
    pub(super) fn tend(&mut self, bed: &mut TestBed) {
        match self.phase {
            Phase::Frozen(until) | Phase::Away(until) if until <= Instant::now() => self.bring_back(bed),
            Phase::Running | Phase::Frozen(_) | Phase::Away(_) => {}
        }
    }

    /// Brings it back, or lets it go on, at once.
    pub(super) fn bring_back(&mut self, bed: &mut TestBed) {
        match self.phase {
            Phase::Running => {}
            Phase::Frozen(_) => send(bed, "-CONT"),
            Phase::Away(_) => {
                bed.start_with(&ARGUMENTS);
                self.lives += 1;
            }
        }
        self.phase = Phase::Running;
    }

    /// SIGKILL; it stays away for a while. Whether there was one.
    pub(super) fn kill(&mut self, bed: &mut TestBed, away: Duration) -> bool {
        if matches!(self.phase, Phase::Away(_)) {
            return false;
        }
        bed.kill();
        self.phase = Phase::Away(Instant::now() + away);
        true
    }

    /// SIGTERM; it stays away for a while. Whether one ran.
    pub(super) fn end(&mut self, bed: &mut TestBed, away: Duration) -> bool {
        if self.phase != Phase::Running {
            return false;
        }
        let status = bed.stop();
        // One that has just been started may end before it listens to signals.
        let is_orderly = status.success() || status.code().is_none();
        assert!(is_orderly, "the controller ended with {status} after SIGTERM");
        self.phase = Phase::Away(Instant::now() + away);
        true
    }

    /// SIGSTOP, for a while. Whether one ran.
    pub(super) fn freeze(&mut self, bed: &TestBed, duration: Duration) -> bool {
        if self.phase != Phase::Running {
            return false;
        }
        send(bed, "-STOP");
        self.phase = Phase::Frozen(Instant::now() + duration);
        true
    }
}

fn send(bed: &TestBed, signal: &str) {
    let pid = bed.controller_pid().unwrap_or_else(|| panic!("no controller runs")).to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success(), "cannot send {signal} to {pid}");
}
