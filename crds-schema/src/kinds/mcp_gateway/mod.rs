//! `McpGateway`: the one place where agents reach the servers of the Model Context Protocol.

mod claims;
mod host_paths;
mod lower;
mod settings;
mod spec;
mod validate;

pub use settings::{AuditSettings, GatewayLimits, GatewaySettings};
pub use spec::{
    McpAction, McpAudit, McpGateway, McpGatewayLimits, McpGatewayRuns, McpNaming, McpRule, McpServerSelector, McpToken,
};
