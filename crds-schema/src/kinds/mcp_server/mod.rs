//! `McpServer`: a server of the Model Context Protocol, in hardened containers of its own or far away.

mod address;
mod claims;
mod container;
mod host_paths;
mod lower;
mod pattern;
mod route;
mod spec;
mod validate;

pub use route::{CallLimits, InstanceBounds, McpRoute, RouteTransport, ToolPolicy};
pub use spec::{
    McpCalls, McpHeaderFile, McpInstances, McpIsolation, McpPin, McpRemote, McpRisk, McpServer, McpStart, McpTools,
    McpTransport,
};

pub(crate) use pattern::check_patterns;
pub(crate) use route::to_ms;
pub(crate) use validate::message_size_fault;
