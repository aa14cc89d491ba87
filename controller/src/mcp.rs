//! MCP: gateways that run inside the controller, and the servers of the board behind them.
//!
//! What is to run is decided by pure code: [`object`] reads the board, [`server`] adds what is observed, [`settings`] is how a gateway
//! is set, [`report`] is what is told of all that, [`demand`] which containers there are to be. [`keeper`] acts on it.
//! [`sample`] is a server to try all this with.

mod attach;
mod demand;
mod keeper;
mod object;
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
