//! What the MCP hub costs, side by side with the direct connection, a bare nginx hop and other gateways, in the same run.
//!
//! `scripts/bench.sh hub`, which builds the hub and fetches what it is compared to. Every candidate has the same servers behind it, which are
//! this program once more. Candidates take turns in short rounds, so that whatever else the machine does falls on all of them alike; what
//! counts are the ratios. Nothing here is an assertion: every figure is printed with its target and whether it was met.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up must end, and say where")]
#![expect(clippy::print_stdout, reason = "its report is its output")]

#[path = "../host/process.rs"]
#[expect(dead_code, reason = "the hub's benchmarks use a part of it")]
mod process;
#[path = "../host/report.rs"]
#[expect(dead_code, reason = "the hub's benchmarks use a part of it")]
mod report;

// The servers behind.
mod backend;
mod stdio;
mod tool;
// What the measurements stand on.
mod client;
mod crowd;
mod hop;
mod message;
mod place;
mod program;
mod stage;
mod table;
// The measurements.
mod call;
mod growth;
mod list;
mod memory;
mod other;
mod session;
mod start;
mod streams;

use stage::Stage;

fn main() {
    // Cargo adds `--bench` of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["http-server", era, ports @ ..] => backend::serve(era, ports),
        ["stdio-server", era] => stdio::serve(era),
        ["hop", port, servers @ ..] => hop::serve(port, servers),
        chosen => measure(chosen),
    }
}

/// Does one measurement, and adds its figures to the table.
type Measurement = fn(&mut Stage, &mut table::Table);

fn measure(chosen: &[&str]) {
    let measurements: [(&str, Measurement); 8] = [
        ("calls", call::measure),
        ("lists", list::measure),
        ("sessions", session::measure),
        ("stdio", streams::measure),
        ("start", start::measure),
        ("memory", memory::measure),
        ("growth", growth::measure),
        ("others", other::measure),
    ];
    report::heading("hub");
    let mut stage = Stage::build();
    let mut table = table::Table::default();
    for (name, measure) in measurements {
        if chosen.is_empty() || chosen.contains(&name) {
            measure(&mut stage, &mut table);
        }
    }
    println!("\n{table}");
}
