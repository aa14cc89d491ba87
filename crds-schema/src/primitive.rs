//! Primitives: the vocabulary that every kind lowers to, and the only one that the planner knows.
//!
//! [`ContainerSpec`], [`NetworkSpec`] and [`VolumeSpec`] are written into the labels of what is created from them, as JSON
//! without default values. A field added later must have a default that means "as before", so that an upgrade of Evenkeel never
//! changes what an existing label says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

pub use self::container::{
    ContainerSpec, DeviceSpec, DnsSpec, HostPort, LiveSpec, LoggingSpec, MountSource, MountSpec, NetworkAttachment,
    NetworkMode, PortSpec, Protocol, RestartPolicy, SecuritySpec, UlimitSpec,
};
use crate::object::ObjectKey;

mod container;

/// What one object means.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// What is to exist in the Engine.
    pub primitive: Primitive,
    /// Observe and report, but change nothing.
    pub suspend: bool,
    /// Other objects that must be in a condition before anything of this one is started, beyond those that the primitive
    /// refers to.
    pub depends_on: Vec<Dependency>,
}

/// What an object owns in the Engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Primitive {
    /// One network.
    Network(NetworkSpec),
    /// One volume.
    Volume(VolumeSpec),
    /// Any number of containers made from one template.
    Containers(Box<ContainerSet>),
    /// Nothing: what the object asks for is done outside the Engine.
    Nothing,
}

/// Another object that must be in a condition first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The other object.
    pub key: ObjectKey,
    /// The condition.
    pub condition: DependencyCondition,
}

/// What is asked of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependencyCondition {
    /// Its primitives exist in the Engine.
    Exists,
    /// Its condition `Ready` is true.
    Ready,
}

/// A network of the Engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// The name in the Engine.
    pub engine_name: String,
    /// The driver, such as `bridge`.
    pub driver: String,
    /// No way out of the network.
    #[serde(default, skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Strangers may join an overlay network.
    #[serde(default, skip_serializing_if = "is_false")]
    pub attachable: bool,
    /// IPv6 addresses too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ipv6: bool,
    /// Address ranges that the user chose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<SubnetSpec>,
    /// Driver options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The user's labels, without ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// One range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetSpec {
    /// CIDR.
    pub subnet: String,
    /// An address inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// CIDR inside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// A volume of the Engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSpec {
    /// The name in the Engine, where volume names are unique.
    pub engine_name: String,
    /// The driver, such as `local`.
    pub driver: String,
    /// Driver options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// The user's labels, without ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The object says that the data goes when the object goes. Not part of what the volume is, so not in its label.
    #[serde(skip)]
    pub delete_with_object: bool,
}

/// Containers made from one template.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSet {
    /// The first part of each container's name: `BASE-HASH-ORDINAL`.
    pub base_name: String,
    /// How many there are to be, at least 0.
    pub replicas: u32,
    /// Whoever uses them says how many there are to be; `replicas` is how many until they do.
    pub is_elastic: bool,
    /// What each is made from. A change means a replacement.
    pub template: ContainerSpec,
    /// What can be changed while a container runs.
    pub live: LiveSpec,
    /// When to fetch the image.
    pub pull_policy: PullPolicy,
    /// Whether they are to run.
    pub run: RunState,
    /// Who says whether one serves.
    pub readiness: Readiness,
    /// How long a replacement must have been ready before what it replaces is stopped, in milliseconds.
    pub min_ready_ms: i64,
    /// How long a container may fail to serve once it was started, before the rollout of its template has failed, in milliseconds.
    pub progress_deadline_ms: i64,
    /// What is done then.
    pub on_failure: OnFailure,
    /// For how long at most whoever uses a container is waited for before it is stopped, in milliseconds; 0: it is not waited.
    pub release_ms: i64,
    /// In which order a container is replaced.
    pub replace_order: ReplaceOrder,
    /// How long a container has to end after its stop signal, in seconds.
    pub stop_grace_secs: u32,
    /// Whether the user lifted the floor that keeps sensitive host paths out of containers.
    pub may_mount_any_host_path: bool,
}

/// Whether containers are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// They run.
    Running,
    /// They exist, but are stopped.
    Stopped,
}

/// Who says whether a running container serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readiness {
    /// The Engine: it runs, and its HEALTHCHECK, if any, passes.
    #[default]
    Engine,
    /// A probe of ours, which knows better than a HEALTHCHECK does: it runs, and has answered since it began to.
    Probed,
}

/// What is done about a rollout that has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// What served last is brought back.
    #[default]
    Rollback,
    /// It is told.
    Pause,
}

/// When an image is fetched from its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before each container is created.
    Always,
    /// When the Engine does not have it.
    IfNotPresent,
    /// Never; it must be there.
    Never,
}

/// In which order a container is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplaceOrder {
    /// The new one serves before the old one is stopped.
    StartFirst,
    /// The old one is stopped before the new one is started, for a reason that the plan shows.
    StopFirst(StopFirstReason),
}

/// Why a replacement must stop the old container first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopFirstReason {
    /// The name is fixed.
    ExactName(String),
    /// A port of the host is published, which only one container can hold.
    PublishedPort(u16),
    /// A fixed address, which only one container can hold.
    FixedAddress(Ipv4Addr),
    /// The only replica writes to a volume or host path, which two generations must not write to at once.
    SingleWriter(String),
}

impl Lowered {
    /// Whether a volume of this object, with its data, goes when the object goes.
    pub fn deletes_volume(&self) -> bool {
        matches!(&self.primitive, Primitive::Volume(volume) if volume.delete_with_object)
    }

    /// The other objects that this one's primitive names: its networks and its volumes, in order and without repeats.
    pub fn references(&self) -> Vec<&ObjectKey> {
        let Primitive::Containers(set) = &self.primitive else {
            return Vec::new();
        };
        let networks = set.template.networks.attachments().iter().map(|attachment| &attachment.network);
        let volumes = set.template.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume(key) => Some(key),
            MountSource::Host { .. } | MountSource::Tmpfs(_) => None,
        });
        let mut keys: Vec<&ObjectKey> = networks.chain(volumes).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde's skip_serializing_if asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl std::fmt::Display for StopFirstReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ExactName(name) => write!(f, "its name `{name}` is fixed"),
            Self::PublishedPort(port) => write!(f, "it holds port {port} of the host"),
            Self::FixedAddress(address) => write!(f, "it holds the address {address}"),
            Self::SingleWriter(what) => write!(f, "only one may write to {what}"),
        }
    }
}
