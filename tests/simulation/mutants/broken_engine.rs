//! The Engine as a broken controller uses it: what it asks for is not what the sound one would have asked for.
//!
//! It stands before what watches the calls of a process, so everything that it does is taken for the controller's own doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use controller::clock::Clock;
use controller::engine::simulated::SimulatedEngine;
use controller::engine::{
    AttachedContainer, CreatedContainer, Engine, EngineError, EngineEvent, EngineInfo, ErrorKind,
};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, pending};
use planner::observed::{
    ContainerDetail, ContainerState, ContainerSummary, ImageDetail, Limits, MountKind, NetworkDetail, VolumeDetail,
};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};

use super::Mutant;

/// How many events one hears that then reads no more.
const EVENTS_HEARD: usize = 20;
/// After how long something looks old to one that believes the clock of the wall.
const OLD_MS: i64 = 12 * 3_600_000;

/// The Engine of a mutant.
#[derive(Debug)]
pub(crate) struct BrokenEngine {
    mutant: Mutant,
    inner: Arc<dyn Engine>,
    /// The truth, to choose what to break.
    world: SimulatedEngine,
    clock: Clock,
    only_one: AsyncMutex<()>,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The containers that this process has made.
    made: BTreeSet<String>,
    /// What it asked for.
    asked: BTreeMap<String, Limits>,
    has_listed: bool,
}

impl BrokenEngine {
    /// The Engine of a mutant, behind the trait.
    pub(crate) fn shared(
        mutant: Mutant,
        inner: Arc<dyn Engine>,
        world: SimulatedEngine,
        clock: Clock,
    ) -> Arc<dyn Engine> {
        let (only_one, memory) = (AsyncMutex::default(), Mutex::default());
        Arc::new(Self { mutant, inner, world, clock, only_one, memory })
    }

    /// One that lets nobody else call while it waits for an answer.
    async fn turn(&self) -> Option<AsyncMutexGuard<'_, ()>> {
        if self.mutant == Mutant::CallsOneByOne { Some(self.only_one.lock().await) } else { None }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The containers of objects that fulfil something, in their true state.
    fn workloads(&self, is_it: impl Fn(&ContainerDetail) -> bool) -> Vec<ContainerDetail> {
        let ids = self.world.all_container_ids();
        let containers = ids.iter().filter_map(|id| self.world.peek(id));
        containers.filter(|container| is_workload(container) && is_it(container)).collect()
    }

    async fn before_list(&self) {
        let is_first = !std::mem::replace(&mut self.memory().has_listed, true);
        if self.mutant == Mutant::ActsUnseen && is_first {
            for container in self.workloads(|_| true) {
                drop(self.inner.unpause_container(&container.id).await);
            }
        }
    }

    async fn after_list(&self, list: &mut Vec<ContainerSummary>) {
        match self.mutant {
            Mutant::ChangesWithEachList => {
                if let Some(container) = self.workloads(|_| true).first() {
                    drop(self.inner.update_container(&container.id, &container.limits).await);
                }
            }
            Mutant::BelievesTheWallClock => {
                let now_ms = self.clock.now_ms();
                for container in self.workloads(|container| now_ms - container.created_ms > OLD_MS) {
                    drop(self.inner.stop_container(&container.id, 1).await);
                }
            }
            Mutant::SkipsLeftovers => {
                let memory = self.memory();
                let is_leftover = |summary: &ContainerSummary| {
                    summary.labels.contains_key("evenkeel.dev/ordinal")
                        && summary.state == ContainerState::Created
                        && !memory.made.contains(&summary.id)
                };
                list.retain(|summary| !is_leftover(summary));
            }
            Mutant::TakesAllForRunning => {
                let exited = list.iter_mut().filter(|summary| summary.state == ContainerState::Exited);
                exited.for_each(|summary| summary.state = ContainerState::Running);
            }
            _ => {}
        }
    }

    async fn before_create(&self, create: &mut ContainerCreate) {
        match self.mutant {
            Mutant::StopsBeforeItCreates => {
                let owner = create.config.labels.get("evenkeel.dev/name");
                let of_owner = |container: &ContainerDetail| container.config.labels.get("evenkeel.dev/name") == owner;
                for container in self.workloads(of_owner) {
                    drop(self.inner.stop_container(&container.id, 1).await);
                }
            }
            Mutant::CreatesAnotherVersion => {
                let env = create.config.env.iter_mut().filter(|entry| entry.starts_with("VERSION="));
                env.for_each(|entry| "VERSION=999".clone_into(entry));
            }
            Mutant::BelievesWhatItAsked | Mutant::EngineDropsLimits => {
                create.limits.memory = 0;
                create.limits.memory_swap = 0;
            }
            _ => {}
        }
    }

    async fn after_create(
        &self,
        create: &ContainerCreate,
        answer: Result<CreatedContainer, EngineError>,
    ) -> Result<CreatedContainer, EngineError> {
        match (self.mutant, &answer) {
            (Mutant::RepeatsWhatItCannotTell, Err(error)) if error.kind.is_outcome_unknown() => {
                self.inner.create_container(create).await
            }
            _ => answer,
        }
    }

    /// Starts two more that are the same.
    async fn start_twins(&self, id: &str) {
        let Some(container) = self.world.peek(id).filter(is_workload) else { return };
        for twin in ["a", "b"] {
            let create = ContainerCreate {
                name: format!("{}-{twin}", container.name),
                config: container.config.clone(),
                limits: container.limits.clone(),
                ..ContainerCreate::default()
            };
            if let Ok(created) = self.inner.create_container(&create).await {
                drop(self.inner.start_container(&created.id).await);
            }
        }
    }

    /// Does more than was asked after a removal.
    async fn after_remove(&self, removed: Option<&ContainerDetail>) {
        match self.mutant {
            Mutant::RemovesStrangers => {
                for id in self.world.all_container_ids() {
                    let is_stranger = |container: &ContainerDetail| container.config.labels.is_empty();
                    if self.world.peek(&id).as_ref().is_some_and(is_stranger) {
                        drop(self.inner.remove_container(&id).await);
                    }
                }
            }
            Mutant::DropsVolumes => {
                for mount in removed.into_iter().flat_map(|container| &container.config.mounts) {
                    if let MountKind::Volume(name) = &mount.kind {
                        drop(self.inner.remove_volume(name).await);
                    }
                }
            }
            _ => {}
        }
    }

    /// One that thinks that an Engine that is away will be away for long.
    async fn give_up<T>(&self, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        let is_away = answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Unreachable);
        if self.mutant == Mutant::GivesUpOnTheEngine && is_away {
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        answer
    }
}

#[async_trait]
impl Engine for BrokenEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let answer = self.inner.info().await;
        self.give_up(answer).await
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        let answer = self.inner.events().await;
        let stream = self.give_up(answer).await?;
        match self.mutant {
            // What is not read stays with the Engine.
            Mutant::ReadsNoEvents => Ok(Box::pin(stream.enumerate().then(|(number, event)| async move {
                if number >= EVENTS_HEARD {
                    std::future::pending::<()>().await;
                }
                event
            }))),
            Mutant::LooksOnlyOnce => Ok(Box::pin(pending())),
            Mutant::BelievesEvents => {
                let inner = Arc::clone(&self.inner);
                Ok(Box::pin(stream.then(move |event| {
                    let inner = Arc::clone(&inner);
                    async move {
                        if let Ok(event) = &event
                            && event.action == "die"
                        {
                            drop(inner.start_container(&event.id).await);
                        }
                        event
                    }
                })))
            }
            _ => Ok(stream),
        }
    }

    async fn list_containers(&self, instance: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let _turn = self.turn().await;
        self.before_list().await;
        let answer = self.inner.list_containers(instance).await;
        let mut list = self.give_up(answer).await?;
        self.after_list(&mut list).await;
        Ok(list)
    }

    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError> {
        let _turn = self.turn().await;
        self.inner.list_networks().await
    }

    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError> {
        let _turn = self.turn().await;
        self.inner.list_volumes().await
    }

    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError> {
        let _turn = self.turn().await;
        let is_limited = |container: ContainerDetail| is_workload(&container) && container.limits.memory > 0;
        if self.mutant == Mutant::WaitsForEver && self.world.peek(id_or_name).is_some_and(is_limited) {
            return std::future::pending().await;
        }
        let mut answer = self.inner.inspect_container(id_or_name).await?;
        if self.mutant == Mutant::SkipsLeftovers {
            let memory = self.memory();
            answer = answer.filter(|container| {
                let is_untouched = container.status.state == ContainerState::Created;
                !is_workload(container) || !is_untouched || memory.made.contains(&container.id)
            });
        }
        if let Some(container) = answer.as_mut().filter(|container| is_workload(container)) {
            if self.mutant == Mutant::BelievesWhatItAsked
                && let Some(limits) = self.memory().asked.get(&container.name)
            {
                container.limits = limits.clone();
            }
            if self.mutant == Mutant::TakesAllForRunning && container.status.state == ContainerState::Exited {
                container.status.state = ContainerState::Running;
            }
        }
        Ok(answer)
    }

    async fn network_members(&self, id: &str) -> Result<Vec<(String, String)>, EngineError> {
        let _turn = self.turn().await;
        self.inner.network_members(id).await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageDetail>, EngineError> {
        let _turn = self.turn().await;
        self.inner.inspect_image(reference).await
    }

    async fn find_port_holder(&self, port: u16) -> Result<Option<String>, EngineError> {
        let _turn = self.turn().await;
        self.inner.find_port_holder(port).await
    }

    async fn tail_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let _turn = self.turn().await;
        self.inner.tail_logs(id, lines).await
    }

    async fn attach_container(&self, id: &str) -> Result<AttachedContainer, EngineError> {
        let _turn = self.turn().await;
        self.inner.attach_container(id).await
    }

    async fn pull_image(&self, reference: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        let mut answer = self.inner.pull_image(reference).await;
        if self.mutant == Mutant::RetriesAtOnce {
            for _ in 0..2_000 {
                if answer.is_ok() {
                    break;
                }
                answer = self.inner.pull_image(reference).await;
            }
        }
        answer
    }

    async fn import_image(&self, reference: &str, tar: Vec<u8>, changes: &[&str]) -> Result<(), EngineError> {
        self.inner.import_image(reference, tar, changes).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.inner.remove_image(reference).await
    }

    async fn create_network(&self, network: &NetworkCreate) -> Result<String, EngineError> {
        let _turn = self.turn().await;
        self.inner.create_network(network).await
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        self.inner.remove_network(id).await
    }

    async fn create_volume(&self, volume: &VolumeCreate) -> Result<VolumeDetail, EngineError> {
        let _turn = self.turn().await;
        self.inner.create_volume(volume).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        self.inner.remove_volume(name).await
    }

    async fn create_container(&self, container: &ContainerCreate) -> Result<CreatedContainer, EngineError> {
        let _turn = self.turn().await;
        self.memory().asked.insert(container.name.clone(), container.limits.clone());
        let mut create = container.clone();
        self.before_create(&mut create).await;
        let answer = self.inner.create_container(&create).await;
        let answer = self.after_create(&create, answer).await;
        if let Ok(created) = &answer {
            self.memory().made.insert(created.id.clone());
        }
        answer
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        let answer = self.inner.start_container(id).await;
        if self.mutant == Mutant::StartsTwins {
            self.start_twins(id).await;
        }
        answer
    }

    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        if self.mutant == Mutant::ActsByName
            && let Some(container) = self.world.peek(id)
        {
            return self.inner.stop_container(&container.name, grace_secs).await;
        }
        self.inner.stop_container(id, grace_secs).await
    }

    async fn unpause_container(&self, id: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        self.inner.unpause_container(id).await
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        self.inner.rename_container(id, name).await
    }

    async fn update_container(&self, id: &str, limits: &Limits) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        if self.mutant == Mutant::LeavesDisarmed {
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        self.inner.update_container(id, limits).await
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        let container = self.world.peek(id);
        if self.mutant == Mutant::NeverRemoves && container.as_ref().is_some_and(is_workload) {
            return Ok(());
        }
        let answer = self.inner.remove_container(id).await;
        self.after_remove(container.as_ref()).await;
        answer
    }

    async fn connect_network(&self, container_id: &str, endpoint: &EndpointCreate) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        self.inner.connect_network(container_id, endpoint).await
    }

    async fn disconnect_network(&self, container_id: &str, network_id: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        self.inner.disconnect_network(container_id, network_id).await
    }
}

/// Whether a container is an object's, and no lease.
fn is_workload(container: &ContainerDetail) -> bool {
    container.config.labels.contains_key("evenkeel.dev/ordinal")
}
