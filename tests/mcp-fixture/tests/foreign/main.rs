//! What others have written, before a hub that the fixture is behind: the conformance suite of the protocol, and clients of other SDKs.
//!
//! All but rmcp are installed below `target/`. Where their registry cannot be reached a test prints a line that begins with `SKIPPED:` and
//! passes, in CI too: whether a registry answers says nothing about this project.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

mod conformance;
mod inspector;
mod program;
mod rust_sdk;
mod sdk;
mod stage;
