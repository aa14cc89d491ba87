//! A gateway that is a process of its own, and the socket over which it and the controller speak. See docs/decisions/0010.
//!
//! [`wire`] is what is said, [`line`] how. The controller's side: [`hub`] stands among the keeper's hubs, [`door`] takes connections,
//! [`link`] is what is known of the process. The process' side: [`runner`] keeps a hub as the controller says, [`by_controller`]
//! reaches containers, and has some to itself.

mod by_controller;
mod door;
mod hub;
mod line;
mod link;
mod runner;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use hub::{Expectation, ProcessHub};
pub(crate) use runner::{ProcessConfig, run};
