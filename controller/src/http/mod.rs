//! The HTTP API: what the CLI, Prometheus and scripts ask of a running controller.
//!
//! It reads the board and passes users' words on; it never calls the Engine and never opens the store.

pub mod api;
mod change;
mod controller;
pub mod error;
mod events;
mod guard;
mod health;
mod metrics;
mod objects;
mod prune;
mod rollout;
pub mod server;
mod strict;
pub mod token;
mod watch;

#[cfg(test)]
mod tests;
