//! The controller: it keeps a Docker host as its manifests say.

pub mod board;
pub mod cli;
pub mod config;
pub mod engine;
pub mod event;
pub mod http;
pub mod metrics;
pub mod status;
pub mod telemetry;
