//! What a user writes for an `McpServer`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::deployment::{
    DependsOn, Device, Dns, Logging, Mount, NetworkList, PullPolicy, Resources, RunState, Security, Stop, Strategy,
    Ulimit,
};
use crate::units::{Bytes, HumanDuration};

/// A server of the Model Context Protocol: hardened containers made from an image, or a remote address, that agents reach through an
/// `McpGateway`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpServer {
    /// The image that its containers are made from; exactly one of `image` and `remote` is given.
    /// Example: `localhost:5000/mcp/time:2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A server that runs elsewhere. Example: `{ url: "https://mcp.example.com/mcp" }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<McpRemote>,
    /// How it is spoken to: `stdio` (standard input and output of its container) or `http`. Default: `stdio` with `image`, `http` with
    /// `remote`. Example: `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<McpTransport>,
    /// The port in the container that it listens on; needed with `transport: http` and an image. Example: `8080`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// The path that it is reached at, with `transport: http` and an image. Default: `/mcp`. Example: `/mcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Who shares an instance: `Shared` (everybody), `PerSession` (one session of one agent) or `PerCall` (one call). What
    /// one had to itself is removed afterwards and used by nobody else. Clients of 2026-07-28 have no sessions: with `PerSession` those of
    /// one principal share one. Default: `Shared`. Example: `PerSession`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<McpIsolation>,
    /// How many containers it has; not with `remote`. Example: `{ min: 1, max: 4, idleStop: 10m }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<McpInstances>,
    /// How much harm it could do: `low`, `medium` or `high`. Decides the limits of its containers and what becomes of a changed tool, where
    /// nothing else is said. Default: `medium`. Example: `high`.
    #[serde(default)]
    pub risk: McpRisk,
    /// Which of its tools are offered, and under which names. Example: `{ deny: ["delete_*"], pin: Enforce }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<McpTools>,
    /// Limits of calls. Example: `{ timeout: 30s, concurrency: 8 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<McpCalls>,
    /// When the image is fetched: `Always` (before each container is created), `IfNotPresent` or `Never`. Default: `IfNotPresent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// The program instead of the image's ENTRYPOINT, as a list; no shell is involved. Example: `["/app/server"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Its arguments instead of the image's CMD. Example: `["--local-timezone", "UTC"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// The directory that the program starts in. Default: the image's. Example: `/app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The user, and optionally the group, that the program runs as. Default: `1001:1001`. Example: `"2000:2000"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The host name inside each container, at most 63 characters. Default: chosen by the Engine. Example: `tickets`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Environment variables; every value is a quoted string. Example: `{ LOG_LEVEL: info, RETRIES: "3" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The Networks to join, as a list of names, or a map with options for each. Left out, a `stdio` server has no network, and so no way
    /// out, and an `http` server the Engine's default bridge. Example: `[mcp-egress]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<NetworkList>,
    /// What is mounted, beside a tmpfs on `/tmp`. Example: `[{ host: ./notes, path: /notes, readOnly: true }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Limits of one container. Default: by `risk`: `low` 512MiB, 1 CPU and 256 processes; `medium` 256MiB, 1 CPU and 128; `high` 256MiB,
    /// 500m and 64. Example: `{ memory: 128MiB }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// What the processes may do. Default: profile `restricted`. Example: `{ profile: baseline }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Other objects that must exist, or be ready, before containers of this one are first started.
    /// Example: `[{ kind: Deployment, name: db, condition: Ready }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependsOn>,
    /// How a container is asked to end. Default: `{ signal: SIGTERM, grace: 10s }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What becomes of an update whose containers do not come to answer. Default: `{ progressDeadline: 5m, onFailure: Rollback }`.
    /// Changing it replaces nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether the containers run: `Running`, or `Stopped` to keep them without running them. Default: `Running`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// Freezes the object: it is observed and reported, but not changed. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
    /// Run a small init as process 1, which reaps children and passes signals on. Default: `false`. Example: `true`.
    #[serde(default)]
    pub init: bool,
    /// Where output goes. Default: the Engine's. Example: `{ driver: json-file, options: { max-size: 10m } }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Limits of the processes, by name. Example: `{ nofile: { soft: 4096, hard: 8192 } }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Kernel parameters of the container's own namespaces. Example: `{ net.core.somaxconn: "1024" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Devices of the host. Needs the profile `privileged`. Example: `[{ host: /dev/ttyUSB0, path: /dev/ttyUSB0 }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Name resolution. Default: the Engine's. Example: `{ servers: [10.0.0.53] }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Lines of `/etc/hosts`, name to address. Example: `{ db.local: 10.0.0.7 }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,
    /// Labels of the containers, beside `mcp.server`, `mcp.governance.level` and `mcp.governance.audit`, which every container has.
    /// Example: `{ team: platform }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A server that runs elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpRemote {
    /// Its address: `https`, or `http` where it is on this host. Example: `https://mcp.example.com/mcp`.
    pub url: String,
    /// Headers that are sent with every request. A secret goes into `headerFiles` instead. Example: `{ X-Team: platform }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values are secrets, each in a file of the host.
    /// Example: `[{ name: Authorization, prefix: "Bearer ", file: ./tickets.token }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_files: Vec<McpHeaderFile>,
}

/// A header whose value stands in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpHeaderFile {
    /// The header's name. Example: `Authorization`.
    pub name: String,
    /// The file of the host that the value stands in, absolute or relative to the manifest file; only its owner and group may read
    /// it. White space around the value is not part of it. It is read again when it changes. Example: `./tickets.token`.
    pub file: String,
    /// What stands before the file's text. Example: `"Bearer "`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum McpTransport {
    /// Over the standard input and output of its container.
    Stdio,
    /// Over streamable HTTP.
    Http,
}

/// Who shares an instance of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum McpIsolation {
    /// Everybody.
    #[default]
    Shared,
    /// One session of one agent.
    PerSession,
    /// One call.
    PerCall,
}

impl McpIsolation {
    /// Whether somebody has an instance to himself, so that there are as many as follow from who uses them.
    pub const fn is_exclusive(self) -> bool {
        match self {
            Self::Shared => false,
            Self::PerSession | Self::PerCall => true,
        }
    }
}

/// How many instances a server has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpInstances {
    /// How many containers are always there, 0 to 100; 0 only with `start: Lazy`. With `isolation: PerSession` or `PerCall` so many more
    /// than are in use, ready for whoever comes next. Default: 1. Example: `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub min: Option<u32>,
    /// How many there are at most, at least `min`, 1 to 100; where everybody shares them there are as many as `min` says. Default: 4, or
    /// `min` where that is more. Example: `8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max: Option<u32>,
    /// After how long without a call one that is not always there is stopped, at least 1s. Default: `10m`; what a session has to itself is
    /// its own to its end. Example: `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_stop: Option<HumanDuration>,
    /// `Eager`: they are started when the object is applied. `Lazy`: with the first call, where `min` is 0. Default: `Eager`.
    #[serde(default)]
    pub start: McpStart,
}

/// When instances are started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum McpStart {
    /// When the object is applied.
    #[default]
    Eager,
    /// With the first call.
    Lazy,
}

/// How much harm a server could do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum McpRisk {
    /// It computes, or reads what is public.
    Low,
    /// It reads what is not public.
    #[default]
    Medium,
    /// It changes things, or runs what it is told.
    High,
}

/// Which tools of a server are offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpTools {
    /// Patterns of the server's own tool names, of which one must match; `*` stands for any text, `?` for one character. Left out, every
    /// tool. Example: `["get_*", list_files]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Patterns of which none may match; stronger than `allow`. Example: `["delete_*"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Other names for tools, from the server's own name to the new one: 1 to 64 letters, digits, `_` and `-`.
    /// Example: `{ get_current_time: now }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// What becomes of a tool whose definition is not the one that was first seen: `Enforce` (it is withheld until it is approved), `Warn`
    /// (it is told of) or `Off`. Default: by `risk`: `high` `Enforce`, else `Warn`. Example: `Enforce`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<McpPin>,
}

/// What becomes of a tool whose definition has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum McpPin {
    /// It is withheld until it is approved.
    Enforce,
    /// It is told of.
    Warn,
    /// Nothing.
    Off,
}

/// Limits of calls to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpCalls {
    /// How long one call may take, 100ms to 1h. Default: `60s`. Example: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// How many calls are under way at once, 1 to 10000; more are refused. Default: 64. Example: `8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub concurrency: Option<u32>,
    /// The largest request, 1KiB to 256MiB. Default: `4MiB`. Example: `1MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request: Option<Bytes>,
    /// The largest result, 1KiB to 256MiB. Default: `16MiB`. Example: `64MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_result: Option<Bytes>,
}

impl McpRisk {
    /// As users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl McpServer {
    /// How it is spoken to.
    pub fn transport(&self) -> McpTransport {
        let default = if self.remote.is_some() { McpTransport::Http } else { McpTransport::Stdio };
        self.transport.unwrap_or(default)
    }
}
