//! Black-box tests: what a user sees, from outside the crates.

mod store;
