//! What a user writes for an `McpGateway`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::units::{Bytes, HumanDuration};

/// Where a gateway listens when the user does not say.
pub(super) const DEFAULT_LISTEN: &str = "127.0.0.1:3010";

/// The one endpoint that agents use: the tools of all `McpServer`s of its namespace, with who may call what, limits, and an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpGateway {
    /// Where it listens: a literal address and a port. Beyond this host it listens only with `tokens`. Default: `127.0.0.1:3010`.
    /// Example: `"127.0.0.1:3010"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Which `McpServer`s of its namespace it offers. Left out, all of them. Example: `{ matchLabels: { team: platform } }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<McpServerSelector>,
    /// How tools are called: `Prefixed` (by the server's name and their own) or `Plain` (by their own name alone, which is for a gateway with
    /// one server: of two tools with one name only the first server's is offered). Default: `Prefixed`. Example: `Plain`.
    #[serde(default)]
    pub naming: McpNaming,
    /// Who may connect. Left out, the controller makes one token at its first start, which may do what `rules` allow everybody.
    /// Example: `[{ name: laptop, file: ./laptop.token, roles: [developer] }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<McpToken>,
    /// Who may call what: the first rule that matches decides. Without a rule everything is allowed; with rules, what none of them matches is
    /// not. Example: `[{ principals: [developer], tools: ["get_*"], action: Allow }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<McpRule>,
    /// Limits of sessions and requests. Example: `{ sessions: 100, sessionIdle: 10m }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<McpGatewayLimits>,
    /// What the audit holds, and how long it is kept. Default: who called what, when, and how it ended, in files of 256MiB that are kept
    /// for ever. Example: `{ maxSize: 64MiB, maxBackups: 50 }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<McpAudit>,
    /// Names that it may be called by, beside the one that it listens at; a request for another host is refused, so that no web page can
    /// lead a browser here. Example: `[mcp.example.com]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call it, by scheme, host and port. Left out, none but those of this host. Example: `["https://app.example.com"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
    /// What runs it: `Controller` (it is a part of the controller) or `Process` (an `evenkeel gateway` of its own on this host, which listens,
    /// and asks the controller for its servers). Default: `Controller`.
    /// Example: `Process`.
    #[serde(default)]
    pub runs: McpGatewayRuns,
    /// Freezes the object: it is observed and reported, but not changed. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// Which servers are offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpServerSelector {
    /// Labels that an `McpServer` must have, in its `metadata.labels`. Example: `{ team: platform }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// How tools are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum McpNaming {
    /// By the server's name and their own.
    #[default]
    Prefixed,
    /// By their own name alone.
    Plain,
}

/// What runs a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum McpGatewayRuns {
    /// It is a part of the controller.
    #[default]
    Controller,
    /// It is a process of its own.
    Process,
}

/// A secret by which somebody is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpToken {
    /// Who it is, for rules and the audit. Example: `laptop`.
    pub name: Name,
    /// The file of the host that the token stands in, absolute or relative to the manifest file. Example: `./laptop.token`.
    pub file: String,
    /// Groups that it belongs to, for rules. Example: `[developer]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Name>,
}

/// Who may, or may not, call what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpRule {
    /// Names or roles of tokens, of which the caller has one; `*` for everybody. Default: `["*"]`. Example: `[developer]`.
    #[serde(default = "everything")]
    pub principals: Vec<String>,
    /// Patterns of names of `McpServer`s; `*` stands for any text, `?` for one character. Default: `["*"]`. Example: `[git, "db-*"]`.
    #[serde(default = "everything")]
    pub servers: Vec<String>,
    /// Patterns of the tools' own names, as their server has them: whoever renames a tool opens nothing. Prompts go by their names,
    /// resources by their URIs. Default: `["*"]`. Example: `["get_*"]`.
    #[serde(default = "everything")]
    pub tools: Vec<String>,
    /// What becomes of a call: `Allow` or `Deny`. Example: `Allow`.
    pub action: McpAction,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum McpAction {
    /// It is made.
    Allow,
    /// It is refused, and the tool is not listed.
    Deny,
}

/// Limits of a gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpGatewayLimits {
    /// How many sessions there are at once, 1 to 100000; more are refused. Default: 1000. Example: `100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub sessions: Option<u32>,
    /// After how long without a request a session ends, 1s to 7d. Default: `30m`. Example: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_idle: Option<HumanDuration>,
    /// How many calls of one session are under way at once, 1 to 10000. Default: 64. Example: `8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub per_session_concurrency: Option<u32>,
    /// The largest request, 1KiB to 256MiB. Default: `4MiB`. Example: `1MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_request: Option<Bytes>,
}

/// What the audit holds, and how long it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpAudit {
    /// The arguments of calls too, and the first 16 KiB of what was answered, without the secrets of servers. Both may hold others. Default: `false`. Example: `true`.
    #[serde(default)]
    pub values: bool,
    /// How large its file becomes, 1MiB to 1TiB: then the file gets a name with the number of its first line, is never written again, and another
    /// one is begun. Default: `256MiB`. Example: `64MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Bytes>,
    /// How many of those older files are kept, 1 to 10000; the oldest are removed. Left out, all of them. Example: `50`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_backups: Option<u32>,
    /// How long an older file is kept after the time of its last line, 1h to 10years. Left out, for ever. Example: `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<HumanDuration>,
}

impl McpGateway {
    /// Where it listens; `None` where the text is not a literal address and a port.
    pub fn listen_address(&self) -> Option<SocketAddr> {
        self.listen.as_deref().unwrap_or(DEFAULT_LISTEN).parse().ok()
    }
}
