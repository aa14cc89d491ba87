//! What others do to the Engine while a sequence runs, and our trait cannot.

use async_trait::async_trait;

use crate::engine::EngineError;
use crate::engine::simulated::SimulatedEngine;

/// One act on a container, by full id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideAction {
    /// The host kills its process with signal 9.
    Crash,
    /// `docker kill`.
    Kill,
    /// `docker pause`.
    Pause,
    /// `docker rm -f`.
    ForceRemove,
    /// `docker stop`.
    Stop,
    /// `docker start`.
    Start,
}

/// Somebody else who can act on an Engine.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Acts; the error is the Engine's text alone.
    async fn act(&self, action: OutsideAction, container_id: &str) -> Result<(), String>;

    /// Returns when the container's program would hear a signal, or never would. A simulated one does at once.
    async fn ready(&self, _container_id: &str) {}
}

/// Somebody else on the simulated Engine.
#[derive(Debug)]
pub struct SimulatedOutside(pub SimulatedEngine);

#[async_trait]
impl Outside for SimulatedOutside {
    async fn act(&self, action: OutsideAction, container_id: &str) -> Result<(), String> {
        let acted: Result<(), EngineError> = match action {
            OutsideAction::Crash => self.0.external_kill(container_id, 137),
            OutsideAction::Kill => self.0.external_docker_kill(container_id),
            OutsideAction::Pause => self.0.external_pause(container_id),
            OutsideAction::ForceRemove => self.0.external_remove(container_id),
            OutsideAction::Stop => self.0.external_stop(container_id, 10),
            OutsideAction::Start => self.0.external_start(container_id),
        };
        acted.map_err(|error| error.text)
    }
}
