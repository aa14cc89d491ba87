//! The loop on an Engine that fails, and with faults of our own in it.

mod another_engine;
mod faulty_engine;
mod findings;
mod generations;
mod late_effects;
mod out_of_date;
mod own_faults;
mod panics;
mod refusals;
mod stage;
mod two_failures;
mod unseen;
