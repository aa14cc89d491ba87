//! The wire: JSON-RPC envelopes are read, what they carry stays the text that it was.

pub mod depth;
pub mod envelope;
pub mod id;
pub mod object;
pub mod params;
pub mod reply;
pub mod sse;
pub mod strict;
