//! The simulated Engine, but with more wrong than it can do itself: creations that panic, and creations that warn; events that are
//! lost, and lists that are out of date.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use planner::observed::{ContainerDetail, ContainerSummary, ImageDetail, Limits, NetworkDetail, VolumeDetail};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};

use crate::engine::simulated::SimulatedEngine;
use crate::engine::{AttachedContainer, CreatedContainer, Engine, EngineError, EngineEvent, EngineInfo};

/// An Engine of which more goes wrong; nothing, as long as nothing is set.
#[derive(Debug, Default)]
pub(super) struct FaultyEngine {
    pub(super) inner: SimulatedEngine,
    /// What the names of the containers begin with whose creation panics.
    pub(super) victim: &'static str,
    /// Whether it does so now.
    pub(super) is_panicking: AtomicBool,
    /// What it says that it will not do, at each creation.
    pub(super) warnings: Vec<String>,
    /// Whether its events are lost.
    pub(super) is_silent: Arc<AtomicBool>,
    /// The id of a container that its lists lack.
    pub(super) unlisted: Mutex<Option<String>>,
}

#[async_trait]
impl Engine for FaultyEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.inner.info().await
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        let is_silent = Arc::clone(&self.is_silent);
        let events = self.inner.events().await?;
        Ok(events.filter(move |_| std::future::ready(!is_silent.load(Ordering::Relaxed))).boxed())
    }

    async fn list_containers(&self, instance: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let mut listed = self.inner.list_containers(instance).await?;
        let unlisted = self.unlisted.lock().unwrap();
        listed.retain(|summary| Some(&summary.id) != unlisted.as_ref());
        Ok(listed)
    }

    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError> {
        self.inner.list_networks().await
    }

    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError> {
        self.inner.list_volumes().await
    }

    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError> {
        self.inner.inspect_container(id_or_name).await
    }

    async fn network_members(&self, id: &str) -> Result<Vec<(String, String)>, EngineError> {
        self.inner.network_members(id).await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageDetail>, EngineError> {
        self.inner.inspect_image(reference).await
    }

    async fn find_port_holder(&self, port: u16) -> Result<Option<String>, EngineError> {
        self.inner.find_port_holder(port).await
    }

    async fn tail_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        self.inner.tail_logs(id, lines).await
    }

    async fn attach_container(&self, id: &str) -> Result<AttachedContainer, EngineError> {
        self.inner.attach_container(id).await
    }

    async fn pull_image(&self, reference: &str) -> Result<(), EngineError> {
        self.inner.pull_image(reference).await
    }

    async fn import_image(&self, reference: &str, tar: Vec<u8>, changes: &[&str]) -> Result<(), EngineError> {
        self.inner.import_image(reference, tar, changes).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.inner.remove_image(reference).await
    }

    async fn create_network(&self, network: &NetworkCreate) -> Result<String, EngineError> {
        self.inner.create_network(network).await
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        self.inner.remove_network(id).await
    }

    async fn create_volume(&self, volume: &VolumeCreate) -> Result<VolumeDetail, EngineError> {
        self.inner.create_volume(volume).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.inner.remove_volume(name).await
    }

    async fn create_container(&self, container: &ContainerCreate) -> Result<CreatedContainer, EngineError> {
        let is_bad = self.is_panicking.load(Ordering::Relaxed) && container.name.starts_with(self.victim);
        assert!(!is_bad, "a fault of ours, made on purpose");
        let created = self.inner.create_container(container).await?;
        Ok(CreatedContainer { warnings: self.warnings.clone(), ..created })
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        self.inner.start_container(id).await
    }

    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), EngineError> {
        self.inner.stop_container(id, grace_secs).await
    }

    async fn unpause_container(&self, id: &str) -> Result<(), EngineError> {
        self.inner.unpause_container(id).await
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        self.inner.rename_container(id, name).await
    }

    async fn update_container(&self, id: &str, limits: &Limits) -> Result<(), EngineError> {
        self.inner.update_container(id, limits).await
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        self.inner.remove_container(id).await
    }

    async fn connect_network(&self, container_id: &str, endpoint: &EndpointCreate) -> Result<(), EngineError> {
        self.inner.connect_network(container_id, endpoint).await
    }

    async fn disconnect_network(&self, container_id: &str, network_id: &str) -> Result<(), EngineError> {
        self.inner.disconnect_network(container_id, network_id).await
    }
}
