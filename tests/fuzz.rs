//! Fuzzing: hostile bytes at every border where others write and Evenkeel reads. It never panics, and says what is wrong.
//!
//! Each target is a plain function over bytes. Here it runs over a committed corpus and a few thousand mutations of it, always
//! the same ones; `EVENKEEL_FUZZ_RUNS` and `EVENKEEL_FUZZ_SEED` ask for more and for others. `fuzz/README.md` says how the corpus
//! was found.

mod answer;
mod corpus;
mod event_stream;
mod export;
mod manifest;
mod mutator;
mod runner;
mod store;
mod wire;

use runner::{Fuzz, run};

#[test]
fn any_bytes_are_manifests_or_faults_with_a_code_and_a_place() {
    run(&Fuzz { name: "manifest", runs: 2_000, tokens: manifest::TOKENS, target: manifest::target });
}

#[test]
fn any_bytes_that_an_engine_answers_are_a_value_or_a_typed_error() {
    run(&Fuzz { name: "answer", runs: 500, tokens: answer::TOKENS, target: answer::target });
}

#[test]
fn any_bytes_in_a_stream_of_events_are_events_or_a_typed_error() {
    run(&Fuzz { name: "event_stream", runs: 2_000, tokens: event_stream::TOKENS, target: event_stream::target });
}

#[test]
fn any_bytes_under_any_key_of_the_store_are_records_or_reported_damage() {
    run(&Fuzz { name: "store", runs: 2_000, tokens: store::TOKENS, target: store::target });
}

#[test]
fn any_bytes_in_an_export_are_records_or_no_export() {
    run(&Fuzz { name: "export", runs: 60, tokens: store::TOKENS, target: export::target });
}
