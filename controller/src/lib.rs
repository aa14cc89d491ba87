//! The controller: it keeps a Docker host as its manifests say.

pub mod backoff;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod desired;
mod durable_file;
pub mod engine;
pub mod event;
pub mod executor;
pub mod holder;
pub mod host_path;
pub mod http;
pub mod identity;
pub mod intake;
pub mod lock;
pub mod metrics;
pub mod prune;
pub mod queue;
pub mod reconcile;
pub mod reflector;
pub mod source;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod app;
