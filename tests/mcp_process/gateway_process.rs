//! `evenkeel gateway`, beside the controller of a bed.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::support::engine::{TestBed, program_path, run_to_end};

/// The process of the gateway `hub`, which is killed when this is dropped.
pub(super) struct GatewayProcess {
    child: Child,
    log: PathBuf,
}

impl GatewayProcess {
    /// Starts it with nothing but the way to the controller.
    pub(super) fn start(bed: &TestBed) -> Self {
        let log = bed.data().join("gateway.log");
        let file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(program_path());
        // Whatever the machine's own settings are, this one finds no engine and no controller by them.
        command.env_clear().env("NO_COLOR", "1").env("HOME", bed.data());
        command.args(["--engine", "unix:///nowhere.sock", "gateway", "--socket"]).arg(Self::socket(bed));
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    /// The directory of the gateway's files.
    pub(super) fn directory(bed: &TestBed) -> PathBuf {
        bed.data().join(format!("mcp/{}_hub", bed.namespace()))
    }

    /// Where the controller waits for it.
    pub(super) fn socket(bed: &TestBed) -> PathBuf {
        Self::directory(bed).join("gateway.sock")
    }

    /// What it and those before it have written so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it with SIGTERM and returns how it exited.
    pub(super) fn stop(mut self) -> ExitStatus {
        run_to_end(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()));
        self.child.wait().unwrap()
    }

    /// Ends it with SIGKILL.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        // Already ended is as good as killed.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            drop(writeln!(std::io::stderr(), "--- gateway\n{}", self.log()));
        }
    }
}
