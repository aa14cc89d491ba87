//! What a gateway must know of its own spec: plain data, with every default filled in.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::spec::{McpAction, McpGateway, McpGatewayRuns, McpNaming, McpRule, McpToken};
use crate::kinds::Kind;
use crate::kinds::mcp_server::{McpRoute, to_ms};
use crate::object::{Metadata, ObjectKey};
use crate::units::{Bytes, HumanDuration};

/// How many sessions there are at once.
const DEFAULT_SESSIONS: u32 = 1000;
/// After how long without a request a session ends.
const DEFAULT_SESSION_IDLE: HumanDuration = HumanDuration::from_secs(30 * 60);
/// How many calls of one session are under way at once.
const DEFAULT_PER_SESSION_CONCURRENCY: u32 = 64;
/// The largest request.
const DEFAULT_MAX_REQUEST: Bytes = Bytes(4 << 20);
/// How large the file of an audit becomes.
const DEFAULT_AUDIT_SIZE: Bytes = Bytes(256 << 20);
/// The port of [`super::spec::DEFAULT_LISTEN`].
const DEFAULT_PORT: u16 = 3010;

/// One gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySettings {
    /// The object.
    pub key: ObjectKey,
    /// What runs it.
    pub runs: McpGatewayRuns,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Labels that a server of its namespace must have to be offered; empty: none.
    pub match_labels: BTreeMap<String, String>,
    /// How tools are called.
    pub naming: McpNaming,
    /// Who may connect; empty: whoever has the token that the controller makes. Files are absolute.
    pub tokens: Vec<McpToken>,
    /// The first that matches decides.
    pub rules: Vec<McpRule>,
    /// What becomes of a call that no rule matches.
    pub default_action: McpAction,
    /// Limits of sessions and requests.
    pub limits: GatewayLimits,
    /// What the audit holds, and how long it is kept.
    pub audit: AuditSettings,
    /// Names that it may be called by, beside the one that it listens at.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call it.
    pub allowed_origins: Vec<String>,
}

/// Limits of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayLimits {
    /// Sessions at once.
    pub sessions: u32,
    /// Milliseconds without a request after which a session ends.
    pub session_idle_ms: u64,
    /// Calls of one session at once.
    pub per_session_concurrency: u32,
    /// The largest request in bytes.
    pub max_request_bytes: u64,
}

/// The audit of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether arguments and results are in it.
    pub has_values: bool,
    /// How large a file becomes, in bytes.
    pub max_bytes: u64,
    /// How many older files are kept; absent: all.
    pub max_backups: Option<u32>,
    /// How many milliseconds an older file is kept after its last line; absent: for ever.
    pub max_age_ms: Option<u64>,
}

impl McpGateway {
    /// What a gateway must know of this spec. The object is taken to be valid.
    pub fn settings(&self, metadata: &Metadata) -> GatewaySettings {
        let key =
            ObjectKey { kind: Kind::McpGateway, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let limits = self.limits.unwrap_or_default();
        let audit = self.audit.unwrap_or_default();
        GatewaySettings {
            key,
            runs: self.runs,
            listen: self.listen_address().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))),
            match_labels: self.servers.as_ref().map(|servers| servers.match_labels.clone()).unwrap_or_default(),
            naming: self.naming,
            tokens: self.tokens.clone(),
            rules: self.rules.clone(),
            default_action: if self.rules.is_empty() { McpAction::Allow } else { McpAction::Deny },
            limits: GatewayLimits {
                sessions: limits.sessions.unwrap_or(DEFAULT_SESSIONS),
                session_idle_ms: to_ms(limits.session_idle.unwrap_or(DEFAULT_SESSION_IDLE)),
                per_session_concurrency: limits.per_session_concurrency.unwrap_or(DEFAULT_PER_SESSION_CONCURRENCY),
                max_request_bytes: limits.max_request.unwrap_or(DEFAULT_MAX_REQUEST).0,
            },
            audit: AuditSettings {
                has_values: audit.values,
                max_bytes: audit.max_size.unwrap_or(DEFAULT_AUDIT_SIZE).0,
                max_backups: audit.max_backups,
                max_age_ms: audit.max_age.map(to_ms),
            },
            allowed_hosts: self.allowed_hosts.clone(),
            allowed_origins: self.allowed_origins.clone(),
        }
    }
}

impl GatewaySettings {
    /// Whether a server is offered: it is of the gateway's namespace, and has the labels that are asked for.
    pub fn selects(&self, route: &McpRoute) -> bool {
        let has = |(key, value): (&String, &String)| route.labels.get(key) == Some(value);
        route.key.namespace == self.key.namespace && self.match_labels.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{AuditSettings, GatewayLimits, GatewaySettings};
    use crate::kinds::mcp_gateway::{McpAction, McpGateway, McpGatewayRuns, McpNaming};
    use crate::kinds::mcp_server::McpServer;
    use crate::object::Metadata;

    fn metadata(metadata: Value) -> Metadata {
        serde_json::from_value(metadata).unwrap()
    }

    fn settings(spec: Value) -> GatewaySettings {
        serde_json::from_value::<McpGateway>(spec).unwrap().settings(&metadata(json!({ "name": "hub" })))
    }

    #[test]
    fn what_is_not_said_is_filled_in() {
        let settings = settings(json!({}));
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3010");
        assert_eq!(settings.naming, McpNaming::Prefixed);
        let audit = AuditSettings { has_values: false, max_bytes: 256 << 20, max_backups: None, max_age_ms: None };
        assert_eq!(settings.audit, audit);
        assert_eq!(settings.runs, McpGatewayRuns::Controller);
        let limits = GatewayLimits {
            sessions: 1000,
            session_idle_ms: 1_800_000,
            per_session_concurrency: 64,
            max_request_bytes: 4 << 20,
        };
        assert_eq!(settings.limits, limits);
    }

    #[test]
    fn with_rules_what_none_of_them_matches_is_denied() {
        assert_eq!(settings(json!({})).default_action, McpAction::Allow);
        let settings = settings(json!({ "rules": [{ "principals": ["a"], "action": "Allow" }] }));
        assert_eq!(settings.default_action, McpAction::Deny);
        assert_eq!(
            (&settings.rules[0].servers, &settings.rules[0].tools),
            (&vec!["*".to_owned()], &vec!["*".to_owned()])
        );
    }

    #[test]
    fn servers_of_the_namespace_are_selected_by_their_labels() {
        let server: McpServer = serde_json::from_value(json!({ "image": "time:1" })).unwrap();
        let route = |spec: Value| server.route(&metadata(spec));
        let labelled = route(json!({ "name": "time", "labels": { "team": "a", "tier": "b" } }));
        let elsewhere = route(json!({ "name": "time", "namespace": "lab", "labels": { "team": "a" } }));
        let plain = route(json!({ "name": "time" }));
        let all = settings(json!({}));
        assert!(all.selects(&labelled) && all.selects(&plain) && !all.selects(&elsewhere));
        let some = settings(json!({ "servers": { "matchLabels": { "team": "a" } } }));
        assert!(some.selects(&labelled) && !some.selects(&plain) && !some.selects(&elsewhere));
    }
}
