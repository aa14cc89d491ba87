//! What a user writes for a `Deployment`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::units::{Bytes, HumanDuration, MilliCpu};

/// Replicated, long-running containers made from one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deployment {
    /// How many containers run, 0 to 100. Default: 1. Example: `2`.
    #[serde(default = "one_replica")]
    #[schemars(range(max = 100))]
    pub replicas: u32,
    /// The image. Example: `localhost:5000/idp/mcp-hub:2.0`.
    pub image: String,
    /// When the image is fetched: `Always` (before each container is created), `IfNotPresent` or `Never`.
    /// Default: `IfNotPresent`.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// The program instead of the image's ENTRYPOINT, as a list; no shell is involved. Example: `["/app/hub"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Its arguments instead of the image's CMD. Example: `["--port", "3010"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// The directory that the program starts in. Default: the image's. Example: `/app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The user, and optionally the group, that the program runs as. Default: the image's. Example: `"1001:1001"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The host name inside the container, at most 63 characters. Default: chosen by the Engine. Example: `hub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Environment variables; every value is a quoted string. Example: `{ LOG_LEVEL: info, RETRIES: "3" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Ports. Example: `[{ name: http, port: 8080, publish: "127.0.0.1:8080" }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// The Networks to join, as a list of names, or a map with options for each. Containers of this object find each other, and
    /// are found, by the object's name. Left out, the Engine's default bridge; `[]` for no network at all.
    /// Example: `[mcp-internal]`, or `{ mcp-internal: { aliases: [hub] } }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<NetworkList>,
    /// What is mounted. Example: `[{ volume: hub-data, path: /data }, { tmpfs: 64MiB, path: /tmp }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Limits; raising or lowering one changes running containers without a restart. Example: `{ cpu: 500m, memory: 256MiB }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// What the processes may do. Default: profile `baseline`. Example: `{ profile: restricted }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// Other objects that must exist, or be ready, before containers of this one are first started.
    /// Example: `[{ kind: Deployment, name: registry, condition: Ready }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependsOn>,
    /// What happens when the program ends: `Always` start it again, `OnFailure` (unless it exited with 0) or `Never`.
    /// Default: `Always`.
    #[serde(default)]
    pub restart: Restart,
    /// How a container is asked to end. Default: `{ signal: SIGTERM, grace: 10s }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What becomes of an update whose containers do not come to serve. Default: `{ progressDeadline: 5m, onFailure: Rollback }`.
    /// Changing it replaces nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Whether the containers run: `Running`, or `Stopped` to keep them without running them. Default: `Running`.
    #[serde(default)]
    pub state: RunState,
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
    /// Labels of the containers. Example: `{ mcp.server: hub }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// An exact name for the only container. Updates then stop the old container before the new one starts.
    /// Example: `hub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
}

const fn one_replica() -> u32 {
    1
}

/// When an image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before each container is created.
    Always,
    /// When the Engine does not have it.
    #[default]
    IfNotPresent,
    /// Never; it must be there.
    Never,
}

/// What becomes of an update whose containers do not come to serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strategy {
    /// How long a new container may fail to serve once it was started, 10s to 24h; fetching the image and waiting for other objects do
    /// not count. Default: `5m`. Example: `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<HumanDuration>,
    /// What happens then: `Rollback` (the last spec that served is brought back, and this one is not tried again until it changes or
    /// somebody asks for it with `evenkeel rollout retry`) or `Pause` (it is told, and nothing is changed). Default: `Rollback`.
    /// Example: `Pause`.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What happens when an update does not come to serve in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// The last spec that served is brought back.
    #[default]
    Rollback,
    /// It is told, and nothing is changed.
    Pause,
}

/// One port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// A name for people. Example: `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The port inside the container. Example: `8080`.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Where it is reachable on the host: a port, which binds 127.0.0.1, or `IP:PORT`; `0.0.0.0:PORT` must be written to reach
    /// every interface. Left out, only the container's networks reach it. Example: `"127.0.0.1:8080"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
    /// `tcp`, `udp` or `sctp`. Default: `tcp`.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Where a port is published: a bare host port, or an address and a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Publish {
    /// A port of 127.0.0.1.
    Port(u16),
    /// `IP:PORT`, or a port as text.
    Address(String),
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// The networks to join: names, or names with options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NetworkList {
    /// Names; the first is the primary network.
    Names(Vec<Name>),
    /// Names with options, in the order of the names.
    WithOptions(BTreeMap<Name, NetworkOptions>),
}

/// How one network is joined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkOptions {
    /// More names that the containers are found by on this network. Example: `[hub, hub.internal]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed address inside the network's subnet; needs `replicas: 1`. Example: `10.77.0.20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "ipv4"))]
    pub ipv4: Option<Ipv4Addr>,
}

/// One mount: exactly one of `volume`, `host`, `secretFile` and `tmpfs`, and a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// A Volume of the same namespace. Example: `hub-data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Name>,
    /// A path of the host, absolute or relative to the manifest file; it must exist unless `create` is true.
    /// Example: `./config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A file of the host that holds a secret, absolute or relative to the manifest file. It is mounted read-only; it must not be empty, and
    /// nobody but its owner and group may read it, of whom one is the user that the container runs as. Example: `./github.token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// Memory of this size. Example: `64MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Bytes>,
    /// The absolute path inside the container. Example: `/data`.
    pub path: String,
    /// The container cannot write to it. Default: `false`, and with `secretFile` always `true`.
    #[serde(default)]
    pub read_only: bool,
    /// Make the host directory when it is missing; only with `host`. Default: `false`.
    #[serde(default)]
    pub create: bool,
}

/// Limits of one container. Left out means no limit, but `pids` has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// CPU time. Example: `500m` (half a core).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCpu>,
    /// Memory, at least 6MiB. Example: `256MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Memory and swap together, at least `memory`. Default: twice `memory`. Example: `256MiB` (no swap).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<Bytes>,
    /// Processes and threads. Default: 1024, with the profile `restricted` 256. Example: `100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4_194_304), extend("format" = "pids"))]
    pub pids: Option<u32>,
    /// Size of `/dev/shm`; a change replaces the container. Default: 64MiB. Example: `256MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm: Option<Bytes>,
}

/// What the processes of a container may do. Each field beside `profile` tightens or relaxes the profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Security {
    /// `baseline`: ordinary public images run, without privileged mode, host namespaces, the Engine's socket or sensitive host
    /// paths. `restricted`: also non-root, a read-only root with a tmpfs on `/tmp`, and no capabilities. `privileged`: no floor.
    /// Default: `baseline`, for an `McpServer` `restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<SecurityProfile>,
    /// The user, and optionally the group, that the program runs as; the same as `spec.user`. Example: `"1001:1001"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Capabilities to add. Example: `[NET_BIND_SERVICE]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities to drop. Example: `[ALL]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// The root file system cannot be written. Default: `false`, with the profile `restricted` `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_root: Option<bool>,
    /// No process gains rights by executing a file (set-uid programs lose their effect). Default: `true`; `false` needs the
    /// profile `privileged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    /// Every right of the host's root. Needs the profile `privileged`. Default: `false`.
    #[serde(default)]
    pub privileged: bool,
    /// See the host's processes. Needs the profile `privileged`. Default: `false`.
    #[serde(default)]
    pub host_pid: bool,
    /// Share the host's IPC. Needs the profile `privileged`. Default: `false`.
    #[serde(default)]
    pub host_ipc: bool,
    /// Use the host's own network. Needs the profile `privileged`, and no `networks` or published `ports`. Default: `false`.
    #[serde(default)]
    pub host_network: bool,
    /// `RuntimeDefault`, or `Unconfined`, which needs the profile `privileged`. Default: `RuntimeDefault`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Seccomp>,
}

/// How much a container may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecurityProfile {
    /// Non-root, read-only root, no capabilities.
    Restricted,
    /// Ordinary public images run.
    #[default]
    Baseline,
    /// No floor.
    Privileged,
}

/// The filter of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Seccomp {
    /// The Engine's default filter.
    RuntimeDefault,
    /// None.
    Unconfined,
}

/// Another object that must be in a condition first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DependsOn {
    /// Its kind. Example: `Deployment`.
    pub kind: String,
    /// Its name. Example: `registry`.
    pub name: Name,
    /// Its namespace. Default: that of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// `Ready` or `Exists`. Default: `Ready`.
    #[serde(default)]
    pub condition: DependsOnCondition,
}

/// What is asked of a dependency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DependsOnCondition {
    /// It is there.
    Exists,
    /// Its condition `Ready` is true.
    #[default]
    Ready,
}

/// What happens when the program ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Restart {
    /// Start it again.
    #[default]
    Always,
    /// Start it again unless it exited with 0.
    OnFailure,
    /// Leave it.
    Never,
}

/// How a container is asked to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stop {
    /// The signal. Default: `SIGTERM`. Example: `SIGINT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How long the container has before it is killed, 0s to 1h. Default: `10s`. Example: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<HumanDuration>,
}

/// Whether the containers run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunState {
    /// They run.
    #[default]
    Running,
    /// They exist, but do not run.
    Stopped,
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// The Engine's log driver. Example: `json-file`.
    pub driver: String,
    /// Its options. Example: `{ max-size: 10m, max-file: "3" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// One limit of the processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ulimit {
    /// The limit in force; -1 for none. Example: `4096`.
    pub soft: i64,
    /// The most that the process may raise it to; -1 for none. Default: `soft`. Example: `8192`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<i64>,
}

/// One device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// The path on the host. Example: `/dev/ttyUSB0`.
    pub host: String,
    /// The path inside. Default: the same. Example: `/dev/ttyUSB0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Some of `r`, `w` and `m`. Default: `rwm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
}

/// Name resolution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns {
    /// Name servers. Example: `[10.0.0.53]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", extend("items" = { "type": "string", "format": "ip" }))]
    pub servers: Vec<IpAddr>,
    /// Search domains. Example: `[example.internal]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
    /// Resolver options. Example: `["ndots:2"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}
