//! An Engine of the test's own, which may be restarted and killed: its own socket, data root, containerd and network namespace.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::engine::{EngineAddress, eventually, text_of};
use super::process::{processes_with, root_or_skip, signal};

/// How long the daemon may take to answer, or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a daemon that ends by itself is started.
const STARTS: u32 = 5;

/// How the daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In order, by SIGTERM.
    Asked,
    /// By SIGKILL, while its containerd and the containers go on.
    Killed,
    /// With containerd and every container, all at once: what a host without power looks like to the next daemon.
    PowerCut,
}

/// A daemon. It and all of its containers end when it is dropped.
pub(crate) struct OwnEngine {
    directory: TempDir,
    /// The network namespace.
    name: String,
    is_live_restoring: bool,
    daemon: Option<Child>,
}

impl OwnEngine {
    /// Starts one. Prints why it is skipped, and returns nothing, where this host cannot.
    pub(crate) fn start(test_name: &str, is_live_restoring: bool) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !root_or_skip(test_name, &["dockerd", "containerd", "docker", "ip", "nsenter", "kill"]) {
            return None;
        }
        let directory = TempDir::with_prefix("evenkeel-engine-").unwrap();
        // A namespace keeps its bridge from meeting the host's, and outlives the daemon, so that the next one finds its interfaces.
        let name = format!("evenkeel-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip").args(["netns", "add", &name]));
        let mut engine = Self { directory, name, is_live_restoring, daemon: None };
        run(Command::new("ip").args(["-n", &engine.name, "link", "set", "lo", "up"]));
        engine.start_daemon();
        Some(engine)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> EngineAddress {
        EngineAddress::new(format!("unix://{}", self.path("docker.sock").display()))
    }

    /// Ends the daemon, starts another one and waits until that answers.
    pub(crate) fn restart(&mut self, end: End) {
        self.end_daemon(end);
        self.start_daemon();
    }

    /// Ends the daemon.
    pub(crate) fn end_daemon(&mut self, end: End) {
        let Some(mut daemon) = self.daemon.take() else { return };
        match end {
            End::Asked => signal(daemon.id(), "TERM"),
            End::Killed | End::PowerCut => daemon.kill().unwrap(),
        }
        daemon.wait().unwrap();
        if end == End::PowerCut {
            self.end_containers();
        }
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start_daemon(&mut self) {
        self.daemon = Some(self.spawn_daemon());
        let mut starts = 1;
        eventually("the test's own engine answers", PATIENCE, || {
            if let Some(ended) = self.daemon.as_mut().and_then(|daemon| daemon.try_wait().unwrap()) {
                // On a busy host it does not wait for its containerd for long enough; a service manager starts it again as well.
                assert!(starts < STARTS, "dockerd ended with {ended:?}: {}", self.log_tail());
                self.daemon = Some(self.spawn_daemon());
                starts += 1;
            }
            self.address().docker(&["version"]).status.success().then_some(())
        });
    }

    fn spawn_daemon(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg("dockerd");
        command.arg("--host").arg(self.address().as_str()).arg("--data-root").arg(self.path("data"));
        command.arg("--exec-root").arg(self.path("exec")).arg("--pidfile").arg(self.path("pid"));
        command.args(["--bip", "172.29.254.1/24", "--default-address-pool", "base=172.30.0.0/16,size=24"]);
        // Nobody outside is to be reached, and not every kernel has the tables.
        command.args(["--iptables=false", "--ip-masq=false", "--userland-proxy=false"]);
        if self.is_live_restoring {
            command.arg("--live-restore");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Kills containerd, the shims and what runs in the containers, until nothing of them is left.
    fn end_containers(&self) {
        // Containerd and the shims have this in their arguments, and clients have not; what a shim runs has it as its parent.
        let state = self.path("exec").display().to_string();
        eventually("nothing of the engine runs", PATIENCE, || {
            let left = processes_with(&state);
            for pid in &left {
                drop(Command::new("kill").args(["-KILL", &pid.to_string()]).output());
            }
            left.is_empty().then_some(())
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the test's own engine\n{}", self.log_tail());
        }
        if self.daemon.is_some() {
            self.end_daemon(End::PowerCut);
        } else {
            self.end_containers();
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in ours.filter(|mount| mount.starts_with(&self.directory.path().display().to_string())) {
            drop(Command::new("umount").args(["--lazy", mount]).output());
        }
        drop(Command::new("ip").args(["netns", "delete", &self.name]).output());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} failed: {}", text_of(&output));
}
