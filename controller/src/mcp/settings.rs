//! How a gateway of the board is set, in the words of the gateway. Pure.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crds_schema::ObjectKey;
use crds_schema::kinds::mcp_gateway::{GatewaySettings, McpAction, McpNaming, McpRule};
use gateway::config::{Action, AuditConfig, GatewayConfig, Limits, Rotation, Rule, TokenConfig};
use gateway::name::Naming;

/// How a gateway is set. `tokens` has at least one: without any, everybody could come in.
pub(super) fn gateway_config(settings: &GatewaySettings, tokens: Vec<TokenConfig>, audit: PathBuf) -> GatewayConfig {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let limits = &settings.limits;
    GatewayConfig {
        listen: settings.listen,
        naming: match settings.naming {
            McpNaming::Prefixed => Naming::Prefixed,
            McpNaming::Plain => Naming::Plain,
        },
        tokens,
        // What none of them fits is denied, which is what the settings say as well.
        rules: settings.rules.iter().map(rule).collect(),
        allowed_hosts: settings.allowed_hosts.clone(),
        allowed_origins: settings.allowed_origins.clone(),
        limits: Limits {
            sessions: count(limits.sessions),
            session_idle: Duration::from_millis(limits.session_idle_ms),
            concurrency: count(limits.per_session_concurrency),
            request_bytes: usize::try_from(limits.max_request_bytes).unwrap_or(usize::MAX),
        },
        audit: Some(AuditConfig {
            path: audit,
            has_values: settings.audit.has_values,
            rotation: Rotation {
                file_bytes: settings.audit.max_bytes,
                max_backups: settings.audit.max_backups.map(count),
                max_age: settings.audit.max_age_ms.map(Duration::from_millis),
            },
        }),
    }
}

fn rule(rule: &McpRule) -> Rule {
    Rule {
        principals: rule.principals.clone(),
        servers: rule.servers.clone(),
        tools: rule.tools.clone(),
        action: match rule.action {
            McpAction::Allow => Action::Allow,
            McpAction::Deny => Action::Deny,
        },
    }
}

/// How a hub is set that only asks servers whether they answer, and never listens.
pub(super) fn probing_config() -> GatewayConfig {
    GatewayConfig::on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

/// What the files of a gateway are called, before their ends.
pub(super) fn file_stem(key: &ObjectKey) -> String {
    // No name has an underscore.
    format!("{}_{}", key.namespace, key.name)
}
