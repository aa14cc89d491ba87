//! One instance of a server: reached, asked, watched, and reached again when it goes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::departed::Departed;
use super::hearing::{listen, merge};
use super::herald::Herald;
use crate::config::{Endpoint, Instance};
use crate::connection::{Connection, Listing, ProbeError};
use crate::era::Era;
use crate::hub::{Attach, Change};
use crate::lease::{Lease, LeaseBook};
use crate::secrets::KnownSecrets;
use crate::subscription::{Outcome, Subscriptions, Told};
use crate::upstream::client::Clients;
use crate::upstream::exchange::{Answer, UpstreamError};
use crate::upstream::http::HttpLink;
use crate::upstream::link::Link;
use crate::upstream::stdio::{ServerEvent, StdioLink, UsedBy};

/// The first and the longest pause before an instance that failed is reached again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// How long an instance must have served for its failures to be forgotten.
const QUIET_TIME: Duration = Duration::from_secs(20);
/// How often it is asked whether it is still there.
const PING_TIME: Duration = Duration::from_secs(15);
/// How many pings in a row may fail.
const PINGS_LOST: u32 = 2;
/// How often its lists are asked for without any news of them.
const RELIST_TIME: Duration = Duration::from_mins(5);
/// How long further news are waited for before lists are asked for.
const GATHER_TIME: Duration = Duration::from_millis(20);

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
    /// Told when it is lost, and when an old one has nothing under way any more.
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

/// Keeps one instance reached.
struct Keeper {
    id: String,
    endpoint: Endpoint,
    surroundings: Surroundings,
    shared: Arc<Shared>,
    used_by: UsedBy,
    herald: Herald,
}

impl Keeper {
    async fn run(self) {
        let (first, longest) = PAUSES;
        let mut pause = first;
        loop {
            let begun = Instant::now();
            let (why, has_answered) = match self.reach().await {
                Ok((connection, events)) => (self.follow(connection, events).await, self.shared.has_answered()),
                Err(why) => (why, false),
            };
            self.herald.close();
            // Why may be in its own words.
            let why = self.surroundings.secrets.now().hide(why).into_owned();
            tracing::debug!(server = %self.surroundings.server, instance = %self.id, why = %why, "an instance is not reached");
            if begun.elapsed() > QUIET_TIME {
                pause = first;
            }
            // One that is lost again and again is one that does not work.
            self.publish(if has_answered && pause == first { State::Lost(why) } else { State::Failed(why) });
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    fn publish(&self, state: State) {
        self.shared.set(state);
        self.surroundings.dirty.notify_one();
    }

    async fn reach(&self) -> Result<(Arc<Connection>, mpsc::Receiver<ServerEvent>), String> {
        let surroundings = &self.surroundings;
        let (link, events) = match &self.endpoint {
            Endpoint::Stdio => {
                let attached = surroundings.attach.attach(&self.id).await;
                let attached = attached.map_err(|error| format!("cannot attach to it: {error}"))?;
                let (link, events) = StdioLink::open(&surroundings.server, attached, self.used_by.clone());
                (Link::Stdio(link), Some(events))
            }
            Endpoint::Http { address, path, host, headers } => {
                let client = surroundings.clients.plain();
                let link = HttpLink::new(client, *address, path, host, headers, surroundings.limit);
                (Link::Http(link.map_err(|error| error.to_string())?), None)
            }
            Endpoint::Https { url, headers } => {
                let link = HttpLink::secure(&surroundings.clients, url, headers, surroundings.limit);
                (Link::Http(link.map_err(|error| error.to_string())?), None)
            }
        };
        let connection = Arc::new(Connection::open(link).await.map_err(|error| chain(&error))?);
        let events = match events {
            Some(events) if connection.era == Era::Legacy => events,
            Some(events) => merge(events, listen(Arc::clone(&connection)).await),
            None => listen(Arc::clone(&connection)).await,
        };
        Ok((connection, events))
    }

    /// What it lists, without what it may tell nobody: this is kept, and shown to all.
    async fn list(&self, connection: &Connection) -> Result<Listing, ProbeError> {
        let listing = connection.list().await?;
        Ok(listing.without(&self.surroundings.secrets.now()))
    }

    /// Watches over an instance until it is gone, and says why.
    async fn follow(&self, connection: Arc<Connection>, events: mpsc::Receiver<ServerEvent>) -> String {
        let listing = match self.list(&connection).await {
            Ok(listing) => Arc::new(listing),
            Err(error) => return chain(&error),
        };
        self.shared.note_listed();
        let asking = self.herald.follow(Arc::clone(&connection));
        self.publish(State::Ready(Arc::clone(&connection), Arc::clone(&listing)));
        tokio::select! {
            // Cancelled on purpose: what the instance is asked to tell of ends with it. The order is fixed so that a run can be repeated.
            biased;
            why = self.watch(connection, events, listing) => why,
            never = asking => match never {},
        }
    }

    async fn watch(
        &self,
        connection: Arc<Connection>,
        mut events: mpsc::Receiver<ServerEvent>,
        mut known: Arc<Listing>,
    ) -> String {
        let mut has_events = true;
        let mut listed = Instant::now();
        let mut lost = 0;
        loop {
            let mut is_news = false;
            tokio::select! {
                // Cancel-safe: a notify that keeps its permit, a receiver, and a sleep. The order is fixed so that a run can be
                // repeated; one that talks without an end does not keep itself from being reached anew.
                biased;
                () = self.shared.kick.notified() => return match &*self.shared.read() {
                    State::Lost(why) | State::Failed(why) => why.clone(),
                    State::Starting | State::Ready(..) => "it has forgotten the session".to_owned(),
                },
                event = events.recv(), if has_events => match event {
                    Some(ServerEvent::Closed(why)) => return why,
                    Some(ServerEvent::ListChanged) => is_news = true,
                    Some(ServerEvent::ResourceUpdated(uri)) => self.herald.tell(&uri),
                    Some(ServerEvent::Missed) => {
                        self.herald.tell_all();
                        is_news = true;
                    }
                    None => has_events = false,
                },
                () = sleep(PING_TIME) => match connection.ping().await {
                    Ok(()) => lost = 0,
                    Err(error) => {
                        lost += 1;
                        if lost >= PINGS_LOST {
                            return chain(&error);
                        }
                    }
                },
            }
            if is_news {
                // Several changes at once are one.
                let until = Instant::now() + GATHER_TIME;
                while let Ok(Some(more)) = timeout_at(until, events.recv()).await {
                    match more {
                        ServerEvent::Closed(why) => return why,
                        ServerEvent::ResourceUpdated(uri) => self.herald.tell(&uri),
                        ServerEvent::Missed => self.herald.tell_all(),
                        ServerEvent::ListChanged => {}
                    }
                }
            }
            if let Link::Stdio(link) = &connection.link
                && link.take_missed()
            {
                self.herald.tell_all();
            }
            if is_news || listed.elapsed() >= RELIST_TIME {
                listed = Instant::now();
                match self.list(&connection).await {
                    Ok(listing) if listing == *known => self.shared.note_listed(),
                    Ok(listing) => {
                        self.shared.note_listed();
                        known = Arc::new(listing);
                        self.publish(State::Ready(Arc::clone(&connection), Arc::clone(&known)));
                    }
                    Err(error) => return chain(&error),
                }
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
