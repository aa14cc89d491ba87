//! `Network`: a network that containers join.

mod lower;
mod spec;

pub use spec::{Ipam, Network, Subnet};
