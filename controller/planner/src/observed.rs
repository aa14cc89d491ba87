//! What the Engine reports, in our own words: the least that planning and verifying need.
//!
//! Collection keeps everything it is told, duplicates and strangers included; the choice is the planner's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
pub type TimestampMs = i64;

/// One container as the list call reports it: enough to see that something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSummary {
    /// The full id, 64 hex digits.
    pub id: String,
    /// The name without its leading slash.
    pub name: String,
    /// The state.
    pub state: ContainerState,
    /// Health, as far as the list's status text tells it.
    pub health: Health,
    /// All labels, the image's included.
    pub labels: BTreeMap<String, String>,
    /// Ids of the networks that it has an endpoint in; empty ids are left out.
    pub network_ids: Vec<String>,
    /// Its addresses in them, sorted: one that restarted unnoticed often has others.
    pub addresses: Vec<IpAddr>,
    /// The id of its image.
    pub image_id: String,
    /// When it was created.
    pub created_ms: TimestampMs,
}

/// One container as the inspect call reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerDetail {
    /// The full id, 64 hex digits.
    pub id: String,
    /// The name without its leading slash.
    pub name: String,
    /// When it was created.
    pub created_ms: TimestampMs,
    /// The id of its image, and the reference that it was created from.
    pub image_id: String,
    /// The state of its process.
    pub status: ContainerStatus,
    /// What it was created with, the image's share included.
    pub config: ContainerConfig,
    /// The limits and the restart policy in force.
    pub limits: Limits,
    /// Its endpoints, by the Engine's name of the network.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// How often the Engine has restarted it since it was last started by hand.
    pub restart_count: u32,
}

/// The state of a container's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerStatus {
    /// The state.
    pub state: ContainerState,
    /// The exit code of the last run; 0 before the first.
    pub exit_code: i64,
    /// Whether the kernel ended it for want of memory.
    pub oom_killed: bool,
    /// The Engine's text about the last failed start; empty if none.
    pub error: String,
    /// What its HEALTHCHECK says.
    pub health: Health,
    /// When the last run began; `None` before the first.
    pub started_ms: Option<TimestampMs>,
    /// When the last run ended; `None` before the first end.
    pub finished_ms: Option<TimestampMs>,
}

/// The Engine's states of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Never run, or its start failed.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Between two runs; the Engine will start it again.
    Restarting,
    /// Being removed.
    Removing,
    /// Its process has ended.
    Exited,
    /// A removal failed half-way.
    Dead,
}

/// What a container's HEALTHCHECK says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It has none.
    #[default]
    None,
    /// Not known yet.
    Starting,
    /// The last check passed.
    Healthy,
    /// Too many checks failed.
    Unhealthy,
}

/// What a container was created with. Also what we ask for, so that the two can be compared field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// The image reference.
    pub image: String,
    /// `None`: the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `None`: the image's.
    pub cmd: Option<Vec<String>>,
    /// Empty: the image's.
    pub working_dir: String,
    /// Empty: the image's.
    pub user: String,
    /// Empty: the Engine's choice.
    pub hostname: String,
    /// `KEY=value`, sorted by key where we ask; as reported where the Engine tells.
    pub env: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `PORT/protocol` of every exposed port.
    pub exposed_ports: Vec<String>,
    /// `PORT/protocol` to host addresses, as `IP:PORT`.
    pub port_bindings: BTreeMap<String, Vec<String>>,
    /// `bridge`, `none`, `host`, or the full id or name of the primary network.
    pub network_mode: String,
    /// Mounts, sorted by destination.
    pub mounts: Vec<MountConfig>,
    /// 0: the Engine's default.
    pub shm_bytes: u64,
    /// Run as host root.
    pub privileged: bool,
    /// Read-only root file system.
    pub read_only_root: bool,
    /// Added capabilities.
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
    /// Security options, such as `no-new-privileges:true`.
    pub security_opt: Vec<String>,
    /// Empty or `host`.
    pub pid_mode: String,
    /// Empty for the Engine's default, or `host`.
    pub ipc_mode: String,
    /// The stop signal; empty: the image's.
    pub stop_signal: String,
    /// Seconds before a stop kills; `None`: the Engine's default.
    pub stop_timeout_secs: Option<u32>,
    /// The Engine's init as process 1.
    pub init: bool,
    /// Name, soft, hard; sorted.
    pub ulimits: Vec<(String, i64, i64)>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Host path, path, permissions; sorted.
    pub devices: Vec<(String, String, String)>,
    /// Log driver; empty: the Engine's default.
    pub log_driver: String,
    /// Its options.
    pub log_options: BTreeMap<String, String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_options: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    /// Its standard input stays open when whoever is attached to it leaves.
    pub open_stdin: bool,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MountConfig {
    /// The path inside.
    pub destination: String,
    /// What is mounted.
    pub kind: MountKind,
    /// Not writable inside.
    pub read_only: bool,
}

/// What a mount mounts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MountKind {
    /// A volume, by its name in the Engine.
    Volume(String),
    /// A path of the host.
    Bind(String),
    /// Memory of this many bytes; 0 for no limit.
    Tmpfs(u64),
}

/// The limits of a container that can be changed while it lives. 0 means none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU in billionths of a core.
    pub nano_cpus: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Memory and swap together; -1 for no limit, 0 for the Engine's default.
    pub memory_swap: i64,
    /// Processes.
    pub pids: i64,
    /// `no`, `always`, `unless-stopped` or `on-failure`; the Engine's empty text is read as `no`.
    pub restart: String,
}

/// A container's endpoint in one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The full id of the network; empty for a container that has not been started since the network was named.
    pub network_id: String,
    /// The names it is found by, without the container's short id.
    pub aliases: Vec<String>,
    /// The fixed address that was asked for.
    pub fixed_ipv4: Option<Ipv4Addr>,
    /// The address it has now.
    pub address: Option<IpAddr>,
}

/// One network of the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkDetail {
    /// The full id.
    pub id: String,
    /// The name, which is not unique before API 1.44.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// No way out.
    pub internal: bool,
    /// Strangers may join.
    pub attachable: bool,
    /// IPv6 too.
    pub ipv6: bool,
    /// Subnet, gateway, range; gateway and range empty where there is none.
    pub subnets: Vec<(String, String, String)>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was created.
    pub created_ms: TimestampMs,
}

/// One volume of the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDetail {
    /// The name, which is unique.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// When it was created, in whole seconds of the Engine.
    pub created_ms: TimestampMs,
}

/// One image of the Engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageDetail {
    /// The id: the digest of the config, or of the index in the containerd image store.
    pub id: String,
    /// The ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// The CMD.
    pub cmd: Vec<String>,
    /// The USER; empty for root.
    pub user: String,
    /// Paths that the image declares as volumes.
    pub volumes: Vec<String>,
    /// Whether it has a HEALTHCHECK.
    pub has_healthcheck: bool,
    /// Labels, for telling apart what is ours from what an image claims.
    pub labels: BTreeMap<String, String>,
}

impl ContainerState {
    /// As the Engine writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Reads the Engine's word; `None` for one that is not known.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Created, Self::Running, Self::Paused, Self::Restarting, Self::Removing, Self::Exited, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}
