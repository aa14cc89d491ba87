//! Black-box tests: what a user gets, from the program itself and a real Engine. This file is their table of contents.

#[cfg(test)]
#[allow(dead_code, reason = "every ring of tests uses a part of it")]
mod support;
//! Black-box tests: what a user sees, from outside the crates.

mod store;
//! Black-box tests, one file per subject. This file is the table of contents.

mod contract;
//! Black-box tests: what a user gets, from the program itself. This file is their table of contents.

#[cfg(test)]
mod cli;
