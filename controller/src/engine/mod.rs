//! The Engine: everything that Evenkeel can ask of Docker, as one trait with two implementations.
//!
//! [`docker`] speaks to a real engine, [`simulated`] behaves as one was measured to. Methods that only read may be called by
//! the reflector; methods that change something are called by the executor alone; only the MCP hub attaches. No method retries:
//! retry is the queue's job.

pub mod attach;
pub mod classify;
pub mod contract;
pub mod docker;
pub mod simulated;

use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use planner::observed::{ContainerDetail, ContainerSummary, ImageDetail, Limits, NetworkDetail, VolumeDetail};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};

pub use self::attach::AttachedContainer;

/// Everything that Evenkeel asks of an engine.
///
/// Containers and networks are addressed by full id wherever a method takes `id`. Absence is `Ok(None)` where a method reads,
/// and an error of kind [`ErrorKind::NotFound`] where it changes.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// Who the engine is. Also negotiates the API version, so it is called first after every connection.
    async fn info(&self) -> Result<EngineInfo, EngineError>;

    /// Events from now on, of containers, images, networks and volumes, unfiltered by label: the Engine's label filter drops all
    /// events of volumes and networks. The stream ends when the connection does. It must be read without delay.
    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError>;

    /// All containers, in every state, that carry our instance's label.
    async fn list_containers(&self, instance: &str) -> Result<Vec<ContainerSummary>, EngineError>;

    /// All networks, whoever owns them.
    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError>;

    /// All volumes, whoever owns them.
    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError>;

    /// One container, by full id or by name; `None` when there is none.
    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError>;

    /// The containers, ours or not, that have an endpoint in a network, as (id, name); only running ones are told.
    async fn network_members(&self, id: &str) -> Result<Vec<(String, String)>, EngineError>;

    /// One image by reference; `None` when the Engine does not have it.
    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageDetail>, EngineError>;

    /// The name of the container that publishes this TCP or UDP port of the host, where one does.
    async fn find_port_holder(&self, port: u16) -> Result<Option<String>, EngineError>;

    /// The last lines of a container's output, at most `lines` lines and 16 KiB.
    async fn tail_logs(&self, id: &str, lines: u32) -> Result<String, EngineError>;

    /// The standard input and output of a running container that was created with an open standard input and without a terminal.
    /// What it writes to its standard error goes to the log. Whoever attaches later, or again, speaks to the same process.
    async fn attach_container(&self, id: &str) -> Result<AttachedContainer, EngineError>;

    /// Fetches an image; returns when it is there. A 200 whose stream carries an error is an error.
    async fn pull_image(&self, reference: &str) -> Result<(), EngineError>;

    /// Makes an image with this reference from a tar archive of a root file system and the given config changes in Dockerfile form.
    async fn import_image(&self, reference: &str, tar: Vec<u8>, changes: &[&str]) -> Result<(), EngineError>;

    /// Removes an image's reference, and the image where no other reference and no container has it. Already gone is success.
    async fn remove_image(&self, reference: &str) -> Result<(), EngineError>;

    /// Creates a network.
    async fn create_network(&self, network: &NetworkCreate) -> Result<String, EngineError>;

    /// Removes a network by full id.
    async fn remove_network(&self, id: &str) -> Result<(), EngineError>;

    /// Creates a volume. The Engine answers with the existing volume when there is one of that name, whatever its options.
    async fn create_volume(&self, volume: &VolumeCreate) -> Result<VolumeDetail, EngineError>;

    /// Removes a volume and its data.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// Creates a container.
    async fn create_container(&self, container: &ContainerCreate) -> Result<CreatedContainer, EngineError>;

    /// Starts a container. Already running is success.
    async fn start_container(&self, id: &str) -> Result<(), EngineError>;

    /// Asks a container to end, and kills it after the grace. Already stopped is success.
    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), EngineError>;

    /// Lets a paused container go on.
    async fn unpause_container(&self, id: &str) -> Result<(), EngineError>;

    /// Gives a container another name.
    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError>;

    /// Sets limits and the restart policy. A field of 0 is left as it is; memory and memory+swap are always sent together.
    async fn update_container(&self, id: &str, limits: &Limits) -> Result<(), EngineError>;

    /// Removes a container that does not run, without its volumes. Already gone is success.
    async fn remove_container(&self, id: &str) -> Result<(), EngineError>;

    /// Connects a container to a network.
    async fn connect_network(&self, container_id: &str, endpoint: &EndpointCreate) -> Result<(), EngineError>;

    /// Disconnects a container from a network, also when it does not run.
    async fn disconnect_network(&self, container_id: &str, network_id: &str) -> Result<(), EngineError>;
}

/// Who an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The engine's own id, stable over restarts; another id means another engine.
    pub id: String,
    /// Its version, such as `20.10.24`.
    pub version: String,
    /// The API version that was agreed on, such as `1.41`.
    pub api_version: String,
    /// The name of its host.
    pub host_name: String,
    /// Whether this is the simulated engine.
    pub is_simulated: bool,
}

/// A wake-up hint: something happened to a thing. What it is now must be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// What kind of thing.
    pub subject: EventSubject,
    /// Its full id; for volumes the name, for images the id or reference.
    pub id: String,
    /// The Engine's word, such as `die` or `health_status: healthy`, cut to 64 characters.
    pub action: String,
    /// Its name where the event tells it; the container's full id for a network event.
    pub actor: String,
    /// The exit code of a `die`, where told.
    pub exit_code: Option<i64>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventSubject {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// The answer to a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedContainer {
    /// The full id.
    pub id: String,
    /// What the Engine says it will not do.
    pub warnings: Vec<String>,
}

/// A call that failed, or whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation}: {text}")]
pub struct EngineError {
    /// What was tried and on what, such as ``start container `web-1a2b3c4d-0` ``.
    pub operation: String,
    /// The HTTP status; `None` when there was no answer.
    pub status: Option<u16>,
    /// The Engine's text, or what went wrong on the way to it; one line, without control characters.
    pub text: String,
    /// What it means.
    pub kind: ErrorKind,
}

/// What an [`EngineError`] means, classified once, from operation, status and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// There was no connection, so nothing was done.
    Unreachable,
    /// This controller does not hold the lease, so the call was not made.
    NotLeader,
    /// The call ended without an answer: it may have been done, or may still be.
    Unknown,
    /// The thing is not there.
    NotFound,
    /// The image is not there.
    ImageNotFound,
    /// The name is taken.
    NameConflict,
    /// The port of the host is taken.
    PortConflict,
    /// The thing is in use, or a removal of it is under way.
    InUse,
    /// The registry refuses our credentials, or wants some.
    RegistryDenied,
    /// The registry asks to be left alone for a while.
    RegistryThrottled,
    /// The registry cannot be reached, or fails.
    RegistryUnavailable,
    /// The registry does not have the image.
    RegistryNotFound,
    /// No address is free, or the address range overlaps with another.
    AddressConflict,
    /// The host has no space left.
    NoSpace,
    /// A proxy before the Engine forbids the call.
    Forbidden,
    /// The Engine refuses what was asked, and will again.
    Invalid,
    /// The program of the image cannot be started.
    StartFailed,
    /// Anything else the Engine failed at; worth another try.
    Internal,
}

impl ErrorKind {
    /// Whether the call may have taken effect, or may still.
    pub const fn is_outcome_unknown(self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether trying the same again is useless until something changes outside.
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::Invalid | Self::Forbidden)
    }

    /// The `CamelCase` reason in conditions and events.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "EngineUnreachable",
            Self::NotLeader => "NotLeader",
            Self::Unknown => "OutcomeUnknown",
            Self::NotFound => "NotFound",
            Self::ImageNotFound => "ImageNotFound",
            Self::NameConflict => "NameConflict",
            Self::PortConflict => "PortConflict",
            Self::InUse => "InUse",
            Self::RegistryDenied => "RegistryDenied",
            Self::RegistryThrottled => "RegistryThrottled",
            Self::RegistryUnavailable => "RegistryUnavailable",
            Self::RegistryNotFound => "ImagePullFailed",
            Self::AddressConflict => "AddressConflict",
            Self::NoSpace => "NoSpace",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
            Self::StartFailed => "StartFailed",
            Self::Internal => "EngineError",
        }
    }
}
