//! One server behind the gateway: its instances, what it lists, and which instance a call goes to.

mod demand;
pub mod departed;
mod hearing;
mod herald;
pub mod instance;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::config::{Isolation, PinPolicy, ServerConfig};
use crate::connection::Listing;
use crate::metrics::ServerMetrics;
use crate::subscription::Subscriptions;
use crate::whole_file::{Durability, write_whole};
use demand::Users;
pub use demand::{Demand, NoInstance};
use instance::{InFlight, InstanceHandle, InstanceHealth, Surroundings};

/// For how long the place of an instance that served is kept from one that is not approved: so that whoever can have it end, as by a call that it
/// does not survive, cannot have the other take over.
const HOLD_TIME: Duration = Duration::from_mins(1);

/// One server.
#[derive(Debug)]
pub struct Server {
    /// Its name.
    pub name: Arc<str>,
    /// What is counted of it.
    pub metrics: Arc<ServerMetrics>,
    config: RwLock<Arc<ServerConfig>>,
    instances: Mutex<BTreeMap<String, Arc<InstanceHandle>>>,
    /// What it lists, or did when it last ran.
    listing: RwLock<Option<Arc<Listing>>>,
    /// By id, what current instances listed when they were found good to take over.
    passed: Mutex<BTreeMap<String, Arc<Listing>>>,
    /// How many calls may be under way.
    permits: RwLock<Arc<Semaphore>>,
    surroundings: Surroundings,
    users: Users,
    /// Where its lists are kept over a restart of the gateway.
    file: Option<PathBuf>,
}

/// An instance that serves, and those that are to take over.
#[derive(Debug)]
pub struct Succession {
    /// What the one that serves lists.
    pub serving: Arc<Listing>,
    /// What each of those that are current lists, by its id.
    pub current: Vec<(String, Arc<Listing>)>,
}

impl Server {
    /// A server whose instances are none yet. Its lists are those that the file remembers.
    pub fn new(config: Arc<ServerConfig>, surroundings: Surroundings, file: Option<PathBuf>) -> Self {
        let remembered = file.as_ref().and_then(|file| std::fs::read(file).ok());
        let listing: Option<Listing> = remembered.and_then(|text| serde_json::from_slice(&text).ok());
        // What it may tell nobody may have been no secret when it was remembered.
        let listing = listing.map(|listing| Arc::new(listing.without(&surroundings.secrets.now())));
        Self {
            name: config.name.as_str().into(),
            metrics: Arc::default(),
            permits: RwLock::new(Arc::new(Semaphore::new(config.calls.concurrency))),
            config: RwLock::new(config),
            instances: Mutex::default(),
            passed: Mutex::default(),
            listing: RwLock::new(listing),
            users: Users::new(Arc::clone(&surroundings.dirty)),
            surroundings,
            file,
        }
    }

    /// How it is set.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The permits of its calls.
    pub fn permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.permits.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who wants to hear of which of its resources.
    pub(crate) fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.surroundings.subscriptions
    }

    /// Begins with the instances that are new and lets go of those that are gone. Calls under way on the latter go on.
    pub fn set_config(&self, config: &Arc<ServerConfig>) {
        let before =
            std::mem::replace(&mut *self.config.write().unwrap_or_else(PoisonError::into_inner), Arc::clone(config));
        if before.calls.concurrency != config.calls.concurrency {
            *self.permits.write().unwrap_or_else(PoisonError::into_inner) =
                Arc::new(Semaphore::new(config.calls.concurrency));
        }
        let surroundings = Surroundings { limit: config.calls.result_bytes, ..self.surroundings.clone() };
        let is_alone = config.sharing.isolation != Isolation::Shared;
        let is_there = |id: &str| config.instances.iter().any(|instance| instance.id == id);
        self.surroundings.subscriptions.set_instances(is_alone, is_there);
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let traffic: BTreeMap<_, _> =
            instances.values().map(|was| (was.id.clone(), Arc::clone(&was.traffic))).collect();
        instances.retain(|id, handle| {
            let wanted = config.instances.iter().find(|instance| instance.id == *id);
            if wanted.is_none() {
                self.surroundings.departed.add(handle);
            }
            before.calls.result_bytes == config.calls.result_bytes
                && wanted.is_some_and(|instance| handle.is_of(instance))
        });
        for instance in &config.instances {
            if let Some(handle) = instances.get(&instance.id) {
                handle.update(instance);
            } else {
                let traffic = traffic.get(&instance.id).cloned().unwrap_or_default();
                let handle = InstanceHandle::begin(instance, surroundings.clone(), traffic);
                instances.insert(instance.id.clone(), handle);
            }
        }
    }

    /// The instance that a call goes to: of those that are ready the current ones, and of them the least busy.
    pub fn pick(&self) -> Option<InFlight> {
        self.pick_but(None)
    }

    /// Another one than that which could not be reached, or went away with a call. That one is left alone until it answers again; where
    /// there is no other it is not, since the next call may reach it.
    pub fn pick_instead_of(&self, gone: &InFlight, why: &str) -> Option<InFlight> {
        let other = self.pick_but(Some(gone.id()))?;
        gone.lose(why);
        Some(other)
    }

    /// An instance went away with a call: what is asked next goes elsewhere, where there is anything else.
    pub fn leave(&self, gone: &InFlight, why: &str) {
        if gone.is_leased() {
            gone.lose(why);
        } else {
            drop(self.pick_instead_of(gone, why));
        }
    }

    fn pick_but(&self, gone: Option<&str>) -> Option<InFlight> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let among = instances.values().filter(|handle| !handle.is_leaving() && Some(handle.id.as_str()) != gone);
        let is_held = self.held(&instances);
        let among = among.filter(|handle| !is_held(handle));
        let ready = among.filter_map(|handle| Some((handle, handle.connection()?)));
        let best = ready.min_by_key(|(handle, _)| (!handle.is_current(), handle.in_flight()));
        self.users.count();
        best.map(|(handle, connection)| InFlight::new(Arc::clone(handle), connection))
    }

    /// How each instance is.
    pub fn health(&self) -> Vec<(String, InstanceHealth)> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.iter().map(|(id, handle)| (id.clone(), handle.health())).collect()
    }

    /// The current instances that answer while calls are under way on older ones, which would be lost if the older ones were stopped now, or
    /// while what they list is not approved, and the older ones go on.
    pub fn taking_over(&self) -> Vec<String> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let is_any_busy = instances.values().any(|handle| !handle.is_current() && handle.in_flight() > 0);
        let is_held = self.held(&instances);
        let is_early = |handle: &InstanceHandle| is_any_busy || is_held(handle);
        let new = instances.values().filter(|handle| handle.is_current() && handle.connection().is_some());
        let new = new.filter(|handle| is_early(handle));
        new.map(|handle| handle.id.clone()).collect()
    }

    /// The instances that are to be given nothing new to do, each with whether calls are under way on it.
    pub fn leaving(&self) -> Vec<(String, bool)> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let leaving = instances.values().filter(|handle| handle.is_leaving());
        leaving.map(|handle| (handle.id.clone(), handle.in_flight() > 0)).collect()
    }

    /// What it lists now: that of the instance that calls go to, else what it listed last.
    pub fn refresh_listing(&self) -> Option<Arc<Listing>> {
        let now = {
            let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
            // What a session's own one lists may depend on what was done in that session.
            let rank = |handle: &InstanceHandle| {
                let is_fresh = self.surroundings.leases.is_fresh(&handle.id);
                (!handle.is_current(), !is_fresh)
            };
            let is_held = self.held(&instances);
            let among = instances.values().filter(|handle| !is_held(handle));
            let ready = among.filter_map(|handle| Some((rank(handle), handle.listing()?)));
            ready.min_by_key(|(rank, _)| *rank).map(|(_, listing)| listing)
        };
        let mut listing = self.listing.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = now
            && listing.as_ref() != Some(&now)
        {
            self.remember(&now);
            *listing = Some(now);
        }
        listing.clone()
    }

    /// Whether one of these instances must not take over from an older one that answers, or may in a moment: where pins are enforced, it must
    /// have been found good first.
    fn held(&self, instances: &BTreeMap<String, Arc<InstanceHandle>>) -> impl Fn(&InstanceHandle) -> bool {
        let is_old = |other: &&Arc<InstanceHandle>| !other.is_current() && !other.is_leaving();
        let may_serve = |old: &Arc<InstanceHandle>| {
            let has_served = || old.listed_ago().is_some_and(|ago| ago < HOLD_TIME);
            old.listing().is_some() || old.is_on_its_way() || has_served()
        };
        let is_any_held = self.config().pin == PinPolicy::Enforce && instances.values().filter(is_old).any(may_serve);
        move |handle| {
            if !is_any_held || !handle.is_current() {
                return false;
            }
            let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_same = |listing: Arc<Listing>| passed.get(&handle.id).is_some_and(|passed| *passed == listing);
            !handle.listing().is_some_and(is_same)
        }
    }

    /// What is to be compared before an instance takes over, where pins are enforced and an older one serves.
    pub fn succession(&self) -> Option<Succession> {
        if self.config().pin != PinPolicy::Enforce {
            return None;
        }
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = |is_current: bool| {
            let handles = instances.values().filter(move |handle| handle.is_current() == is_current);
            handles.filter_map(|handle| Some((handle.id.clone(), handle.listing()?)))
        };
        // One that was lost a moment ago lists what it did.
        let is_held = self.held(&instances);
        let is_any_held = instances.values().any(|handle| is_held(handle));
        let last = || self.listing.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| is_any_held);
        let serving = listed(false).next().map(|(_, listing)| listing).or_else(last)?;
        Some(Succession { serving, current: listed(true).collect() })
    }

    /// Says which of the current instances may take over, by what they list.
    pub fn pass(&self, passed: BTreeMap<String, Arc<Listing>>) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) = passed;
    }

    /// What each of its instances lists.
    pub fn listings(&self) -> Vec<Arc<Listing>> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.values().filter_map(|handle| handle.listing()).collect()
    }

    /// How long ago one of its instances last said what it lists.
    pub fn listed_ago(&self) -> Option<Duration> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        instances.values().filter_map(|handle| handle.listed_ago()).min()
    }

    fn remember(&self, listing: &Listing) {
        let Some(file) = &self.file else { return };
        let text = serde_json::to_vec(listing).map_err(std::io::Error::other);
        let written = text.and_then(|text| write_whole(file, &text, Durability::Process));
        if let Err(error) = written {
            tracing::warn!(server = %self.name, error = %error, "the catalogue of a server cannot be kept");
        }
    }

    /// Whether any instance is ready, and was when the hub `told` how all are: what it lists is served.
    pub fn is_ready(&self, told: &BTreeMap<String, InstanceHealth>) -> bool {
        let is_ready =
            |id: &str, health| health == InstanceHealth::Ready && told.get(id) == Some(&InstanceHealth::Ready);
        self.health().into_iter().any(|(id, health)| is_ready(&id, health))
    }
}
