//! The controller: it keeps a Docker host as its manifests say.

pub mod board;
pub mod cli;
pub mod engine;
pub mod event;
pub mod status;
