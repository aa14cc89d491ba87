//! The controller: it keeps a Docker host as its manifests say.

pub mod board;
mod durable_file;
pub mod engine;
pub mod event;
pub mod holder;
pub mod identity;
pub mod lease;
pub mod lock;
pub mod status;
pub mod store;
