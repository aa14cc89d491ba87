//! What a gateway must know of an `McpServer`: plain data, with every default filled in.

use std::collections::BTreeMap;

use super::address::is_secret_header;
use super::spec::{McpHeaderFile, McpIsolation, McpPin, McpRisk, McpServer, McpStart, McpTransport};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};
use crate::open_secret::{is_distinctive, passwords_in, secrets_of};
use crate::units::{Bytes, HumanDuration};

/// How long a call may take when the user does not say.
const DEFAULT_TIMEOUT: HumanDuration = HumanDuration::from_secs(60);
/// How many calls are under way at once.
const DEFAULT_CONCURRENCY: u32 = 64;
/// The largest request.
const DEFAULT_MAX_REQUEST: Bytes = Bytes(4 << 20);
/// The largest result.
const DEFAULT_MAX_RESULT: Bytes = Bytes(16 << 20);
/// How many instances there are at most.
const DEFAULT_MAX_INSTANCES: u32 = 4;
/// Where a server in a container is reached.
const DEFAULT_PATH: &str = "/mcp";

/// One server as a gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpRoute {
    /// The object.
    pub key: ObjectKey,
    /// The labels of the object, by which gateways select.
    pub labels: BTreeMap<String, String>,
    /// How it is spoken to.
    pub transport: RouteTransport,
    /// Who shares an instance; of a server elsewhere everybody: who runs it keeps sessions apart, or does not.
    pub isolation: McpIsolation,
    /// How much harm it could do.
    pub risk: McpRisk,
    /// Which of its tools are offered.
    pub tools: ToolPolicy,
    /// Limits of its calls.
    pub calls: CallLimits,
    /// How many instances it has.
    pub instances: InstanceBounds,
    /// The files that its containers have their secrets from. Paths are absolute.
    pub secret_files: Vec<String>,
    /// Secrets that stand in the manifest itself, as far as they can be looked for in what the server says.
    pub open_secrets: Vec<String>,
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteTransport {
    /// Over the standard input and output of its containers.
    Stdio,
    /// Over HTTP, in its containers.
    Http {
        /// The port in the container.
        port: u16,
        /// The path, beginning with `/`.
        path: String,
    },
    /// Over HTTP, elsewhere.
    Remote {
        /// The address.
        url: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
        /// Those whose values stand in files. Paths are absolute.
        header_files: Vec<McpHeaderFile>,
    },
}

/// Which tools are offered. Patterns are of the server's own names; `*` is any text, `?` one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolPolicy {
    /// One of these must match; empty: every tool is allowed.
    pub allow: Vec<String>,
    /// None of these may match.
    pub deny: Vec<String>,
    /// From the server's own name to the new one.
    pub rename: BTreeMap<String, String>,
    /// What becomes of a tool whose definition has changed: as the user says, else by risk.
    pub pin: McpPin,
}

/// Limits of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// How long one may take, in milliseconds.
    pub timeout_ms: u64,
    /// How many are under way at once.
    pub concurrency: u32,
    /// The largest request in bytes.
    pub max_request_bytes: u64,
    /// The largest result in bytes.
    pub max_result_bytes: u64,
}

/// How many instances there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceBounds {
    /// At least.
    pub min: u32,
    /// At most; never below `min`, and never 0.
    pub max: u32,
    /// After how many milliseconds without a call one above `min` is stopped; `None`: never.
    pub idle_stop_ms: Option<u64>,
    /// When they are started.
    pub start: McpStart,
}

impl McpServer {
    /// What a gateway must know of the server that this is the spec of. The object is taken to be valid.
    pub fn route(&self, metadata: &Metadata) -> McpRoute {
        let key =
            ObjectKey { kind: Kind::McpServer, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        McpRoute {
            key,
            labels: metadata.labels.clone(),
            transport: self.route_transport(),
            isolation: match &self.remote {
                Some(_) => McpIsolation::Shared,
                None => self.isolation.unwrap_or_default(),
            },
            risk: self.risk,
            tools: self.tool_policy(),
            calls: self.call_limits(),
            instances: self.instance_bounds(),
            secret_files: self.mounts.iter().filter_map(|mount| mount.secret_file.clone()).collect(),
            open_secrets: self.open_secrets(),
        }
    }

    fn open_secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.env.iter().flat_map(|(name, value)| secrets_of(name, value)).collect();
        for word in self.command.iter().chain(&self.args).flatten() {
            secrets.extend(passwords_in(word));
        }
        for (name, value) in self.remote.iter().flat_map(|remote| &remote.headers) {
            if is_secret_header(name) {
                // A scheme such as `Bearer` is no part of it.
                secrets.extend(value.rsplit(' ').next().map(str::to_owned));
            }
        }
        secrets.retain(|secret| is_distinctive(secret));
        secrets.sort();
        secrets.dedup();
        secrets
    }

    fn route_transport(&self) -> RouteTransport {
        if let Some(remote) = &self.remote {
            return RouteTransport::Remote {
                url: remote.url.clone(),
                headers: remote.headers.clone(),
                header_files: remote.header_files.clone(),
            };
        }
        match self.transport() {
            McpTransport::Stdio => RouteTransport::Stdio,
            McpTransport::Http => RouteTransport::Http {
                port: self.port.unwrap_or_default(),
                path: self.path.clone().unwrap_or_else(|| DEFAULT_PATH.to_owned()),
            },
        }
    }

    fn tool_policy(&self) -> ToolPolicy {
        let tools = self.tools.clone().unwrap_or_default();
        let pin_by_risk = match self.risk {
            McpRisk::Low | McpRisk::Medium => McpPin::Warn,
            McpRisk::High => McpPin::Enforce,
        };
        ToolPolicy { allow: tools.allow, deny: tools.deny, rename: tools.rename, pin: tools.pin.unwrap_or(pin_by_risk) }
    }

    fn call_limits(&self) -> CallLimits {
        let calls = self.calls.unwrap_or_default();
        CallLimits {
            timeout_ms: to_ms(calls.timeout.unwrap_or(DEFAULT_TIMEOUT)),
            concurrency: calls.concurrency.unwrap_or(DEFAULT_CONCURRENCY),
            max_request_bytes: calls.max_request.unwrap_or(DEFAULT_MAX_REQUEST).0,
            max_result_bytes: calls.max_result.unwrap_or(DEFAULT_MAX_RESULT).0,
        }
    }

    pub(super) fn instance_bounds(&self) -> InstanceBounds {
        let instances = self.instances.unwrap_or_default();
        let min = self.min_instances();
        InstanceBounds {
            min,
            max: instances.max.unwrap_or_else(|| DEFAULT_MAX_INSTANCES.max(min)),
            idle_stop_ms: instances.idle_stop.map(to_ms),
            start: instances.start,
        }
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn to_ms(duration: HumanDuration) -> u64 {
    u64::try_from(duration.0.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CallLimits, InstanceBounds, RouteTransport};
    use crate::kinds::mcp_server::{McpIsolation, McpPin, McpRoute, McpServer, McpStart};
    use crate::object::Metadata;

    fn route(spec: Value) -> McpRoute {
        let metadata: Metadata = serde_json::from_value(json!({ "name": "time", "labels": { "team": "a" } })).unwrap();
        serde_json::from_value::<McpServer>(spec).unwrap().route(&metadata)
    }

    #[test]
    fn what_is_not_said_is_filled_in() {
        let route = route(json!({ "image": "time:1" }));
        assert_eq!((route.key.to_string().as_str(), route.labels["team"].as_str()), ("McpServer/time", "a"));
        assert_eq!((route.transport, route.isolation), (RouteTransport::Stdio, McpIsolation::Shared));
        assert_eq!(route.tools.pin, McpPin::Warn);
        let calls =
            CallLimits { timeout_ms: 60_000, concurrency: 64, max_request_bytes: 4 << 20, max_result_bytes: 16 << 20 };
        assert_eq!(route.calls, calls);
        let instances = InstanceBounds { min: 1, max: 4, idle_stop_ms: None, start: McpStart::Eager };
        assert_eq!(route.instances, instances);
    }

    #[test]
    fn what_could_do_most_harm_is_held_to_the_tools_that_were_first_seen() {
        assert_eq!(route(json!({ "image": "shell:1", "risk": "high" })).tools.pin, McpPin::Enforce);
        let tools = json!({ "pin": "Off" });
        assert_eq!(route(json!({ "image": "shell:1", "risk": "high", "tools": tools })).tools.pin, McpPin::Off);
    }

    #[test]
    fn a_port_a_path_and_an_address_are_told_as_they_are_written() {
        let http = route(json!({ "image": "time:1", "transport": "http", "port": 8080 })).transport;
        assert_eq!(http, RouteTransport::Http { port: 8080, path: "/mcp".to_owned() });
        let remote = json!({ "url": "https://mcp.example.com/mcp", "headers": { "X-Team": "a" } });
        let headers = [("X-Team".to_owned(), "a".to_owned())].into();
        let expected =
            RouteTransport::Remote { url: "https://mcp.example.com/mcp".to_owned(), headers, header_files: Vec::new() };
        assert_eq!(route(json!({ "remote": remote })).transport, expected);
    }

    #[test]
    fn secrets_of_the_manifest_itself_are_told_as_far_as_they_can_be_looked_for() {
        let env = json!({ "API_KEY": "key-0123456789", "DATABASE_URL": "postgres://a:hunter2hunter2@db/app", "DEBUG": "true",
            "AUTH_TOKEN": "true", "DB_PASSWORD": "password", "LOG_LEVEL": "information" });
        let args = json!(["--dsn", "mysql://a:p%40ssw0rd@db/app", "--quiet"]);
        let there = route(json!({ "image": "time:1", "env": env, "args": args }));
        assert_eq!(there.open_secrets, ["hunter2hunter2", "key-0123456789", "p%40ssw0rd", "p@ssw0rd"]);
        let headers = json!({ "Authorization": "Bearer token-0123", "X-Team": "platform-team-1" });
        let far = route(json!({ "remote": { "url": "https://mcp.example.com/mcp", "headers": headers } }));
        assert_eq!(far.open_secrets, ["token-0123"]);
    }

    #[test]
    fn the_most_is_never_below_the_least() {
        let bounds = route(json!({ "image": "time:1", "instances": { "min": 6, "idleStop": "10m" } })).instances;
        assert_eq!((bounds.max, bounds.idle_stop_ms), (6, Some(600_000)));
    }
}
