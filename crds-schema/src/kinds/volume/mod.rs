//! `Volume`: a named volume that outlives containers.

mod lower;
mod spec;

pub use spec::{DeletionPolicy, Volume};
