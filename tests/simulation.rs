//! Simulation: the controller itself in a simulated world, where everything goes wrong that can, by a seed.
//!
//! One thread, tokio's paused clock, no real time and no real disk: a seed gives one trace, bit for bit. The oracle looks at every
//! step of the simulated Engine. `docs/reliability.md` says what is checked and what was found.

#![expect(clippy::print_stdout, reason = "a run tells people what it did, and leaves the rest to the test harness")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a check names the calls and the mutants that concern it, of many")]
#![expect(clippy::trivially_copy_pass_by_ref, reason = "a view is passed as what it looks at would be")]
#![expect(clippy::needless_pass_by_value, reason = "a scene is played once, and written where it is passed")]

// What is between a process and its world.
mod disk;
mod faults;
mod files;
mod life;
mod mutants;
mod process_engine;
mod stream;
// The world, and what is wanted of it.
mod sim;
mod trace;
mod wanted;
// What must be true.
mod admission;
mod audit;
mod conduct;
mod convergence;
mod coverage;
mod gaps;
mod invariants;
mod known;
mod leadership;
mod liveness;
mod oracle;
mod told;
// What is done in it.
mod controllers;
mod enumeration;
mod golden;
mod meddler;
mod parallel;
mod random_run;
mod random_wanted;
mod regressions;
mod rollback;
mod seeds;
mod walks;
