//! Processes that a run starts, and ends.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process has to end.
const END_TIME: Duration = Duration::from_secs(5);

/// A process that ends with this.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// The signal that it ends by: a process with workers has to end them itself.
    signal: &'static str,
}

impl Program {
    /// Starts a command that is ended by the signal of this name.
    pub(crate) fn start(command: &mut Command, signal: &'static str) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, signal }
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let told = Command::new("kill").args([format!("-{}", self.signal), self.pid().to_string()]).status();
        if told.is_ok_and(|status| status.success()) {
            let begun = Instant::now();
            while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                if begun.elapsed() > END_TIME {
                    drop(self.child.kill());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// The processes that a process has started.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Ports of the loopback that nobody listens on.
pub(crate) fn free_ports(count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

/// This program, to be started anew.
pub(crate) fn own_path() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// The hub: `tests/bare-hub`, as `scripts/release.sh hub` builds it, and `counted-hub` beside it.
pub(crate) fn hub_path() -> PathBuf {
    let hub = std::env::var_os("EVENKEEL_HUB");
    assert!(hub.is_some(), "EVENKEEL_HUB does not name the hub: scripts/bench.sh builds it");
    PathBuf::from(hub.unwrap())
}
