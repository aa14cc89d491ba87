//! The controller: it keeps a Docker host as its manifests say.

pub mod engine;
