//! From the start of `evenkeel mcp bridge` to its answer to `initialize`, with the gateway there and without.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::report;
use crate::support::engine::{EngineAddress, TestBed, program_path};
use crate::support::mcp::{free_address, gateway, token};
use crate::support::mcp_client::Door;

/// How often each is started.
const ROUNDS: usize = 41;

/// Prints how long it takes, beside the start of the same program that only says its version.
pub(crate) fn measure(engine: &EngineAddress) {
    let mut bed = TestBed::new(engine.clone(), "bridge");
    let address = free_address();
    bed.write("gateway.yaml", &gateway(address));
    bed.start();
    bed.await_ready("McpGateway", "hub");
    let bridges = Bridges::of(&Door { address, token: token(&bed) });
    // From here on it has an answer for later.
    bridges.time_to_answer();
    let (version, up) = in_turns(&bridges);
    assert!(bed.stop().success());
    let (version_again, down) = in_turns(&bridges);
    tell("gateway there", &up, &version);
    tell("gateway away", &down, &version_again);
}

/// The start of the program alone, and of a bridge, in turns.
fn in_turns(bridges: &Bridges) -> (Vec<f64>, Vec<f64>) {
    (0..ROUNDS).map(|_| (time_of_version(), bridges.time_to_answer())).unzip()
}

fn tell(how: &str, bridge: &[f64], version: &[f64]) {
    report::all(&format!("bridge, {how}, ms"), bridge);
    report::all("`evenkeel version` in turns with it, ms", version);
    report::against_target(&format!("bridge: to its first answer, {how}"), report::median(bridge), "ms", 50.0);
    report::figure("bridge: of the time of `evenkeel version`", report::median_ratio(bridge, version), "times");
}

fn program() -> Command {
    let mut command = Command::new(program_path());
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn time_of_version() -> f64 {
    let begun = Instant::now();
    let mut child = program().arg("version").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let took = begun.elapsed();
    assert!(child.wait().unwrap().success() && line.contains(env!("CARGO_PKG_VERSION")), "{line}");
    report::ms(took)
}

/// Bridges to a gateway, with what they keep.
struct Bridges {
    url: String,
    /// The token and the cache.
    directory: TempDir,
}

impl Bridges {
    fn of(door: &Door) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("token"), &door.token).unwrap();
        Self { url: format!("http://{}/mcp", door.address), directory }
    }

    fn start(&self) -> Child {
        let mut command = program();
        command.env("XDG_CACHE_HOME", self.directory.path()).args(["mcp", "bridge", "--gateway", &self.url]);
        command.arg("--token-file").arg(self.directory.path().join("token")).spawn().unwrap()
    }

    fn time_to_answer(&self) -> f64 {
        let client = json!({ "name": "bench", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let begun = Instant::now();
        let mut child = self.start();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{message}").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let took = begun.elapsed();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["result"]["serverInfo"]["name"], "evenkeel", "{answer}");
        drop(input);
        assert!(child.wait().unwrap().success());
        report::ms(took)
    }
}
