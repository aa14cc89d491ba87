//! `Network`: a network that containers join.

mod claims;
mod lower;
mod spec;
mod validate;

pub use spec::{Ipam, Network, Subnet};
