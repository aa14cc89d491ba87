//! What tests do to the simulated Engine: the second actor, the registry, the host, the faults.

use std::collections::BTreeMap;

use planner::observed::{ContainerDetail, Limits, NetworkDetail, VolumeDetail};
use planner::plan::{ContainerCreate, EndpointCreate};

use super::calls::{Call, CallKind, CallRecord};
use super::daemon::DaemonRestart;
use super::faults::{FaultPlan, RequestFault, RequestFaults};
use super::image::{ImageConfig, RegistryImage};
use super::lifecycle::KILLED;
use super::programs::Program;
use super::refusal::{Answer, Refusal};
use super::state::State;
use super::stop::StopProgress;
use super::witness::Witness;
use super::{CallCounts, SimulatedEngine};
use crate::engine::{EngineError, EngineEvent};

/// Somebody else acts on the Engine. No fault, no latency, no record: these are not our calls.
impl SimulatedEngine {
    /// The program of a running container ends with this code, as when the host kills it. Restart policies apply.
    ///
    /// # Errors
    /// When there is no such container, or it does not run; so for all of these.
    pub fn external_kill(&self, id_or_name: &str, code: i64) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| {
            let id = state.find_container(id_or_name)?;
            if !state.container(&id)?.has_endpoints() {
                return Err(Refusal::new(409, format!("Container {id} is not running")));
            }
            state.exit_by_itself(&id, code, false);
            Ok(())
        })
    }

    /// `docker kill`: restart policies do not apply any more.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_docker_kill(&self, id_or_name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| {
            let id = state.find_container(id_or_name)?;
            let container = state.container(&id)?;
            if !container.has_endpoints() {
                let text = format!("Cannot kill container: {id_or_name}: Container {id} is not running");
                return Err(Refusal::new(409, text));
            }
            container.is_disarmed = true;
            let name = container.name.clone();
            state.events.container(&id, &name, "kill", None);
            state.end_run(&id, KILLED, false);
            Ok(())
        })
    }

    /// `docker stop`; the end comes by the clock, at the latest after the grace.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_stop(&self, id_or_name: &str, grace_secs: u32) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.begin_stop(id_or_name, grace_secs).map(|_: StopProgress| ()))
    }

    /// `docker start`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_start(&self, id_or_name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.start_container(id_or_name))
    }

    /// `docker rm -f`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_remove(&self, id_or_name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| {
            let id = state.find_container(id_or_name)?;
            let container = state.container(&id)?;
            container.is_disarmed = true;
            if container.has_endpoints() {
                let name = container.name.clone();
                state.events.container(&id, &name, "kill", None);
                state.end_run(&id, KILLED, false);
            }
            state.forget_container(&id);
            Ok(())
        })
    }

    /// `docker pause`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_pause(&self, id_or_name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.pause_container(id_or_name))
    }

    /// `docker unpause`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_unpause(&self, id_or_name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.unpause_container(id_or_name))
    }

    /// `docker rename`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_rename(&self, id_or_name: &str, name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.rename_container(id_or_name, name))
    }

    /// `docker update`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_update(&self, id_or_name: &str, limits: &Limits) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.update_container(id_or_name, limits))
    }

    /// `docker network connect`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_connect(&self, id_or_name: &str, endpoint: &EndpointCreate) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.connect_network(id_or_name, endpoint))
    }

    /// `docker network disconnect`.
    ///
    /// # Errors
    /// See [`Self::external_kill`].
    pub fn external_disconnect(&self, id_or_name: &str, network: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.disconnect_network(id_or_name, network))
    }

    /// The daemon is restarted. That nobody can reach it meanwhile is for the caller to bring about.
    pub fn external_restart_daemon(&self, restart: DaemonRestart) {
        self.shared.act_outside(|state| state.restart_daemon(restart));
    }

    /// `docker network rm`, by id or name.
    ///
    /// # Errors
    /// When it is not there or has endpoints.
    pub fn external_remove_network(&self, id_or_name: &str) -> Result<(), EngineError> {
        self.outside(id_or_name, |state| state.remove_network(id_or_name))
    }

    /// `docker volume rm`.
    ///
    /// # Errors
    /// When it is not there or in use.
    pub fn external_remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.outside(name, |state| state.remove_volume(name))
    }

    /// `docker run -d`: a stranger's container, created and started. Gives its id. The image is there if it must be.
    ///
    /// # Errors
    /// When it cannot be created or started.
    pub fn external_run(&self, create: ContainerCreate) -> Result<String, EngineError> {
        let name = create.name.clone();
        self.outside(&name, |state| {
            if state.find_image(&create.config.image).is_none() {
                state.pull_image(&create.config.image)?;
            }
            let created = state.create_container(create)?;
            state.start_container(&created.id)?;
            Ok(created.id)
        })
    }

    /// What a container is, without a call.
    pub fn peek(&self, id_or_name: &str) -> Option<ContainerDetail> {
        self.shared.with_state(|state| {
            let id = state.find_container(id_or_name).ok()?;
            state.containers.get(&id).map(|container| container.detail(state))
        })
    }

    /// Whether no restart policy applies to a container, since it was stopped or killed by hand.
    pub fn is_disarmed(&self, id: &str) -> bool {
        self.shared.with_state(|state| state.containers.get(id).is_some_and(|container| container.is_disarmed))
    }

    /// What the networks are, without a call.
    pub fn peek_networks(&self) -> Vec<NetworkDetail> {
        self.shared.with_state(|state| state.list_networks())
    }

    /// What the volumes are, without a call.
    pub fn peek_volumes(&self) -> Vec<VolumeDetail> {
        self.shared.with_state(|state| state.list_volumes())
    }

    /// Whether there is a volume of a name.
    pub fn has_volume(&self, name: &str) -> bool {
        self.shared.with_state(|state| state.volumes.contains_key(name))
    }

    /// The full ids of all containers, whoever owns them.
    pub fn all_container_ids(&self) -> Vec<String> {
        self.shared.with_state(|state| state.containers.keys().map(ToString::to_string).collect())
    }

    fn outside<T>(&self, subject: &str, act: impl FnOnce(&mut State) -> Answer<T>) -> Result<T, EngineError> {
        let answer = self.shared.act_outside(act);
        answer.map_err(|refusal| refusal.into_error(CallKind::UpdateContainer, subject))
    }
}

/// Images and the host.
impl SimulatedEngine {
    /// What the registry answers for a reference from now on; local images stay as they are until they are pulled again.
    pub fn set_registry_image(&self, reference: &str, image: RegistryImage) {
        self.shared.with_state(|state| state.set_registry_image(reference, image));
    }

    /// The registry has an image of which only the program matters.
    pub fn set_program(&self, reference: &str, program: Program) {
        self.set_registry_image(reference, RegistryImage::Present(ImageConfig::plain(), program));
    }

    /// Puts an image into the local store, without a pull. Gives its id.
    pub fn store_image(&self, reference: &str, config: ImageConfig, program: Program) -> String {
        self.shared.with_state(|state| state.store_image(reference, config, program).to_string())
    }

    /// Removes an image from the local store; false when it was not there.
    pub fn drop_image(&self, reference: &str) -> bool {
        self.shared.with_state(|state| state.drop_image(reference))
    }

    /// A process outside the Engine listens on a port of the host.
    pub fn host_port_taken(&self, port: u16) {
        self.shared.with_state(|state| state.ports.set_outside(port, true));
    }

    /// It does not any more.
    pub fn host_port_freed(&self, port: u16) {
        self.shared.with_state(|state| state.ports.set_outside(port, false));
    }

    /// A path of the host does not exist; all others do.
    pub fn host_path_missing(&self, path: &str) {
        self.shared.with_state(|state| state.missing_paths.insert(path.to_owned()));
    }
}

/// The record and the faults.
impl SimulatedEngine {
    /// The last calls of the trait, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.shared.log().records()
    }

    /// How many calls there were, by kind.
    pub fn call_counts(&self) -> CallCounts {
        CallCounts(self.shared.log().counts())
    }

    /// Begins the record anew.
    pub fn forget_calls(&self) {
        self.shared.log().forget();
    }

    /// The last 256 events, oldest first, and how many a subscriber that did not read has lost.
    pub fn recent_events(&self) -> (Vec<EngineEvent>, u64) {
        self.shared.with_state(|state| (state.events.recent(), state.events.lost()))
    }

    /// Consults this plan from now on.
    pub fn set_faults(&self, faults: impl FaultPlan + 'static) {
        self.shared.set_faults(Some(Box::new(faults)));
    }

    /// Consults this closure before each call from now on.
    pub fn set_request_faults(&self, faults: impl FnMut(&Call) -> RequestFault + Send + 'static) {
        self.set_faults(RequestFaults(faults));
    }

    /// Nothing goes wrong any more. What hangs goes on hanging until it is released.
    pub fn clear_faults(&self) {
        self.shared.set_faults(None);
    }

    /// Every call on a container, but the lists, waits from now on.
    pub fn hang(&self, id_or_name: &str) {
        self.shared.hang(id_or_name);
    }

    /// The calls that wait take effect in their order, those whose callers have gone included.
    pub fn release(&self, id_or_name: &str) {
        self.shared.release(id_or_name);
    }

    /// Tells this witness of everything from now on.
    pub fn set_witness(&self, witness: impl Witness + 'static) {
        self.shared.set_witness(Some(Box::new(witness)));
    }

    /// Every event stream ends, as when the connection breaks.
    pub fn cut_event_streams(&self) {
        self.shared.with_state(|state| state.events.cut());
    }
}

impl CallCounts {
    /// How many calls of one kind.
    pub fn of(&self, kind: CallKind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// How many calls that change something.
    pub fn mutating(&self) -> u64 {
        self.0.iter().filter(|(kind, _)| kind.is_mutating()).map(|(_, count)| count).sum()
    }

    /// All of them, by kind.
    pub const fn by_kind(&self) -> &BTreeMap<CallKind, u64> {
        &self.0
    }
}
