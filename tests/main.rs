//! Black-box tests: what a user gets, from the program itself and a real Engine. This file is their table of contents.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

#[cfg(test)]
#[allow(dead_code, reason = "every ring of tests uses a part of it")]
mod support;

// The command line, without an Engine.
mod cli;
// Manifests and commands that documents show.
mod documents;
// The command line of MCP, and a gateway in this process.
mod cli_mcp;
// What containers write, between a controller in this process and an Engine of a few lines.
mod cli_logs;
// The store, across the death of its process.
mod store;
// The real and the simulated Engine, step by step.
mod contract;
// Whatever is done by hand to what the controller keeps is put right.
mod drift;
// What is as it was asked for is left alone.
mod no_false_drift;
// Strangers, ports that are taken, and second controllers.
mod conflict;
// The rules of dependency and of form.
mod tidy;
// Manifests on disk: broken, half-written, renamed, vanished, hostile.
mod files;
// Replacing and changing what runs.
mod rollout;
// Updates that do not come to serve.
mod rollback;
// What objects wait for, what they say when they cannot go on, and suspension.
mod lifecycle;
// Servers of MCP, and the gateway that agents reach them by.
mod mcp;
mod mcp_isolation;
// Gateways that are processes of their own.
mod mcp_process;
mod mcp_remote;
mod mcp_secrets;
// Calls without a pause while servers are updated and killed and the gateway is restarted: each is counted.
mod mcp_load;
// What leaves the manifests, and the guards against losing more than that.
mod prune;
// The controller killed at any moment, a hundred times.
mod crash;
// A world that is meddled with for as long as one likes, and gauges that stay flat.
mod soak;
// The store's recovery ladder, through the program.
mod recovery;
// The controller in a simulated world, by seeds.
mod simulation;
// Hostile bytes at every border.
mod fuzz;
// Which tests show what becomes of which fault.
mod reliability;
// A log that nobody reads.
mod blocked_log;
// Faults between the controller and the Engine, of the Engine, of its containers' processes and of the disk.
mod faults;
