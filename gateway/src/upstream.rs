//! The way to a server: by its standard input and output, or by HTTP.

pub(crate) mod answer;
pub mod client;
pub mod exchange;
pub mod http;
pub mod lines;
pub mod link;
pub(crate) mod pool;
pub mod public;
pub mod stdio;
