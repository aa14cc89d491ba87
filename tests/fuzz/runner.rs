//! Runs a target over its corpus and over mutations of it.

#![expect(clippy::print_stdout, reason = "the seed is what a failure is repeated with")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::corpus::corpus;
use super::mutator::Mutator;

/// A target and how much of it is run where nothing else is asked for.
pub(super) struct Fuzz {
    /// Its name, and that of its corpus.
    pub(super) name: &'static str,
    /// How many mutations are tried.
    pub(super) runs: usize,
    /// Words that an input is likely to be about.
    pub(super) tokens: &'static [&'static [u8]],
    /// Panics for an input that is not dealt with as it must be.
    pub(super) target: fn(&[u8]),
}

/// Runs a target: first its corpus, then mutations of it.
///
/// # Panics
/// When an input fails. It is written to a file then, whose name the message tells, to be put into the corpus.
pub(super) fn run(fuzz: &Fuzz) {
    let inputs = corpus(fuzz.name);
    for (name, bytes) in &inputs {
        println!("{}: {name}", fuzz.name);
        (fuzz.target)(bytes);
    }
    let runs = number("EVENKEEL_FUZZ_RUNS").map_or(fuzz.runs, |runs| usize::try_from(runs).unwrap());
    let seed = number("EVENKEEL_FUZZ_SEED").unwrap_or(1);
    println!("{}: {} inputs, {runs} mutations, EVENKEEL_FUZZ_SEED={seed}", fuzz.name, inputs.len());
    let seeds: Vec<Vec<u8>> = inputs.into_iter().map(|(_, bytes)| bytes).collect();
    let mut mutator = Mutator::new(seed, &seeds, fuzz.tokens);
    for run in 0..runs {
        let bytes = mutator.next_input();
        if catch_unwind(AssertUnwindSafe(|| (fuzz.target)(&bytes))).is_err() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}-{seed}-{run}", fuzz.name));
            std::fs::write(&path, &bytes).unwrap();
            panic!("mutation {run} of seed {seed} fails: put `{}` into the corpus", path.display());
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
