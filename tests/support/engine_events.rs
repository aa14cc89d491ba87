//! What the Engine was told to do, by its own account: for tests that nothing was done.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::engine::{TestBed, eventually};

/// A recording of the Engine's events, from its making until it is read. The Engine's own list would not do: it keeps the last 256
/// events, and other tests make as many in seconds.
pub(crate) struct EngineEvents {
    directory: TempDir,
    client: Child,
}

impl EngineEvents {
    /// Begins a recording; when this returns, it runs.
    pub(crate) fn record(bed: &TestBed) -> Self {
        let directory = TempDir::with_prefix("evenkeel-events-").unwrap();
        let output = File::create(directory.path().join("events")).unwrap();
        let mut command = Command::new("docker");
        command.args(["--host", bed.engine().as_str(), "events", "--format", "{{json .}}"]);
        let client = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().unwrap();
        let events = Self { directory, client };
        events.mark(bed, "begin");
        events
    }

    /// What was done so far to things of the bed's namespace, as `TYPE ACTION NAME`. What a health check does is left out: it is the
    /// Engine's own doing.
    pub(crate) fn changes(&self, bed: &TestBed) -> Vec<String> {
        self.mark(bed, "end");
        let prefix = format!("{}_", bed.namespace());
        let mut changes = Vec::new();
        for event in self.read() {
            let (kind, action) = (text(&event["Type"]), text(&event["Action"]));
            let actor = &event["Actor"];
            let name = if kind == "volume" { text(&actor["ID"]) } else { text(&actor["Attributes"]["name"]) };
            let is_of_a_health_check = action.starts_with("exec_") || action.starts_with("health_status");
            if name.starts_with(&prefix) && !is_of_a_health_check {
                changes.push(format!("{kind} {action} {name}"));
            }
        }
        changes
    }

    /// Does something harmless and waits until it is in the recording: then everything before it is.
    fn mark(&self, bed: &TestBed, what: &str) {
        let marker = format!("{}-mark-{what}", bed.instance());
        let is_there = || self.read().iter().any(|event| text(&event["Actor"]["ID"]) == marker).then_some(());
        eventually("the Engine's events are recorded", Duration::from_secs(30), || {
            bed.docker(&["volume", "create", &marker]);
            bed.docker(&["volume", "rm", &marker]);
            is_there()
        });
    }

    fn read(&self) -> Vec<Value> {
        let recorded = fs::read_to_string(self.path()).unwrap();
        recorded.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("events")
    }
}

impl Drop for EngineEvents {
    fn drop(&mut self) {
        drop(self.client.kill());
        drop(self.client.wait());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
