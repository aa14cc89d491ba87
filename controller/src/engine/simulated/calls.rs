//! The record of what was asked of the simulated Engine, for tests and for faults.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::classify::Operation;

/// The calls of the trait, one for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    /// `info`.
    Info,
    /// `events`.
    Events,
    /// `list_containers`.
    ListContainers,
    /// `list_networks`.
    ListNetworks,
    /// `list_volumes`.
    ListVolumes,
    /// `inspect_container`.
    InspectContainer,
    /// `network_members`.
    NetworkMembers,
    /// `inspect_image`.
    InspectImage,
    /// `find_port_holder`.
    FindPortHolder,
    /// `tail_logs`.
    TailLogs,
    /// `attach_container`.
    AttachContainer,
    /// `pull_image`.
    PullImage,
    /// `import_image`.
    ImportImage,
    /// `remove_image`.
    RemoveImage,
    /// `create_network`.
    CreateNetwork,
    /// `remove_network`.
    RemoveNetwork,
    /// `create_volume`.
    CreateVolume,
    /// `remove_volume`.
    RemoveVolume,
    /// `create_container`.
    CreateContainer,
    /// `start_container`.
    StartContainer,
    /// `stop_container`.
    StopContainer,
    /// `unpause_container`.
    UnpauseContainer,
    /// `rename_container`.
    RenameContainer,
    /// `update_container`.
    UpdateContainer,
    /// `remove_container`.
    RemoveContainer,
    /// `connect_network`.
    ConnectNetwork,
    /// `disconnect_network`.
    DisconnectNetwork,
}

/// One call, as it reaches the Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub kind: CallKind,
    /// On what: an id, a name or a reference, as the caller gave it; empty for a list.
    pub subject: String,
    /// When it was sent, in milliseconds since the simulated Engine began.
    pub sent_ms: u64,
    /// When it takes effect, the same way.
    pub at_ms: u64,
    /// Whose call it is: see [`super::SimulatedEngine::for_actor`].
    pub actor: u32,
}

/// What a call came to inside the Engine, whatever the caller saw of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The Engine's text.
        text: String,
    },
    /// It never reached the Engine.
    Dropped,
}

/// One entry of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// The call.
    pub call: Call,
    /// What it came to.
    pub outcome: CallOutcome,
}

/// The last calls, and how many there were of each kind.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    kept: usize,
    records: VecDeque<CallRecord>,
    counts: BTreeMap<CallKind, u64>,
}

impl CallKind {
    /// Whether the call changes something when it is done.
    pub const fn is_mutating(self) -> bool {
        !matches!(
            self,
            Self::Info
                | Self::Events
                | Self::ListContainers
                | Self::ListNetworks
                | Self::ListVolumes
                | Self::InspectContainer
                | Self::NetworkMembers
                | Self::InspectImage
                | Self::FindPortHolder
                | Self::TailLogs
                | Self::AttachContainer
        )
    }

    /// Whether a hanging container holds the call up: everything on one container but the lists.
    pub(super) const fn is_on_container(self) -> bool {
        matches!(
            self,
            Self::InspectContainer
                | Self::TailLogs
                | Self::AttachContainer
                | Self::StartContainer
                | Self::StopContainer
                | Self::UnpauseContainer
                | Self::RenameContainer
                | Self::UpdateContainer
                | Self::RemoveContainer
                | Self::ConnectNetwork
                | Self::DisconnectNetwork
        )
    }

    /// The call as the table of errors knows it.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Info
            | Self::Events
            | Self::ListContainers
            | Self::ListNetworks
            | Self::ListVolumes
            | Self::InspectContainer
            | Self::NetworkMembers
            | Self::InspectImage
            | Self::FindPortHolder
            | Self::TailLogs
            | Self::AttachContainer => Operation::Read,
            Self::PullImage => Operation::PullImage,
            Self::ImportImage => Operation::ImportImage,
            Self::RemoveImage => Operation::RemoveImage,
            Self::CreateNetwork => Operation::CreateNetwork,
            Self::RemoveNetwork => Operation::RemoveNetwork,
            Self::CreateVolume => Operation::CreateVolume,
            Self::RemoveVolume => Operation::RemoveVolume,
            Self::CreateContainer => Operation::CreateContainer,
            Self::StartContainer => Operation::StartContainer,
            Self::StopContainer => Operation::StopContainer,
            Self::UnpauseContainer => Operation::UnpauseContainer,
            Self::RenameContainer => Operation::RenameContainer,
            Self::UpdateContainer => Operation::UpdateContainer,
            Self::RemoveContainer => Operation::RemoveContainer,
            Self::ConnectNetwork => Operation::ConnectNetwork,
            Self::DisconnectNetwork => Operation::DisconnectNetwork,
        }
    }

    /// What the call tries, such as ``start container `web` ``.
    pub(super) fn describe(self, subject: &str) -> String {
        let what = match self {
            Self::Info => "ask who the engine is",
            Self::Events => "subscribe to events",
            Self::ListContainers => "list containers",
            Self::ListNetworks => "list networks",
            Self::ListVolumes => "list volumes",
            Self::InspectContainer => "inspect container",
            Self::NetworkMembers => "inspect network",
            Self::InspectImage => "inspect image",
            Self::FindPortHolder => "find the holder of port",
            Self::TailLogs => "read the logs of container",
            Self::AttachContainer => "attach to container",
            Self::PullImage => "pull image",
            Self::ImportImage => "import image",
            Self::RemoveImage => "remove image",
            Self::CreateNetwork => "create network",
            Self::RemoveNetwork => "remove network",
            Self::CreateVolume => "create volume",
            Self::RemoveVolume => "remove volume",
            Self::CreateContainer => "create container",
            Self::StartContainer => "start container",
            Self::StopContainer => "stop container",
            Self::UnpauseContainer => "unpause container",
            Self::RenameContainer => "rename container",
            Self::UpdateContainer => "update container",
            Self::RemoveContainer => "remove container",
            Self::ConnectNetwork => "connect to a network container",
            Self::DisconnectNetwork => "disconnect from a network container",
        };
        if subject.is_empty() { what.to_owned() } else { format!("{what} `{subject}`") }
    }
}

impl CallLog {
    /// A log that keeps at most this many records; it counts all calls.
    pub(super) fn keeping(kept: usize) -> Self {
        Self { kept, ..Self::default() }
    }

    pub(super) fn push(&mut self, record: CallRecord) {
        *self.counts.entry(record.call.kind).or_default() += 1;
        if self.kept == 0 {
            return;
        }
        if self.records.len() == self.kept {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    pub(super) fn records(&self) -> Vec<CallRecord> {
        self.records.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<CallKind, u64> {
        self.counts.clone()
    }

    pub(super) fn forget(&mut self) {
        self.records.clear();
        self.counts.clear();
    }
}
