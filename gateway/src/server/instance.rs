//! One instance of a server: how it is, and what is under way on it.

mod keeper;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::departed::Departed;
use super::herald::Herald;
use crate::config::{Endpoint, Instance};
use crate::connection::{Connection, Listing};
use crate::hub::{Attach, Change};
use crate::lease::{Lease, LeaseBook};
use crate::secrets::KnownSecrets;
use crate::subscription::{Outcome, Subscriptions, Told};
use crate::upstream::client::Clients;
use crate::upstream::exchange::{Answer, UpstreamError};
use crate::upstream::stdio::UsedBy;
use keeper::Keeper;

/// What an instance needs of the gateway.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The server's name, for logs.
    pub server: Arc<str>,
    /// Attaches to standard streams.
    pub attach: Arc<dyn Attach>,
    /// Speaks HTTP.
    pub clients: Arc<Clients>,
    /// Told when something of it has changed.
    pub dirty: Arc<Notify>,
    /// Told of resources that were updated.
    pub changes: broadcast::Sender<Change>,
    /// The largest answer, in bytes.
    pub limit: usize,
    /// Which instances somebody has to himself.
    pub leases: Arc<LeaseBook>,
    /// Who wants to hear of which resources.
    pub(crate) subscriptions: Arc<Subscriptions>,
    /// What it may tell nobody.
    pub secrets: KnownSecrets,
    /// Instances that are gone from what is wanted, while calls are under way on them.
    pub departed: Arc<Departed>,
}

/// How an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceHealth {
    /// It has not answered yet.
    Unknown,
    /// It has answered, and its lists are known.
    Ready,
    /// It does not answer, for this reason.
    Failed(String),
}

#[derive(Debug)]
enum State {
    Starting,
    Ready(Arc<Connection>, Arc<Listing>),
    /// It answered a moment ago, and is about to be reached again.
    Lost(String),
    Failed(String),
}

/// A handle of one instance; its task ends with it.
#[derive(Debug)]
pub struct InstanceHandle {
    /// Its id.
    pub id: String,
    endpoint: Endpoint,
    run_ms: Option<i64>,
    pub(super) traffic: Arc<Traffic>,
    /// Told when it is lost, and when an old one, or one that is leaving, has nothing under way any more.
    dirty: Arc<Notify>,
    shared: Arc<Shared>,
    /// Which resources it was asked to tell of.
    told: watch::Sender<Told>,
    task: AbortHandle,
}

/// What of an instance goes on when it is reached another way, or was begun anew: what was sent the old way is still under way on it.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    used_by: UsedBy,
    is_current: AtomicBool,
    is_leaving: AtomicBool,
    in_flight: AtomicUsize,
}

impl Traffic {
    fn set(&self, is_current: bool, is_leaving: bool) {
        self.is_current.store(is_current, Ordering::Relaxed);
        self.is_leaving.store(is_leaving, Ordering::Relaxed);
    }

    /// Nobody has it any more but those whose calls are under way on it.
    pub(super) fn depart(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// How many calls are under way on it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    /// When it last said what it lists.
    listed: Mutex<Option<Instant>>,
    /// It is to be reached anew.
    kick: Notify,
}

impl Drop for InstanceHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl InstanceHandle {
    /// Begins to reach an instance.
    pub(super) fn begin(instance: &Instance, surroundings: Surroundings, traffic: Arc<Traffic>) -> Arc<Self> {
        traffic.set(instance.is_current, instance.is_leaving);
        let shared =
            Arc::new(Shared { state: RwLock::new(State::Starting), listed: Mutex::default(), kick: Notify::new() });
        let dirty = Arc::clone(&surroundings.dirty);
        let told = watch::Sender::default();
        let herald = Herald {
            instance: instance.id.clone(),
            subscriptions: Arc::clone(&surroundings.subscriptions),
            told: told.clone(),
            changes: surroundings.changes.clone(),
        };
        let keeper = Keeper {
            herald,
            id: instance.id.clone(),
            endpoint: instance.endpoint.clone(),
            surroundings,
            shared: Arc::clone(&shared),
            used_by: traffic.used_by.clone(),
        };
        let task = tokio::spawn(async move { keeper.run().await }).abort_handle();
        Arc::new(Self {
            id: instance.id.clone(),
            endpoint: instance.endpoint.clone(),
            run_ms: instance.run_ms,
            traffic,
            dirty,
            shared,
            told,
            task,
        })
    }

    /// Whether it is of the same run, and reached the same way.
    pub(super) fn is_of(&self, instance: &Instance) -> bool {
        self.endpoint == instance.endpoint && self.run_ms == instance.run_ms
    }

    /// Takes what has become of it.
    pub(super) fn update(&self, instance: &Instance) {
        self.traffic.set(instance.is_current, instance.is_leaving);
    }

    /// Whether it is to be given nothing new to do.
    pub(crate) fn is_leaving(&self) -> bool {
        self.traffic.is_leaving.load(Ordering::Relaxed)
    }

    pub(super) fn is_current(&self) -> bool {
        self.traffic.is_current.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.traffic.in_flight()
    }

    pub(crate) fn connection(&self) -> Option<Arc<Connection>> {
        match &*self.shared.read() {
            State::Ready(connection, _) => Some(Arc::clone(connection)),
            State::Starting | State::Lost(_) | State::Failed(_) => None,
        }
    }

    pub(super) fn listing(&self) -> Option<Arc<Listing>> {
        match &*self.shared.read() {
            State::Ready(_, listing) => Some(Arc::clone(listing)),
            State::Starting | State::Lost(_) | State::Failed(_) => None,
        }
    }

    pub(super) fn listed_ago(&self) -> Option<Duration> {
        self.shared.listed.lock().unwrap_or_else(PoisonError::into_inner).map(|listed| listed.elapsed())
    }

    pub(super) fn health(&self) -> InstanceHealth {
        match &*self.shared.read() {
            State::Starting => InstanceHealth::Unknown,
            State::Ready(..) => InstanceHealth::Ready,
            State::Lost(why) | State::Failed(why) => InstanceHealth::Failed(why.clone()),
        }
    }

    /// Whether it does not answer, and nothing is known that would keep it from doing so in a moment.
    pub(super) fn is_on_its_way(&self) -> bool {
        match &*self.shared.read() {
            State::Starting | State::Lost(_) => true,
            State::Ready(..) | State::Failed(_) => false,
        }
    }
}

/// An instance that a call is under way on.
#[derive(Debug)]
pub struct InFlight {
    handle: Arc<InstanceHandle>,
    /// The way to it.
    pub connection: Arc<Connection>,
    /// Where it is nobody else's.
    lease: Option<Arc<Lease>>,
}

impl InFlight {
    pub(super) fn new(handle: Arc<InstanceHandle>, connection: Arc<Connection>) -> Self {
        handle.traffic.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { handle, connection, lease: None }
    }

    pub(super) fn leased(lease: Arc<Lease>) -> Self {
        lease.touch();
        let mut in_flight = Self::new(Arc::clone(&lease.handle), Arc::clone(&lease.connection));
        in_flight.lease = Some(lease);
        in_flight
    }

    /// Whether it is nobody else's.
    pub fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// The instance's id.
    pub fn id(&self) -> &str {
        &self.handle.id
    }

    /// The instance, for as long as it is reached the same way.
    pub fn handle(&self) -> &Arc<InstanceHandle> {
        &self.handle
    }

    /// Has the instance reached anew, since it has forgotten the gateway's session.
    pub fn kick(&self) {
        self.handle.shared.kick.notify_one();
    }

    /// What the server refused of these is asked for anew, as soon as somebody else wants it: the reason may be gone.
    pub(crate) fn ask_anew(&self, uris: &BTreeSet<String>) {
        self.handle.told.send_modify(|told| told.forget(uris));
    }

    /// Waits until it is known what comes of a subscription of the gateway's to a resource.
    ///
    /// # Errors
    /// The error object of a server that does not take it, or why there is no answer.
    pub async fn until_taken(&self, uri: &str) -> Result<Answer, UpstreamError> {
        let mut told = self.handle.told.subscribe();
        let settled = told.wait_for(|told| !told.is_open() || told.outcome(uri).is_some()).await;
        match settled.ok().and_then(|told| told.outcome(uri)) {
            Some(Outcome::Refused(error)) => Ok(Answer::Error(error)),
            Some(Outcome::Taken | Outcome::Asked) => Ok(Answer::Result("{}".to_owned())),
            None => Err(UpstreamError::Gone("it ended".to_owned())),
        }
    }

    /// The instance is gone, for this reason: it does not count as ready until it has answered again.
    pub(super) fn lose(&self, why: &str) {
        let shared = &self.handle.shared;
        {
            let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
            // It may have been lost already, or reached anew.
            let own = self.lease.as_ref().map_or(&self.connection, |lease| &lease.base);
            if !matches!(&*state, State::Ready(connection, _) if Arc::ptr_eq(connection, own)) {
                return;
            }
            *state = State::Lost(why.to_owned());
        }
        shared.kick.notify_one();
        self.handle.dirty.notify_one();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(lease) = &self.lease {
            lease.touch();
        }
        let before = self.handle.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
        if before == 1 && (!self.handle.is_current() || self.handle.is_leaving()) {
            self.handle.dirty.notify_one();
        }
    }
}

impl Shared {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it did when it was reached last.
    fn has_answered(&self) -> bool {
        matches!(&*self.read(), State::Ready(..) | State::Lost(_))
    }

    fn note_listed(&self) {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn set(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
