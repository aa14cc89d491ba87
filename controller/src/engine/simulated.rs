//! The simulated Engine: in memory, deterministic, and behaving as Docker Engine 20.10 was measured to.
//!
//! Time is tokio's, so that tests can pause it; ids come from a seed; nothing else is random. What containers do by themselves
//! waits on one timeline and happens when somebody looks. [`crate::engine::contract`] compares it with a real Engine.

mod addresses;
mod attach;
mod calls;
mod change;
mod container;
mod control;
mod create;
mod daemon;
mod endpoint;
mod events;
mod faults;
mod health;
mod image;
mod interner;
mod latency;
mod lifecycle;
mod networks;
mod ports;
mod programs;
mod refusal;
mod state;
mod stop;
#[cfg(test)]
mod tests;
mod timeline;
mod transport;
mod volumes;
mod witness;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, unfold};
use planner::observed::{
    ContainerDetail, ContainerSummary, ImageDetail, Limits, NetworkDetail, TimestampMs, VolumeDetail,
};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};

pub use self::calls::{Call, CallKind, CallOutcome, CallRecord};
use self::container::HOST_NAME;
pub use self::daemon::DaemonRestart;
pub use self::faults::{FaultPlan, ReplyFault, RequestFault};
pub use self::image::{Healthcheck, ImageConfig, RegistryImage};
pub use self::latency::Latency;
pub use self::programs::{Answers, AtStopSignal, End, HealthScript, LineHandler, Program, Start};
use self::state::State;
use self::stop::StopProgress;
use self::transport::Shared;
pub use self::witness::{ContainerView, View, Witness};
use crate::engine::attach::refuse_attach;
use crate::engine::{AttachedContainer, CreatedContainer, Engine, EngineError, EngineEvent, EngineInfo};

/// An Engine without Docker. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct SimulatedEngine {
    shared: Arc<Shared>,
    actor: u32,
}

/// How a simulated Engine is to be.
#[derive(Debug, Clone)]
pub struct SimulatedConfig {
    /// Decides all ids.
    pub seed: u64,
    /// What the Engine's clock says when it is made, in milliseconds since the Unix epoch.
    pub epoch_ms: TimestampMs,
    /// How long calls take.
    pub latency: Latency,
    /// How many of the last calls are remembered.
    pub calls_kept: usize,
    /// What a pulled image does of which nothing was said.
    pub default_program: Program,
}

/// How many calls there were of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCounts(BTreeMap<CallKind, u64>);

impl Default for SimulatedConfig {
    /// For tests: no latency, the epoch in November 2023, every call remembered up to 100 000.
    fn default() -> Self {
        Self {
            seed: 1,
            epoch_ms: 1_700_000_000_000,
            latency: Latency::none(),
            calls_kept: 100_000,
            default_program: Program::forever(),
        }
    }
}

impl Default for SimulatedEngine {
    fn default() -> Self {
        Self::new(SimulatedConfig::default())
    }
}

impl SimulatedEngine {
    /// Makes an empty Engine: three predefined networks, no image; every pull of a well-formed reference succeeds.
    pub fn new(config: SimulatedConfig) -> Self {
        let state = State::new(config.seed, config.epoch_ms, config.default_program);
        Self { shared: Arc::new(Shared::new(state, config.latency, config.calls_kept)), actor: 0 }
    }

    /// A handle of the same Engine whose calls are recorded as this actor's, such as one process of several.
    #[must_use]
    pub fn for_actor(&self, actor: u32) -> Self {
        Self { shared: Arc::clone(&self.shared), actor }
    }

    /// Makes one to show: calls take about as long as Docker's, and programs a moment to end.
    pub fn demo(epoch_ms: TimestampMs) -> Self {
        let at_stop_signal = AtStopSignal::Exits { after_ms: 150, code: 0 };
        Self::new(SimulatedConfig {
            epoch_ms,
            latency: Latency::like_docker(),
            calls_kept: 0,
            default_program: Program { at_stop_signal, ..Program::forever() },
            ..SimulatedConfig::default()
        })
    }
}

#[async_trait]
impl Engine for SimulatedEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let info = EngineInfo {
            id: "SIMU:LATE:DENG:INE0".to_owned(),
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
            host_name: HOST_NAME.to_owned(),
            is_simulated: true,
        };
        self.shared.call(self.actor, CallKind::Info, "", |_| Ok(info)).await
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        let events = self.shared.call(self.actor, CallKind::Events, "", |state| Ok(state.events.subscribe())).await?;
        self.shared.serve_events();
        // The handle keeps the Engine alive as long as somebody listens.
        let shared = Arc::clone(&self.shared);
        Ok(Box::pin(unfold((events, shared), |(mut events, shared)| async move {
            let event = events.recv().await?;
            Some((event, (events, shared)))
        })))
    }

    async fn list_containers(&self, instance: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let instance = instance.to_owned();
        self.shared
            .call(self.actor, CallKind::ListContainers, "", move |state| Ok(state.list_containers(&instance)))
            .await
    }

    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError> {
        self.shared.call(self.actor, CallKind::ListNetworks, "", |state| Ok(state.list_networks())).await
    }

    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError> {
        self.shared.call(self.actor, CallKind::ListVolumes, "", |state| Ok(state.list_volumes())).await
    }

    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError> {
        let subject = id_or_name.to_owned();
        let inspect = move |state: &mut State| {
            let found = state.find_container(&subject).ok();
            Ok(found.and_then(|id| state.containers.get(&id)).map(|container| container.detail(state)))
        };
        self.shared.call(self.actor, CallKind::InspectContainer, id_or_name, inspect).await
    }

    async fn network_members(&self, id: &str) -> Result<Vec<(String, String)>, EngineError> {
        let network = id.to_owned();
        self.shared
            .call(self.actor, CallKind::NetworkMembers, id, move |state| Ok(state.network_members(&network)))
            .await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageDetail>, EngineError> {
        let subject = reference.to_owned();
        let inspect = move |state: &mut State| Ok(state.find_image(&subject).map(|image| image.detail()));
        self.shared.call(self.actor, CallKind::InspectImage, reference, inspect).await
    }

    async fn find_port_holder(&self, port: u16) -> Result<Option<String>, EngineError> {
        let find = move |state: &mut State| {
            let holder = state.ports.holder(port);
            Ok(holder.and_then(|id| state.containers.get(&id)).map(|container| container.name.to_string()))
        };
        self.shared.call(self.actor, CallKind::FindPortHolder, &port.to_string(), find).await
    }

    async fn tail_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let subject = id.to_owned();
        let tail = move |state: &mut State| {
            let id = state.find_container(&subject)?;
            let output = &state.container(&id)?.program.output;
            let all: Vec<&str> = output.lines().collect();
            let skipped = all.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
            Ok(all[skipped..].join("\n"))
        };
        self.shared.call(self.actor, CallKind::TailLogs, id, tail).await
    }

    async fn attach_container(&self, id: &str) -> Result<AttachedContainer, EngineError> {
        let found = self.inspect_container(id).await?;
        if let Some((kind, text)) = refuse_attach(found.as_ref()) {
            let operation = CallKind::AttachContainer.describe(id);
            return Err(EngineError { operation, status: None, text, kind });
        }
        let subject = id.to_owned();
        let run =
            self.shared.call(self.actor, CallKind::AttachContainer, id, move |state| state.attach(&subject)).await?;
        Ok(attach::converse(&self.shared, run))
    }

    async fn pull_image(&self, reference: &str) -> Result<(), EngineError> {
        let subject = reference.to_owned();
        self.shared.call(self.actor, CallKind::PullImage, reference, move |state| state.pull_image(&subject)).await
    }

    async fn import_image(&self, reference: &str, tar: Vec<u8>, changes: &[&str]) -> Result<(), EngineError> {
        drop(tar);
        let subject = reference.to_owned();
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        let import = move |state: &mut State| state.import_image(&subject, &changes);
        self.shared.call(self.actor, CallKind::ImportImage, reference, import).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let subject = reference.to_owned();
        let remove = move |state: &mut State| {
            state.drop_image(&subject);
            Ok(())
        };
        self.shared.call(self.actor, CallKind::RemoveImage, reference, remove).await
    }

    async fn create_network(&self, network: &NetworkCreate) -> Result<String, EngineError> {
        let create = network.clone();
        self.shared
            .call(self.actor, CallKind::CreateNetwork, &network.name, move |state| state.create_network(create))
            .await
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let network = id.to_owned();
        self.shared.call(self.actor, CallKind::RemoveNetwork, id, move |state| state.remove_network(&network)).await
    }

    async fn create_volume(&self, volume: &VolumeCreate) -> Result<VolumeDetail, EngineError> {
        let create = volume.clone();
        self.shared
            .call(self.actor, CallKind::CreateVolume, &volume.name, move |state| state.create_volume(&create))
            .await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let volume = name.to_owned();
        self.shared.call(self.actor, CallKind::RemoveVolume, name, move |state| state.remove_volume(&volume)).await
    }

    async fn create_container(&self, container: &ContainerCreate) -> Result<CreatedContainer, EngineError> {
        let create = container.clone();
        self.shared
            .call(self.actor, CallKind::CreateContainer, &container.name, move |state| state.create_container(create))
            .await
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.shared.call(self.actor, CallKind::StartContainer, id, move |state| state.start_container(&subject)).await
    }

    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), EngineError> {
        let subject = id.to_owned();
        let begin = move |state: &mut State| state.begin_stop(&subject, grace_secs);
        let progress = self.shared.call(self.actor, CallKind::StopContainer, id, begin).await?;
        if let StopProgress::Waiting { id, run } = progress {
            self.shared.wait_until(|state| state.stop_progress(&id, run) == StopProgress::Stopped).await;
        }
        Ok(())
    }

    async fn unpause_container(&self, id: &str) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.shared
            .call(self.actor, CallKind::UnpauseContainer, id, move |state| state.unpause_container(&subject))
            .await
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let (subject, name) = (id.to_owned(), name.to_owned());
        self.shared
            .call(self.actor, CallKind::RenameContainer, id, move |state| state.rename_container(&subject, &name))
            .await
    }

    async fn update_container(&self, id: &str, limits: &Limits) -> Result<(), EngineError> {
        let (subject, limits) = (id.to_owned(), limits.clone());
        self.shared
            .call(self.actor, CallKind::UpdateContainer, id, move |state| state.update_container(&subject, &limits))
            .await
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.shared.call(self.actor, CallKind::RemoveContainer, id, move |state| state.remove_container(&subject)).await
    }

    async fn connect_network(&self, container_id: &str, endpoint: &EndpointCreate) -> Result<(), EngineError> {
        let (subject, endpoint) = (container_id.to_owned(), endpoint.clone());
        let connect = move |state: &mut State| state.connect_network(&subject, &endpoint);
        self.shared.call(self.actor, CallKind::ConnectNetwork, container_id, connect).await
    }

    async fn disconnect_network(&self, container_id: &str, network_id: &str) -> Result<(), EngineError> {
        let (subject, network) = (container_id.to_owned(), network_id.to_owned());
        let disconnect = move |state: &mut State| state.disconnect_network(&subject, &network);
        self.shared.call(self.actor, CallKind::DisconnectNetwork, container_id, disconnect).await
    }
}
