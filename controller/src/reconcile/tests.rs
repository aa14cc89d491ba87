//! The loop on an Engine that fails, and with faults of our own in it.

mod panicking_engine;
mod panics;
mod refusals;
mod stage;
