//! The command line: one file per command.
//!
//! stdout is data, stderr is talk. Exit codes: 0 ok, 1 differences or not ready, 2 usage or failure.

mod audit;
pub mod client;
pub mod command;
mod completion;
mod config_show;
pub mod console;
mod demo;
mod demo_mcp;
pub mod demo_programs;
mod describe;
pub mod diagnostics;
mod doctor;
pub mod error;
mod events;
mod explain;
mod get;
pub mod global;
mod logs;
mod mcp;
mod mcp_gateway;
pub mod offline;
pub mod output;
mod plan;
pub mod progress;
mod prune;
mod rollout;
mod run;
mod sanitise;
mod schema;
mod table;
mod validate;
