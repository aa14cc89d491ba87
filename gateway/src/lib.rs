//! The MCP gateway: one endpoint for every MCP server of the host.
//!
//! Envelopes are read, payloads are relayed as they came: nothing that a server or client says is lost because this crate does not know
//! it. It knows neither Docker nor the controller: who runs it says which servers there are, where, and how to attach to them.

// The wire.
pub mod era;
pub mod header;
pub mod header_param;
pub mod wire;

// What it is told.
pub mod config;
pub mod name;
pub mod policy;

// Servers.
pub mod catalogue;
pub mod connection;
pub mod lease;
pub mod pin;
pub mod server;
pub mod subscription;
pub mod upstream;

// Clients.
pub mod edge;
pub mod session;
pub mod sessions;

// Clients that speak to a gateway by standard input and output.
pub mod address;
pub mod bridge;

// Both.
pub mod audit;
pub mod hub;
pub mod metrics;
pub mod relay;
pub mod secrets;
mod whole_file;
