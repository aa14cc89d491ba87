//! The Engine as one process has it: its calls can be the process's last, and what it observes can be stale.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use controller::engine::docker::READ_DEADLINE;
use controller::engine::simulated::{CallKind, SimulatedEngine};
use controller::engine::{
    AttachedContainer, CreatedContainer, Engine, EngineError, EngineEvent, EngineInfo, ErrorKind,
};
use controller::store::memory::MemoryKv;
use futures_util::stream::BoxStream;
use planner::observed::{ContainerDetail, ContainerSummary, ImageDetail, Limits, NetworkDetail, VolumeDetail};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};

use super::conduct::{Conduct, slot_of_create};
use super::disk::durable_intents;
use super::faults::Faults;
use super::life::Life;
use super::oracle::Oracle;
use super::stream::with_faults;
use super::trace::Trace;

/// The Engine as one process has it.
#[derive(Debug)]
pub(crate) struct ProcessEngine {
    pub(crate) inner: SimulatedEngine,
    pub(crate) life: Life,
    pub(crate) faults: Faults,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    /// What the process's store has on the disk.
    pub(crate) disk: MemoryKv,
    pub(crate) last_answers: LastAnswers,
    pub(crate) pid: u32,
    pub(crate) instance: &'static str,
    /// What the process has seen.
    pub(crate) conduct: Conduct,
    /// The id that the engine says it has.
    pub(crate) engine_id: String,
}

/// The last answer to each observation.
#[derive(Debug, Default)]
pub(crate) struct LastAnswers(Mutex<BTreeMap<(CallKind, String), Box<dyn Any + Send>>>);

impl ProcessEngine {
    /// Observes something.
    async fn read<T, F>(
        &self,
        kind: CallKind,
        subject: &str,
        ask: impl FnOnce(SimulatedEngine) -> F,
    ) -> Result<T, EngineError>
    where
        T: Clone + Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        self.life.pass_point().await;
        self.trace.count("engine: observation");
        let place = (kind, subject.to_owned());
        if self.faults.is_stale(kind) {
            let answers = self.last_answers.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(stale) = answers.get(&place).and_then(|answer| answer.downcast_ref::<T>()) {
                self.trace.say(&format!("stale {kind:?} {subject}"));
                return Ok(stale.clone());
            }
        }
        // As the adapter of a real Engine has it.
        let answered = tokio::time::timeout(READ_DEADLINE, ask(self.inner.clone())).await;
        let answer = answered.unwrap_or_else(|_| Err(no_answer(kind, subject)));
        self.life.pass_point().await;
        if let Ok(answer) = &answer {
            let mut answers = self.last_answers.0.lock().unwrap_or_else(PoisonError::into_inner);
            answers.insert(place, Box::new(answer.clone()));
        }
        answer
    }

    /// Changes something. S9: only after an intent has reached the disk. S6: only while no other process leads.
    async fn change<T, F>(
        &self,
        verb: &'static str,
        subject: &str,
        act: impl FnOnce(SimulatedEngine) -> F,
    ) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        let was_frozen = self.life.wait_while_frozen().await;
        self.life.pass_point().await;
        if !verb.is_empty() && !self.is_lease(subject) {
            self.oracle.check_leader(self.instance, self.pid, was_frozen, &format!("`{}` on `{subject}`", verb.trim()));
            let is_said = |intent: &String| intent.contains(verb);
            if !durable_intents(&self.disk).iter().any(is_said) {
                self.oracle
                    .accuse(format!("S9: {verb}on `{subject}` leaves the process without an intent on the disk"));
            }
        }
        let call = act(self.inner.clone());
        // A call that was sent takes effect whatever becomes of who sent it.
        let sent = tokio::spawn(call);
        if !self.life.pass_point_now() {
            std::future::pending::<()>().await;
        }
        let Ok(answer) = sent.await else { return std::future::pending().await };
        self.life.pass_point().await;
        answer
    }

    /// Changes a container. S10: only one that this process has seen.
    async fn change_container<F>(
        &self,
        verb: &'static str,
        id: &str,
        act: impl FnOnce(SimulatedEngine) -> F,
    ) -> Result<(), EngineError>
    where
        F: Future<Output = Result<(), EngineError>> + Send + 'static,
    {
        if !self.life.is_dead() && !self.conduct.knows_container(id) && self.inner.peek(id).is_some() {
            self.oracle.accuse(format!("S10: {verb}on `{id}`, which this process has never seen"));
        }
        self.change(verb, id, act).await
    }

    /// S20: what may have been created is looked for before it is created again.
    fn check_repetition(&self, what: &str, place: &str) {
        // The create of a lease is how it is looked for.
        let is_lease = place.starts_with("evenkeel-lease");
        if !is_lease && !self.life.is_dead() && self.conduct.is_untold(what, place) {
            self.oracle.accuse(format!("S20: a {what} for {place} is created again before it was looked for"));
        }
    }

    fn is_lease(&self, subject: &str) -> bool {
        subject.starts_with("evenkeel-lease")
            || self.inner.peek(subject).is_some_and(|container| container.name.starts_with("evenkeel-lease"))
    }
}

#[async_trait]
impl Engine for ProcessEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.life.pass_point().await;
        let info = self.inner.info().await?;
        self.life.pass_point().await;
        Ok(EngineInfo { id: self.engine_id.clone(), ..info })
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        self.life.pass_point().await;
        let stream = self.inner.events().await?;
        Ok(with_faults(stream, self.faults.clone(), self.life.clone()))
    }

    async fn list_containers(&self, instance: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let instance = instance.to_owned();
        let begun = self.conduct.begin();
        let ask = |engine: SimulatedEngine| async move { engine.list_containers(&instance).await };
        let answer = self.read(CallKind::ListContainers, "", ask).await;
        if let Ok(list) = &answer {
            self.conduct.saw_containers(begun, list.iter().map(|summary| summary.id.as_str()));
        }
        answer
    }

    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError> {
        let begun = self.conduct.begin();
        let answer = self.read(CallKind::ListNetworks, "", |engine| async move { engine.list_networks().await }).await;
        if answer.is_ok() {
            self.conduct.saw_networks(begun);
        }
        answer
    }

    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError> {
        self.read(CallKind::ListVolumes, "", |engine| async move { engine.list_volumes().await }).await
    }

    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError> {
        let id = id_or_name.to_owned();
        let begun = self.conduct.begin();
        let ask = |engine: SimulatedEngine| async move { engine.inspect_container(&id).await };
        let answer = self.read(CallKind::InspectContainer, id_or_name, ask).await;
        if let Ok(detail) = &answer {
            self.conduct.saw_container(begun, id_or_name, detail.as_ref().map(|detail| detail.id.as_str()));
        }
        answer
    }

    async fn network_members(&self, id: &str) -> Result<Vec<(String, String)>, EngineError> {
        let network = id.to_owned();
        self.read(CallKind::NetworkMembers, id, |engine| async move { engine.network_members(&network).await }).await
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageDetail>, EngineError> {
        let image = reference.to_owned();
        self.read(CallKind::InspectImage, reference, |engine| async move { engine.inspect_image(&image).await }).await
    }

    async fn find_port_holder(&self, port: u16) -> Result<Option<String>, EngineError> {
        let ask = |engine: SimulatedEngine| async move { engine.find_port_holder(port).await };
        self.read(CallKind::FindPortHolder, &port.to_string(), ask).await
    }

    async fn tail_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let subject = id.to_owned();
        self.read(CallKind::TailLogs, id, |engine| async move { engine.tail_logs(&subject, lines).await }).await
    }

    async fn attach_container(&self, id: &str) -> Result<AttachedContainer, EngineError> {
        self.life.pass_point().await;
        let attached = self.inner.attach_container(id).await;
        self.life.pass_point().await;
        attached
    }

    async fn pull_image(&self, reference: &str) -> Result<(), EngineError> {
        let image = reference.to_owned();
        self.change(" Pull:", reference, |engine| async move { engine.pull_image(&image).await }).await
    }

    async fn import_image(&self, reference: &str, tar: Vec<u8>, changes: &[&str]) -> Result<(), EngineError> {
        let image = reference.to_owned();
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        let act = |engine: SimulatedEngine| async move {
            let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
            engine.import_image(&image, tar, &changes).await
        };
        self.change("", reference, act).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let image = reference.to_owned();
        self.change("", reference, |engine| async move { engine.remove_image(&image).await }).await
    }

    async fn create_network(&self, network: &NetworkCreate) -> Result<String, EngineError> {
        let create = network.clone();
        self.check_repetition("network", &network.name);
        let act = |engine: SimulatedEngine| async move { engine.create_network(&create).await };
        let answer = self.change(" Create:", &network.name, act).await;
        if answer.as_ref().is_err_and(|error| error.kind.is_outcome_unknown()) {
            self.conduct.cannot_tell("network", &network.name, &network.name);
        }
        answer
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let network = id.to_owned();
        self.change(" Remove:", id, |engine| async move { engine.remove_network(&network).await }).await
    }

    async fn create_volume(&self, volume: &VolumeCreate) -> Result<VolumeDetail, EngineError> {
        let create = volume.clone();
        self.change(" Create:", &volume.name, |engine| async move { engine.create_volume(&create).await }).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let volume = name.to_owned();
        self.change(" Remove:", name, |engine| async move { engine.remove_volume(&volume).await }).await
    }

    async fn create_container(&self, container: &ContainerCreate) -> Result<CreatedContainer, EngineError> {
        let create = container.clone();
        let slot = slot_of_create(container);
        self.check_repetition("container", &slot);
        let act = |engine: SimulatedEngine| async move { engine.create_container(&create).await };
        let answer = self.change(" Create:", &container.name, act).await;
        match &answer {
            Ok(created) => self.conduct.made_container(&created.id),
            Err(error) if error.kind.is_outcome_unknown() => {
                self.conduct.cannot_tell("container", &slot, &container.name);
            }
            Err(_) => {}
        }
        answer
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.change_container(" Start:", id, |engine| async move { engine.start_container(&subject).await }).await
    }

    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.change_container(
            " Stop ",
            id,
            move |engine| async move { engine.stop_container(&subject, grace_secs).await },
        )
        .await
    }

    async fn unpause_container(&self, id: &str) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.change_container(" Unpause:", id, |engine| async move { engine.unpause_container(&subject).await }).await
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let (subject, name) = (id.to_owned(), name.to_owned());
        self.change_container(" Rename ", id, |engine| async move { engine.rename_container(&subject, &name).await })
            .await
    }

    async fn update_container(&self, id: &str, limits: &Limits) -> Result<(), EngineError> {
        let (subject, limits) = (id.to_owned(), limits.clone());
        self.change_container(" Update:", id, |engine| async move { engine.update_container(&subject, &limits).await })
            .await
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let subject = id.to_owned();
        self.change_container(" Remove:", id, |engine| async move { engine.remove_container(&subject).await }).await
    }

    async fn connect_network(&self, container_id: &str, endpoint: &EndpointCreate) -> Result<(), EngineError> {
        let (subject, endpoint) = (container_id.to_owned(), endpoint.clone());
        self.change_container(" Connect ", container_id, |engine| async move {
            engine.connect_network(&subject, &endpoint).await
        })
        .await
    }

    async fn disconnect_network(&self, container_id: &str, network_id: &str) -> Result<(), EngineError> {
        let (subject, network) = (container_id.to_owned(), network_id.to_owned());
        self.change_container(" Disconnect ", container_id, |engine| async move {
            engine.disconnect_network(&subject, &network).await
        })
        .await
    }
}

fn no_answer(kind: CallKind, subject: &str) -> EngineError {
    EngineError {
        operation: format!("{kind:?} {subject}"),
        status: None,
        text: "no answer in time".to_owned(),
        kind: ErrorKind::Unknown,
    }
}

/// The handle behind the trait.
pub(crate) fn shared(engine: ProcessEngine) -> Arc<dyn Engine> {
    Arc::new(engine)
}
