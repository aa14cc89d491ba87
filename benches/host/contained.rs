//! Calls through the gateway of a controller to fifteen MCP servers by their standard streams, each in a container of its own.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::crowd::Crowd;
use crate::place::{Place, SERVERS, Way, server_name};
use crate::process::cpu_time;
use crate::report;
use crate::support::engine::{EngineAddress, TestBed, import_root};
use crate::support::mcp::{await_tools_of, free_address, gateway, token};
use crate::support::scene::object;
use crate::tool::Era;

/// The image: this program, which takes `stdio-server ERA`.
const IMAGE: &str = "evenkeel.bench/stdio-server:1";
/// How many sessions call at once.
const SESSIONS: usize = 64;
/// How often each sort of request has its turn, after one to warm up, and for how long.
const TURNS: (usize, Duration) = (15, Duration::from_millis(500));

/// Prints how many calls go through, beside what the gateway answers by itself.
pub(crate) fn measure(engine: &EngineAddress) {
    import(engine);
    for era in Era::ALL {
        measure_era(engine, era);
    }
    // The next run makes another one.
    engine.docker(&["image", "rm", IMAGE]);
}

fn measure_era(engine: &EngineAddress, era: Era) {
    let mut bed = TestBed::new(engine.clone(), &format!("contained-{}", era.name()));
    let address = free_address();
    let names: Vec<String> = (0..SERVERS).map(server_name).collect();
    let spec = format!("spec:\n  image: {IMAGE}\n  pullPolicy: Never\n  args: [stdio-server, {}]\n", era.name());
    let servers: String = names.iter().map(|name| object("McpServer", name, &spec)).collect();
    bed.write("mcp.yaml", &(servers + &gateway(address)));
    bed.start();
    let token = token(&bed);
    await_tools_of(address, &token, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let place = Place { name: "hub", era, way: Way::Gateway(address, "__"), token: Some(token) };
    let pid = bed.controller_pid().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let health = format!("GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
    let mut callers = runtime.block_on(Crowd::callers(&place, SESSIONS));
    let mut askers = runtime.block_on(Crowd::gather(&place, SESSIONS, |_, _| health.clone()));
    let (mut calls, mut answers, mut micros) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=TURNS.0 {
        let before = cpu_time(pid);
        let called = runtime.block_on(callers.run(TURNS.1));
        let used = cpu_time(pid).saturating_sub(before).as_secs_f64() * 1e6 / report::number(called.micros.len());
        let answered = runtime.block_on(askers.run(TURNS.1));
        if round > 0 {
            calls.push(called.rate());
            answers.push(answered.rate());
            micros.push(used);
        }
    }
    let what = |figure: &str| format!("{figure}, {}", era.name());
    report::all("calls a second", &calls);
    report::at_least_target(&what("calls a second to 15 containers"), report::median(&calls), "", 10_000.0);
    report::figure(&what("  of what the gateway answers itself"), report::median_ratio(&calls, &answers), "");
    report::figure(&what("  time of the controller on a core"), report::median(&micros), "µs");
}

/// Makes the image of this program, with the libraries that it is loaded with.
fn import(engine: &EngineAddress) {
    let program = std::env::current_exe().unwrap();
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::copy(&program, root.join("bench")).unwrap();
    let libraries = Command::new("ldd").arg(&program).output().unwrap();
    for library in String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(library, copy).unwrap();
    }
    import_root(engine, folder.path(), IMAGE, ("", &["ENTRYPOINT [\"/bench\"]"]));
}
