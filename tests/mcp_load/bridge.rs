//! The bridge as a program, and a client that asks it without a pause.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::engine::{eventually, program_path};
use crate::support::mcp::with_meta;
use crate::support::mcp_client::{Door, Era};
use crate::support::scene::PATIENCE;

/// What the client of a bridge counted.
#[derive(Debug, Default)]
pub(super) struct BridgeTally {
    /// Lists that came.
    pub(super) lists: u64,
    /// Lists that did not, or lacked something.
    pub(super) lost_lists: Vec<Value>,
    /// Calls with a result.
    pub(super) calls: u64,
    /// The errors of the others.
    pub(super) errors: Vec<Value>,
}

/// A bridge at work.
pub(super) struct BridgeLoad {
    is_over: Arc<AtomicBool>,
    /// Calls with a result so far.
    calls: Arc<AtomicU64>,
    client: JoinHandle<BridgeTally>,
}

impl BridgeLoad {
    /// Starts a bridge and asks it, over and over, for all tools, of which there are so many, and then for a call of one of these.
    pub(super) fn begin(door: &Door, era: Era, tools: &[String], count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let calls = Arc::new(AtomicU64::new(0));
        let (bridge, tools) = (Bridge::start(door, era), tools.to_vec());
        let (has_ended, counter) = (Arc::clone(&is_over), Arc::clone(&calls));
        let client = thread::spawn(move || ask_on(bridge, &tools, count, &has_ended, &counter));
        Self { is_over, calls, client }
    }

    /// Waits for so many more calls with a result.
    pub(super) fn await_calls(&self, more: u64) {
        let before = self.calls.load(Ordering::Relaxed);
        eventually("calls through the bridge are answered", PATIENCE, || {
            (self.calls.load(Ordering::Relaxed) >= before + more).then_some(())
        });
    }

    /// Lets it finish what it began.
    pub(super) fn stop(self) -> BridgeTally {
        self.is_over.store(true, Ordering::Relaxed);
        self.client.join().unwrap()
    }
}

fn ask_on(mut bridge: Bridge, tools: &[String], count: usize, is_over: &AtomicBool, calls: &AtomicU64) -> BridgeTally {
    bridge.begin();
    let mut tally = BridgeTally::default();
    for tool in tools.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let list = bridge.ask("tools/list", json!({}));
        if list["result"]["tools"].as_array().is_some_and(|listed| listed.len() == count) {
            tally.lists += 1;
        } else {
            tally.lost_lists.push(list);
        }
        let call = bridge.ask("tools/call", json!({ "name": tool, "arguments": {} }));
        if call["result"]["content"].is_array() {
            tally.calls += 1;
            calls.fetch_add(1, Ordering::Relaxed);
        } else {
            tally.errors.push(call["error"].clone());
        }
    }
    bridge.end();
    tally
}

struct Bridge {
    era: Era,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    next_id: u64,
    /// Where the token and the cache are.
    _directory: TempDir,
}

impl Bridge {
    fn start(door: &Door, era: Era) -> Self {
        let directory = TempDir::with_prefix("evenkeel-bridge-").unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, &door.token).unwrap();
        let mut command = Command::new(program_path());
        command.env_clear().env("XDG_CACHE_HOME", directory.path());
        command
            .args(["mcp", "bridge", "--gateway", &format!("http://{}/mcp", door.address), "--token-file"])
            .arg(token);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { era, child, input, output, next_id: 1, _directory: directory }
    }

    fn begin(&mut self) {
        if self.era == Era::Legacy {
            let client = json!({ "name": "test", "version": "1" });
            let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
            let begun = self.ask("initialize", params);
            assert_eq!(begun["result"]["serverInfo"]["name"], "evenkeel", "{begun}");
            writeln!(self.input, "{}", json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).unwrap();
        }
    }

    /// Asks and returns the answer; what comes before it is for nobody here.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        let params = if self.era == Era::Modern { with_meta(params) } else { params };
        writeln!(self.input, "{}", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the bridge ended before it answered {method}");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id && message["method"].is_null() {
                return message;
            }
        }
    }

    /// Ends it as clients do: by closing its input.
    fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}
