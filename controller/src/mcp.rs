//! MCP: gateways, which run inside the controller or as processes of their own, and the servers of the board behind them.
//!
//! What is to run is decided by pure code: [`object`] reads the board, [`server`] adds what is observed, [`settings`] is how a gateway
//! is set, [`report`] is what is told of all that, [`demand`] which containers there are to be. [`keeper`] acts on it.
//! [`process`] is how a gateway that is a process of its own is told, and is told of.
//! [`sample`] is a server to try all this with.

mod attach;
mod demand;
mod directory;
mod gateway_hub;
mod keeper;
mod object;
pub(crate) mod process;
mod report;
mod running;
pub(crate) mod sample;
mod secret;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use keeper::run;
