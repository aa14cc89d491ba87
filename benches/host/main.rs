//! What Evenkeel costs on a host, side by side with what it is compared to, in the same run: the bare Engine API and Compose.
//!
//! `cargo bench --bench host -- cold | repair | steady | simulated | start | attach | contained | load | bridge`, or `make bench` for all.
//! Nothing here is an assertion: every figure is printed with its target and whether it was met.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up must end, and say where")]
#![expect(clippy::print_stdout, reason = "its report is its output")]

#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the benchmarks use a part of the test bed")]
#[allow(clippy::print_stderr, clippy::explicit_write, reason = "without a test harness it says the same")]
mod support;

// A client and a server of MCP that cost little: the hub's benchmarks' own.
#[path = "../hub/client.rs"]
mod client;
#[path = "../hub/crowd.rs"]
#[expect(dead_code, reason = "the hub's benchmarks use all of it")]
mod crowd;
#[path = "../hub/message.rs"]
#[expect(dead_code, reason = "the hub's benchmarks use all of it")]
mod message;
#[path = "../hub/place.rs"]
#[expect(dead_code, reason = "the hub's benchmarks use all of it")]
mod place;
#[path = "../hub/stdio.rs"]
mod stdio;
#[path = "../hub/tool.rs"]
mod tool;
// What the measurements stand on.
mod api;
mod process;
mod proxy;
mod report;
mod workload;
// The measurements.
mod attach;
mod bridge;
mod cold;
mod contained;
mod load;
mod repair;
mod simulated;
mod start;
mod steady;

use support::engine::{EngineAddress, engine_or_skip};

/// Measures something against an Engine, and prints it.
type Measurement = fn(&EngineAddress);

fn main() {
    // Cargo adds `--bench` of its own.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    // The server of a container.
    if let [server, era] = chosen.as_slice()
        && server == "stdio-server"
    {
        return stdio::serve(era);
    }
    let measurements: [(&str, Measurement); 9] = [
        ("load", load::measure),
        ("start", start::measure),
        ("attach", attach::measure),
        ("contained", contained::measure),
        ("bridge", bridge::measure),
        ("simulated", simulated::measure),
        ("repair", repair::measure),
        ("steady", steady::measure),
        ("cold", cold::measure),
    ];
    let Some(engine) = engine_or_skip("the host's benchmarks") else { return };
    for (name, measure) in measurements {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            report::heading(name);
            measure(&engine);
        }
    }
}
