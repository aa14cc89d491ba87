//! A whole hub over loopback, with servers of a few lines behind it.

mod arrival;
mod audit;
mod drain;
mod hearing;
mod leases;
mod lifecycle;
mod metrics;
mod questions;
mod relay;
mod renewals;
mod sessions;
mod stage;
mod subscriptions;
mod succession;
