//! The template of a container, and what of one can be changed while it lives.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::object::ObjectKey;

/// The template of a container: everything that cannot be changed while it lives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSpec {
    /// The image reference, as the user wrote it.
    pub image: String,
    /// The exact name of the only container, when the user fixed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact_name: Option<String>,
    /// Instead of the image's ENTRYPOINT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's CMD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Instead of the image's WORKDIR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Instead of the image's USER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The host name inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Environment, on top of the image's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The user's labels, without ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Ports, in the order of their numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSpec>,
    /// The networks to join.
    #[serde(skip_serializing_if = "NetworkMode::is_default")]
    pub networks: NetworkMode,
    /// What is mounted, in the order of the paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountSpec>,
    /// Size of `/dev/shm` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_bytes: Option<u64>,
    /// What the processes may do.
    #[serde(skip_serializing_if = "SecuritySpec::is_default")]
    pub security: SecuritySpec,
    /// The signal that asks the container to end. Always set, so that a signal sent by hand does not disarm restarts.
    pub stop_signal: String,
    /// Run the Engine's init as process 1.
    #[serde(skip_serializing_if = "super::is_false")]
    pub init: bool,
    /// Limits of the processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<UlimitSpec>,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceSpec>,
    /// Where output goes; the Engine's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<LoggingSpec>,
    /// Name servers, search domains and resolver options.
    #[serde(skip_serializing_if = "DnsSpec::is_default")]
    pub dns: DnsSpec,
    /// Lines of `/etc/hosts`: name to address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,
    /// Its standard input stays open, for whoever attaches to it: a program that reads it would else end at once.
    #[serde(skip_serializing_if = "super::is_false")]
    pub open_stdin: bool,
}

/// What can be changed while a container runs. 0 or `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LiveSpec {
    /// CPU in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together in bytes; -1 for no limit. `None`: twice the memory, as the Engine does.
    pub memory_swap_bytes: Option<i64>,
    /// Processes.
    pub pids: Option<i64>,
    /// What the Engine does when the process ends.
    pub restart: RestartPolicy,
}

/// What happens when a container's process ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// It is started again, whatever its exit code.
    #[default]
    Always,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It stays as it is.
    Never,
}

/// A port of the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortSpec {
    /// The port inside, 1 to 65535.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Where it is reachable on the host; nowhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<HostPort>,
}

/// An address and port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPort {
    /// Always a literal address: the Engine publishes anything else on every interface.
    pub ip: IpAddr,
    /// 1 to 65535.
    pub port: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// How a container is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkMode {
    /// The Engine's default bridge.
    #[default]
    Bridge,
    /// No network at all.
    None,
    /// The host's own network; only with the profile `privileged`.
    Host,
    /// These networks, the first being the primary one.
    Joined(Vec<NetworkAttachment>),
}

/// One network that a container joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAttachment {
    /// The Network object.
    pub network: ObjectKey,
    /// The names that other containers of the network find it by, the object's own name included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// A fixed address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountSpec {
    /// The absolute, clean path inside.
    pub path: String,
    /// What is mounted.
    pub source: MountSource,
    /// The container cannot write to it.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MountSource {
    /// A Volume object.
    Volume(ObjectKey),
    /// A path of the host: absolute and resolved.
    Host {
        /// The path.
        path: String,
        /// Make the directory when it is missing.
        #[serde(default, skip_serializing_if = "super::is_false")]
        create: bool,
    },
    /// Memory, of this size in bytes; 0 for no limit.
    Tmpfs(u64),
}

/// What the processes of a container may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecuritySpec {
    /// Everything; only with the profile `privileged`.
    #[serde(skip_serializing_if = "super::is_false")]
    pub privileged: bool,
    /// No process gains rights by executing a file.
    #[serde(skip_serializing_if = "super::is_false")]
    pub no_new_privileges: bool,
    /// The root file system cannot be written.
    #[serde(skip_serializing_if = "super::is_false")]
    pub read_only_root: bool,
    /// Capabilities added, upper case without `CAP_`, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities dropped, the same way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// The host's process ids are visible; only with the profile `privileged`.
    #[serde(skip_serializing_if = "super::is_false")]
    pub host_pid: bool,
    /// The host's IPC is shared; only with the profile `privileged`.
    #[serde(skip_serializing_if = "super::is_false")]
    pub host_ipc: bool,
    /// No seccomp filter; only with the profile `privileged`.
    #[serde(skip_serializing_if = "super::is_false")]
    pub seccomp_unconfined: bool,
}

/// One limit of the processes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UlimitSpec {
    /// Such as `nofile`.
    pub name: String,
    /// The limit in force.
    pub soft: i64,
    /// The most that the process may raise it to.
    pub hard: i64,
}

/// One device of the host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSpec {
    /// The path on the host.
    pub host_path: String,
    /// The path inside.
    pub path: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggingSpec {
    /// The Engine's log driver.
    pub driver: String,
    /// Its options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Name resolution inside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DnsSpec {
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Search domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
    /// Resolver options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl NetworkMode {
    fn is_default(&self) -> bool {
        *self == Self::Bridge
    }

    /// The networks that are joined by name.
    pub fn attachments(&self) -> &[NetworkAttachment] {
        match self {
            Self::Joined(attachments) => attachments,
            Self::Bridge | Self::None | Self::Host => &[],
        }
    }
}

impl SecuritySpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl DnsSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Protocol {
    /// Lower-case, as the Engine writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}
