//! What the gateway is told: itself, and the servers behind it. Plain data, made by whoever runs it, who may be another process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::name::Naming;

/// How a gateway is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How tools and prompts are named.
    pub naming: Naming,
    /// Who may come in; empty: everybody who reaches the address.
    pub tokens: Vec<TokenConfig>,
    /// What they may do; the first that fits counts. None at all: everything.
    pub rules: Vec<Rule>,
    /// Host names that a request may be for, beyond those of the loopback and the address itself.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call, beyond those of the loopback.
    pub allowed_origins: Vec<String>,
    /// How much at once.
    pub limits: Limits,
    /// Where what is asked is written down; nowhere when absent.
    pub audit: Option<AuditConfig>,
}

impl GatewayConfig {
    /// One that listens there, without tokens, rules and audit, and with the limits that are usual.
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            naming: Naming::Prefixed,
            tokens: Vec::new(),
            rules: Vec::new(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            limits: Limits::default(),
            audit: None,
        }
    }
}

/// A token, and who comes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenConfig {
    /// The principal's name.
    pub principal: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// SHA-256 of the token: the token itself is not kept.
    pub sha256: [u8; 32],
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Names or roles of principals; `*` for everybody.
    pub principals: Vec<String>,
    /// Globs of server names.
    pub servers: Vec<String>,
    /// Globs of the original names of tools, prompts or the URIs of resources.
    pub tools: Vec<String>,
    /// What then.
    pub action: Action,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// It may be seen and called.
    Allow,
    /// It is neither seen nor called.
    Deny,
}

/// How much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Sessions of legacy clients.
    pub sessions: usize,
    /// How long a session may be silent.
    pub session_idle: Duration,
    /// Requests under way, of one session or principal.
    pub concurrency: usize,
    /// The largest request, in bytes.
    pub request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 1_000, session_idle: Duration::from_mins(30), concurrency: 64, request_bytes: 4 << 20 }
    }
}

/// How requests are written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditConfig {
    /// The file; lines of JSON are added to it.
    pub path: PathBuf,
    /// The values of arguments too, not only their shape, and what is answered.
    pub has_values: bool,
    /// When another file is begun, and how long older ones are kept.
    pub rotation: Rotation,
}

impl AuditConfig {
    /// One in this file, without values.
    pub fn to(path: PathBuf) -> Self {
        Self { path, has_values: false, rotation: Rotation::default() }
    }
}

/// When the file of an audit is full, and how long older ones are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// How large a file becomes, in bytes, unless one line alone is larger.
    pub file_bytes: u64,
    /// How many older files are kept; absent: all.
    pub max_backups: Option<usize>,
    /// How old the last line of an older file may be; absent: as old as it likes.
    pub max_age: Option<Duration>,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { file_bytes: 256 << 20, max_backups: None, max_age: None }
    }
}

/// A server behind the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerConfig {
    /// Its name, an RFC 1123 label.
    pub name: String,
    /// Where it runs now, each with whether new calls should prefer it.
    pub instances: Vec<Instance>,
    /// Tools that are shown, as globs; empty: all.
    pub allow: Vec<String>,
    /// Tools that are not.
    pub deny: Vec<String>,
    /// Other names for tools: original to new.
    pub rename: BTreeMap<String, String>,
    /// What a definition that is new or changed leads to.
    pub pin: PinPolicy,
    /// How calls are bounded.
    pub calls: CallLimits,
    /// Who shares an instance, and how many there may be.
    pub sharing: Sharing,
    /// An instance is on its way in place of one that leaves, or has left: whoever finds none waits for it.
    pub is_being_replaced: bool,
    /// Values that it is sent and nobody else may see: they are taken out of what servers say, and arguments that hold one are refused.
    pub secrets: Vec<String>,
    /// Values that look like secrets: they are taken out of what servers say as well, and nothing is refused for them.
    pub likely_secrets: Vec<String>,
}

impl ServerConfig {
    /// A server with these instances that shows all that it lists, without pins, and with the limits that are usual.
    pub fn of(name: &str, instances: Vec<Instance>) -> Self {
        Self {
            name: name.to_owned(),
            instances,
            allow: Vec::new(),
            deny: Vec::new(),
            rename: BTreeMap::new(),
            pin: PinPolicy::Off,
            calls: CallLimits::default(),
            sharing: Sharing::default(),
            is_being_replaced: false,
            secrets: Vec::new(),
            likely_secrets: Vec::new(),
        }
    }
}

/// Who shares the instances of a server, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// Who shares one.
    pub isolation: Isolation,
    /// How many there may be at most.
    pub max: usize,
    /// Whoever runs them starts one when [`crate::hub::Hub::demands`] says that it is needed; else there are those that there are.
    pub is_on_demand: bool,
    /// After how long without a call one that is not always there is given up.
    pub idle: Option<Duration>,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { isolation: Isolation::Shared, max: 1, is_on_demand: false, idle: None }
    }
}

/// Who shares an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// Everybody.
    #[default]
    Shared,
    /// One session of one client. Clients of 2026-07-28 have no sessions: those of one principal share one.
    PerSession,
    /// One call.
    PerCall,
}

/// One place where a server runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instance {
    /// What tells it from others, such as the container's full id.
    pub id: String,
    /// When its present run began, in milliseconds since the Unix epoch, where that is known: what an earlier run answered says nothing of
    /// this one.
    pub run_ms: Option<i64>,
    /// It is what is wanted; others are being replaced.
    pub is_current: bool,
    /// It is about to be stopped: it gets nothing new to do.
    pub is_leaving: bool,
    /// How it is reached.
    pub endpoint: Endpoint,
}

impl Instance {
    /// A current one of no known run.
    pub fn of(id: &str, endpoint: Endpoint) -> Self {
        Self { id: id.to_owned(), run_ms: None, is_current: true, is_leaving: false, endpoint }
    }
}

/// How an instance is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Endpoint {
    /// By its standard input and output.
    Stdio,
    /// By HTTP.
    Http {
        /// The address.
        address: SocketAddr,
        /// The path, such as `/mcp`.
        path: String,
        /// The host that the request is for.
        host: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
    },
    /// By HTTP over TLS, elsewhere.
    Https {
        /// The address, with `https://`.
        url: String,
        /// Headers of every request.
        headers: BTreeMap<String, String>,
    },
}

/// What a tool whose definition is new or changed leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinPolicy {
    /// It is hidden until it is approved.
    Enforce,
    /// It is told of, and shown.
    #[default]
    Warn,
    /// Nothing.
    Off,
}

/// How calls of a server are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// How long one may take.
    pub timeout: Duration,
    /// How many at once.
    pub concurrency: usize,
    /// The largest request, in bytes: its whole message.
    pub request_bytes: usize,
    /// The largest result, in bytes.
    pub result_bytes: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_mins(1), concurrency: 64, request_bytes: 4 << 20, result_bytes: 16 << 20 }
    }
}
