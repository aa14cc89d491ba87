//! A whole controller on the simulated Engine, over more than one life.

mod blind_start;
mod lease;
mod mcp;
mod prune;
mod rollout;
mod stage;
