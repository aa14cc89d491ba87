//! Black-box tests: what a user gets, from the program itself. This file is their table of contents.

#[cfg(test)]
mod cli;
