//! `Volume`: a named volume that outlives containers.

mod claims;
mod lower;
mod spec;
mod validate;

pub use spec::{DeletionPolicy, Volume};
