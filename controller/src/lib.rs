//! The controller: it keeps a Docker host as its manifests say.

pub mod board;
pub mod queue;
pub mod executor;
pub mod clock;
pub mod backoff;
pub mod config;
pub mod cli;
pub mod engine;
pub mod event;
pub mod metrics;
pub mod status;
pub mod store;
pub mod telemetry;
