//! How long the simulated Engine takes for its calls.

use std::time::Duration;

use super::calls::CallKind;

/// Milliseconds before a call takes effect. Stopping adds what the program takes to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Lists and inspections.
    pub read_ms: u64,
    /// Creating a container.
    pub create_ms: u64,
    /// Starting a container.
    pub start_ms: u64,
    /// Stopping a container, before its program is asked to end.
    pub stop_ms: u64,
    /// Removing a container.
    pub remove_ms: u64,
    /// Creating or removing a network, connecting and disconnecting.
    pub network_ms: u64,
    /// Fetching or importing an image.
    pub pull_ms: u64,
    /// Everything else that changes something.
    pub other_ms: u64,
}

impl Latency {
    /// Every call at once, for tests.
    pub const fn none() -> Self {
        Self { read_ms: 0, create_ms: 0, start_ms: 0, stop_ms: 0, remove_ms: 0, network_ms: 0, pull_ms: 0, other_ms: 0 }
    }

    /// About what Docker takes on an idle machine.
    pub const fn like_docker() -> Self {
        Self {
            read_ms: 1,
            create_ms: 10,
            start_ms: 300,
            stop_ms: 100,
            remove_ms: 60,
            network_ms: 80,
            pull_ms: 1200,
            other_ms: 5,
        }
    }

    /// How long a call takes.
    pub(super) const fn of(self, kind: CallKind) -> Duration {
        Duration::from_millis(match kind {
            CallKind::Info
            | CallKind::Events
            | CallKind::ListContainers
            | CallKind::ListNetworks
            | CallKind::ListVolumes
            | CallKind::InspectContainer
            | CallKind::NetworkMembers
            | CallKind::InspectImage
            | CallKind::FindPortHolder
            | CallKind::TailLogs
            | CallKind::AttachContainer => self.read_ms,
            CallKind::PullImage | CallKind::ImportImage => self.pull_ms,
            CallKind::CreateNetwork
            | CallKind::RemoveNetwork
            | CallKind::ConnectNetwork
            | CallKind::DisconnectNetwork => self.network_ms,
            CallKind::CreateContainer => self.create_ms,
            CallKind::StartContainer => self.start_ms,
            CallKind::StopContainer => self.stop_ms,
            CallKind::RemoveContainer => self.remove_ms,
            CallKind::RemoveImage
            | CallKind::CreateVolume
            | CallKind::RemoveVolume
            | CallKind::UnpauseContainer
            | CallKind::RenameContainer
            | CallKind::UpdateContainer => self.other_ms,
        })
    }
}
