//! Simulation: a whole hub between clients and servers in memory, where everything goes wrong that can, by a seed.
//!
//! One thread, tokio's paused clock, no socket and no file: a seed gives one trace. The ledger knows of each call whose it is, and looks at
//! everything that anybody is told.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]
#![expect(clippy::print_stdout, reason = "a run tells people what it did, and leaves the rest to the test harness")]

// What must be true, and what happened.
mod ledger;
mod trace;
// Servers, and who runs them.
mod engine;
mod runner;
mod server;
// Clients.
mod client;
mod wire;
// What is done with them.
mod coverage;
mod mutants;
mod run;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coverage::never_happened;
use run::{Report, run_seed};
use trace::Counts;

/// How many seeds `cargo test` runs: about twenty seconds of one core.
const SEEDS: u64 = 50;
/// How many failing seeds are told before the rest is not run any more.
const FAILURES_TOLD: usize = 10;

/// What many seeds came to.
#[derive(Debug, Default)]
struct Sum {
    failed: Vec<(u64, Vec<String>)>,
    counts: Counts,
}

#[test]
fn no_reply_goes_astray_every_call_ends_and_nothing_is_left() {
    if let Some(seed) = number("EVENKEEL_SEED") {
        let report = run_seed(seed, None, true);
        println!("{}\n{:#?}\nseed {seed}: {:#?}", report.trace, report.counts, report.failures);
        assert!(report.failures.is_empty(), "seed {seed} fails: {:#?}", report.failures);
        return;
    }
    let (first, count) = (number("EVENKEEL_FIRST_SEED").unwrap_or(1), number("EVENKEEL_SEEDS").unwrap_or(SEEDS));
    let sum = run_seeds(first, count);
    println!("{count} seeds from {first}:");
    for (what, times) in &sum.counts {
        println!("{times:>12}  {what}");
    }
    assert!(sum.failed.is_empty(), "{} seeds fail: {:#?}", sum.failed.len(), sum.failed);
    let never = if count >= SEEDS { never_happened(&sum.counts) } else { Vec::new() };
    assert!(never.is_empty(), "these never happened in {count} seeds: {never:?}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run_seeds(first: u64, count: u64) -> Sum {
    let next = AtomicU64::new(first);
    let twice_every = number("EVENKEEL_TWICE_EVERY").unwrap_or(1).max(1);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || sum.lock().unwrap().failed.len() >= FAILURES_TOLD {
                        return;
                    }
                    let report =
                        if seed.is_multiple_of(twice_every) { run_twice(seed) } else { run_seed(seed, None, false) };
                    let mut sum = sum.lock().unwrap();
                    for (what, times) in report.counts {
                        *sum.counts.entry(what).or_default() += times;
                    }
                    if !report.failures.is_empty() {
                        println!("seed {seed} fails: {:#?}\nEVENKEEL_SEED={seed} shows its trace", report.failures);
                        sum.failed.push((seed, report.failures));
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

/// Runs a seed twice; that the two differ is a failure of its own.
fn run_twice(seed: u64) -> Report {
    let (mut first, second) = (run_seed(seed, None, false), run_seed(seed, None, false));
    if first.fingerprint != second.fingerprint {
        first.failures.push("the same seed gave two traces".to_owned());
    }
    first
}
