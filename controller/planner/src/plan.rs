//! The plan: ordered steps, each exactly one Engine call with a typed cause, and what is waited for.
//!
//! Its text is one and the same in `plan`, tests, events and logs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crds_schema::primitive::StopFirstReason;
use crds_schema::{Name, ObjectKey};

pub use self::waiting::Waiting;
use crate::observed::{ContainerConfig, Limits};
use crate::progress::Rollout;

mod text;
mod waiting;

/// What is to be done for one object, and what is waited for. Plans are never stored or resumed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The calls, in an order in which each follows what it depends on. Their ids count from 1.
    pub steps: Vec<Step>,
    /// What must happen outside this plan before it can go on.
    pub waiting: Vec<Waiting>,
    /// Ids of containers that are to be given nothing new to do: they are about to be stopped, or are stopped by this plan.
    pub leaving: BTreeSet<String>,
    /// When to plan again even if nothing is heard, in milliseconds from now.
    pub wake_ms: Option<i64>,
    /// What was found to differ from what was last made so, for events: drift.
    pub findings: Vec<Finding>,
    /// For each primitive that is updated or replaced, the fields that decide.
    pub changes: Vec<Change>,
    /// How far the rollout of what is wanted is.
    pub rollout: Rollout,
}

/// One Engine call.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// From 1.
    pub id: u32,
    /// The steps that must be done first.
    pub after: Vec<u32>,
    /// The call.
    pub action: Action,
    /// Why.
    pub cause: Cause,
}

/// An Engine call. Every call after a create uses the full id.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Fetch an image.
    PullImage {
        /// The reference.
        reference: String,
    },
    /// Create a network.
    CreateNetwork(NetworkCreate),
    /// Remove a network.
    RemoveNetwork {
        /// The full id.
        id: String,
        /// The name, for people.
        name: String,
    },
    /// Create a volume.
    CreateVolume(VolumeCreate),
    /// Remove a volume and its data.
    RemoveVolume {
        /// The name, unique in the Engine.
        name: String,
    },
    /// Create a container.
    CreateContainer(Box<ContainerCreate>),
    /// Inspect a new container and compare it with what was asked for, since the Engine drops some fields without a word.
    VerifyContainer {
        /// Which.
        container: ContainerRef,
        /// What was asked for.
        expected: Box<ContainerCreate>,
    },
    /// Connect a container to a network.
    ConnectNetwork {
        /// Which.
        container: ContainerRef,
        /// The network.
        endpoint: EndpointCreate,
    },
    /// Disconnect a container from a network.
    DisconnectNetwork {
        /// Which.
        container: ContainerRef,
        /// The network's full id.
        network_id: String,
        /// Its name, for people.
        network_name: String,
    },
    /// Start a container.
    StartContainer {
        /// Which.
        container: ContainerRef,
    },
    /// Ask a container to end, and kill it after the grace.
    StopContainer {
        /// Which.
        container: ContainerRef,
        /// Seconds before it is killed.
        grace_secs: u32,
    },
    /// Let a frozen container go on.
    UnpauseContainer {
        /// Which.
        container: ContainerRef,
    },
    /// Give a container another name.
    RenameContainer {
        /// Which.
        container: ContainerRef,
        /// The new name.
        name: String,
    },
    /// Change limits or the restart policy of a container while it lives.
    UpdateContainer {
        /// Which.
        container: ContainerRef,
        /// What is to be in force.
        limits: Limits,
    },
    /// Remove a stopped container. Its volumes stay, the anonymous ones too.
    RemoveContainer {
        /// Which.
        container: ContainerRef,
    },
}

/// A container: one that is there, or one that an earlier step creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerRef {
    /// It is there.
    Existing {
        /// The full id.
        id: String,
        /// The name, for people.
        name: String,
    },
    /// It will be.
    Created {
        /// The step that creates it.
        step: u32,
        /// The name, for people.
        name: String,
    },
}

/// A container to create.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerCreate {
    /// Its name.
    pub name: String,
    /// Everything that cannot be changed later.
    pub config: ContainerConfig,
    /// What can.
    pub limits: Limits,
    /// The endpoint in the primary network, where that is one of ours.
    pub primary_endpoint: Option<EndpointCreate>,
    /// The labels of each volume that it mounts, by name: the Engine makes one anew that somebody has removed a moment ago, and it
    /// would be nobody's.
    pub volume_labels: BTreeMap<String, BTreeMap<String, String>>,
}

/// An endpoint to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointCreate {
    /// The network's full id.
    pub network_id: String,
    /// Its name, for people.
    pub network_name: String,
    /// The names that the container is found by.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4: Option<Ipv4Addr>,
}

/// A network to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCreate {
    /// Its name.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// No way out.
    pub internal: bool,
    /// Strangers may join.
    pub attachable: bool,
    /// IPv6 too.
    pub ipv6: bool,
    /// Subnet, gateway, range; gateway and range empty for the Engine's choice.
    pub subnets: Vec<(String, String, String)>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels, ours included.
    pub labels: BTreeMap<String, String>,
}

/// A volume to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeCreate {
    /// Its name.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
    /// Labels, ours included.
    pub labels: BTreeMap<String, String>,
}

/// Why a step is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// There is none yet, or none any more.
    NotPresent,
    /// The policy is to fetch before every create.
    PullAlways,
    /// The spec asks for something else.
    SpecChanged(Vec<FieldChange>),
    /// The Engine holds something else than was last made so.
    Drifted(Vec<FieldChange>),
    /// A step before made it possible.
    Created,
    /// What was asked for is compared with what the Engine made of it.
    VerifyCreated,
    /// The container ended by itself or was stopped by somebody.
    Exited {
        /// Its exit code.
        code: i64,
        /// Whether it ran out of memory.
        oom_killed: bool,
    },
    /// It was created, but never ran, or its start failed with this text.
    NotStarted(String),
    /// Somebody paused it.
    Paused,
    /// A removal failed half-way.
    Dead,
    /// The Engine ended in the middle of its start, and cannot start it any more.
    HalfStarted,
    /// Somebody gave it this name.
    Renamed(String),
    /// It lost its endpoint in this network.
    Disconnected(String),
    /// It was connected to this network without our names or address.
    EndpointDiffers(String),
    /// It was connected to this network, which its spec does not name.
    ConnectedTwice(String),
    /// Its network is being replaced.
    NetworkReplaced(ObjectKey),
    /// The network that it was made for is gone.
    NetworkGone(String),
    /// It serves now, so that it may be found by the object's name.
    BecameReady,
    /// Another container took its place.
    ReplacedBy(String),
    /// It was to replace this one, and something newer is to do so now.
    Superseded(String),
    /// It must make room before its replacement can start.
    StopFirst(StopFirstReason),
    /// More are there than are wanted.
    ScaledDown,
    /// Somebody had it to himself, and does not need it any more.
    UsedUp,
    /// There are two of one.
    Duplicate,
    /// What the Engine made differs from what was asked for.
    NotAsAsked(Vec<FieldChange>),
    /// The object is to be stopped.
    StateStopped,
    /// It is not to be started again by the Engine once it is stopped.
    Disarm,
    /// It runs again, so the Engine is to start it again when it ends.
    Rearm,
    /// The object was removed from the manifests.
    ObjectRemoved,
}

/// One field that decides, with both values as users write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The path in the primitive, such as `image` or `env.LOG_LEVEL`.
    pub field: String,
    /// What is there; empty for nothing.
    pub old: String,
    /// What is wanted; empty for nothing.
    pub new: String,
}

/// One primitive that is updated or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The primitive, such as `container/web-7f9c4d21-0`.
    pub subject: String,
    /// What it takes.
    pub outcome: Outcome,
    /// Why.
    pub fields: Vec<FieldChange>,
}

/// What a change takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is made while the thing runs.
    LiveUpdate,
    /// The thing is replaced, the new one serving before the old one is stopped.
    ReplaceStartFirst,
    /// The thing is replaced, the old one being stopped first.
    ReplaceStopFirst(StopFirstReason),
    /// Nothing is done about it: the object's status says what the user can do.
    Refused,
}

/// Something found in the Engine that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The primitive, such as `container/web-7f9c4d21-0`.
    pub subject: String,
    /// One `CamelCase` word, such as `ContainerRemoved`.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

impl Finding {
    /// The reason of a container that was removed.
    pub const CONTAINER_REMOVED: &str = "ContainerRemoved";
    /// The reason of a network that was removed.
    pub const NETWORK_REMOVED: &str = "NetworkRemoved";
    /// The reason of a volume that was removed.
    pub const VOLUME_REMOVED: &str = "VolumeRemoved";

    /// Whether it is about something that is not there any more.
    pub fn is_of_lost(&self) -> bool {
        [Self::CONTAINER_REMOVED, Self::NETWORK_REMOVED, Self::VOLUME_REMOVED].contains(&self.reason)
    }
}

impl ContainerRef {
    /// The name, for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Existing { name, .. } | Self::Created { name, .. } => name,
        }
    }
}

impl Plan {
    /// Whether there is nothing to do and nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_empty()
    }
}

impl Action {
    /// What the call acts on, such as `container/web-7f9c4d21-0`.
    pub fn subject(&self) -> String {
        match self {
            Self::PullImage { reference } => format!("image/{reference}"),
            Self::CreateNetwork(network) => format!("network/{}", network.name),
            Self::RemoveNetwork { name, .. } => format!("network/{name}"),
            Self::CreateVolume(volume) => format!("volume/{}", volume.name),
            Self::RemoveVolume { name } => format!("volume/{name}"),
            Self::CreateContainer(create) => format!("container/{}", create.name),
            Self::VerifyContainer { container, .. }
            | Self::ConnectNetwork { container, .. }
            | Self::DisconnectNetwork { container, .. }
            | Self::StartContainer { container }
            | Self::StopContainer { container, .. }
            | Self::UnpauseContainer { container }
            | Self::RenameContainer { container, .. }
            | Self::UpdateContainer { container, .. }
            | Self::RemoveContainer { container } => format!("container/{}", container.name()),
        }
    }

    /// The verb of the call, with what it needs to be understood.
    pub fn verb(&self) -> String {
        match self {
            Self::PullImage { .. } => "Pull".into(),
            Self::CreateNetwork(_) | Self::CreateVolume(_) | Self::CreateContainer(_) => "Create".into(),
            Self::RemoveNetwork { .. } | Self::RemoveVolume { .. } | Self::RemoveContainer { .. } => "Remove".into(),
            Self::VerifyContainer { .. } => "Verify".into(),
            Self::ConnectNetwork { endpoint, .. } => format!("Connect {}", endpoint.network_name),
            Self::DisconnectNetwork { network_name, .. } => format!("Disconnect {network_name}"),
            Self::StartContainer { .. } => "Start".into(),
            Self::StopContainer { grace_secs, .. } => format!("Stop {grace_secs}s"),
            Self::UnpauseContainer { .. } => "Unpause".into(),
            Self::RenameContainer { name, .. } => format!("Rename {name}"),
            Self::UpdateContainer { .. } => "Update".into(),
        }
    }

    /// Whether the call changes the Engine.
    pub const fn is_mutating(&self) -> bool {
        !matches!(self, Self::VerifyContainer { .. })
    }
}

impl Plan {
    /// Whether it stops something because something else stands in its place.
    pub fn is_replacing(&self) -> bool {
        self.steps.iter().any(|step| {
            let is_stop = matches!(step.action, Action::StopContainer { .. });
            is_stop
                && matches!(
                    step.cause,
                    Cause::ReplacedBy(_) | Cause::Superseded(_) | Cause::StopFirst(_) | Cause::Duplicate
                )
        })
    }
}

/// Milliseconds as users write durations.
pub fn format_ms(ms: i64) -> String {
    let ms = u64::try_from(ms).unwrap_or(0);
    crds_schema::units::HumanDuration(std::time::Duration::from_millis(ms)).to_string()
}

/// The name of a container of a set.
pub fn container_name(base: &str, hash: &str, ordinal: u32) -> String {
    format!("{base}-{}-{ordinal}", crate::hash::short_hash(hash))
}

/// The instance name that a controller has unless it is told another one.
pub fn default_instance() -> Name {
    Name::default_namespace()
}
