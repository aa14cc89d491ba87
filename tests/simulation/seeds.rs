//! Many seeds: each run twice, and both runs compared.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::coverage::never_happened;
use super::random_run::{Report, run_seed};
use super::trace::Counts;

/// How many seeds `make test` runs.
const SEEDS: u64 = 2_000;
/// How many failing seeds are told before the rest is not run any more.
const FAILURES_TOLD: usize = 20;

/// What many seeds came to.
#[derive(Debug, Default)]
struct Sum {
    failed: Vec<(u64, Vec<String>)>,
    counts: Counts,
}

#[test]
fn random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed() {
    if let Some(seed) = number("EVENKEEL_SEED") {
        let report = run_seed(seed, true);
        println!("{}\n{:#?}\nseed {seed}: {:?}", report.trace, report.counts, report.failures);
        assert!(report.failures.is_empty(), "seed {seed} fails: {:?}", report.failures);
        return;
    }
    let (first, count) = (number("EVENKEEL_FIRST_SEED").unwrap_or(1), number("EVENKEEL_SEEDS").unwrap_or(SEEDS));
    let sum = run_seeds(first, count);
    println!("{count} seeds from {first}, each twice:");
    for (what, times) in &sum.counts {
        println!("{times:>12}  {what}");
    }
    let never = if count >= SEEDS { never_happened(&sum.counts, count) } else { Vec::new() };
    assert!(never.is_empty(), "these never happened in {count} seeds: {never:?}");
    assert!(sum.failed.is_empty(), "{} seeds fail: {:#?}", sum.failed.len(), sum.failed);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

impl Sum {
    /// How many faults fired, meddling included.
    fn faults(&self) -> u64 {
        let is_fault = |what: &str| what.starts_with("fault: ") || what.starts_with("meddle: ");
        self.counts.iter().filter(|(what, _)| is_fault(what)).map(|(_, times)| times).sum()
    }
}

fn run_seeds(first: u64, count: u64) -> Sum {
    let next = AtomicU64::new(first);
    let runs = AtomicU64::new(0);
    let twice_every = number("EVENKEEL_TWICE_EVERY").unwrap_or(1).max(1);
    let sum = Mutex::new(Sum::default());
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || sum.lock().unwrap().failed.len() >= FAILURES_TOLD {
                        return;
                    }
                    let report = if seed.is_multiple_of(twice_every) { run_twice(seed) } else { run_seed(seed, false) };
                    runs.fetch_add(1 + u64::from(seed.is_multiple_of(twice_every)), Ordering::Relaxed);
                    let mut sum = sum.lock().unwrap();
                    for (what, times) in report.counts {
                        *sum.counts.entry(what).or_default() += times;
                    }
                    if !report.failures.is_empty() {
                        println!("seed {seed} fails: {:?}\nits trace: {}", report.failures, keep_trace(seed));
                        sum.failed.push((seed, report.failures));
                    }
                    let done = seed + 1 - first;
                    if done.is_multiple_of(1_000) {
                        let rate = runs.load(Ordering::Relaxed) * 60 / begun.elapsed().as_secs().max(1);
                        let (faults, failed) = (sum.faults(), sum.failed.len());
                        println!(
                            "{done} of {count} seeds, {rate} runs a minute, {faults} faults fired, {failed} failed"
                        );
                    }
                }
            });
        }
    });
    sum.into_inner().unwrap()
}

/// Runs a seed once more with its trace kept, in a file; returns its path.
fn keep_trace(seed: u64) -> String {
    let report = run_seed(seed, true);
    let path = format!("{}/seed-{seed}.txt", env!("CARGO_TARGET_TMPDIR"));
    let text = format!("{}\n{:#?}\nseed {seed}: {:#?}\n", report.trace, report.counts, report.failures);
    match std::fs::write(&path, text) {
        Ok(()) => path,
        Err(error) => format!("cannot write `{path}`: {error}"),
    }
}

/// Runs a seed twice; that the two differ is a failure of its own.
fn run_twice(seed: u64) -> Report {
    let first = run_seed(seed, false);
    let second = run_seed(seed, false);
    let mut failures = first.failures;
    if first.fingerprint != second.fingerprint {
        failures.push("the same seed gave two traces".to_owned());
    }
    Report { failures, ..second }
}
