//! The controller: it keeps a Docker host as its manifests say.

pub mod backoff;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod engine;
pub mod event;
pub mod executor;
pub mod http;
pub mod metrics;
pub mod queue;
pub mod reflector;
mod durable_file;
pub mod engine;
pub mod event;
pub mod holder;
pub mod identity;
pub mod lock;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod desired;
pub mod prune;
pub mod reconcile;
pub mod source;
