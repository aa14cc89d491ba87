//! The loop on an Engine that fails, and with faults of our own in it.

mod faulty_engine;
mod panics;
mod refusals;
mod stage;
