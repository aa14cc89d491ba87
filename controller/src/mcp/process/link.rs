//! What is known of a gateway's process, and what it is to be told: shared by its hub and its connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway::config::{Endpoint, GatewayConfig, Isolation, ServerConfig};
use gateway::hub::{Attach, Demand};
use gateway::lease::{LeaseBook, Lender};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::wire::{Account, Order, Wanted};

/// Between a hub and its connections.
#[derive(Debug)]
pub(super) struct Link {
    /// What is wanted; nothing until it is known which servers there are.
    pub(super) orders: watch::Sender<Option<Order>>,
    /// Reaches containers.
    pub(super) attach: Arc<dyn Attach>,
    /// Which containers somebody has to himself.
    pub(super) leases: Arc<LeaseBook>,
    presence: Mutex<Presence>,
    /// The instances whose streams may be asked for.
    streams: Mutex<BTreeSet<String>>,
    /// The servers of which each instance is for one client.
    lent: Mutex<BTreeMap<String, Lent>>,
    /// Told of whatever is news.
    changed: Arc<Notify>,
}

/// A server of which each instance is for one client.
#[derive(Debug)]
struct Lent {
    lender: Lender,
    instances: BTreeSet<String>,
}

/// Whether a process is there.
#[derive(Debug, Clone)]
pub(super) enum Presence {
    /// None is, since then; why the last one was not let in, where one was not.
    Away(Instant, Option<String>),
    /// One is, and has said so of itself.
    There(Option<Arc<Account>>),
}

impl Link {
    pub(super) fn new(attach: Arc<dyn Attach>, leases: Arc<LeaseBook>, changed: Arc<Notify>) -> Self {
        let presence = Mutex::new(Presence::Away(Instant::now(), None));
        let (orders, streams, lent) = (watch::Sender::new(None), Mutex::default(), Mutex::default());
        Self { orders, attach, leases, presence, streams, lent, changed }
    }

    fn lent(&self) -> MutexGuard<'_, BTreeMap<String, Lent>> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn presence(&self) -> Presence {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the process last said of itself.
    pub(super) fn account(&self) -> Option<Arc<Account>> {
        match self.presence() {
            Presence::There(account) => account,
            Presence::Away(..) => None,
        }
    }

    /// Says what is wanted from now on.
    pub(super) fn order(&self, config: &GatewayConfig, servers: &[ServerConfig]) {
        let instances = servers.iter().flat_map(|server| &server.instances);
        let ids = instances.filter(|instance| instance.endpoint == Endpoint::Stdio).map(|instance| instance.id.clone());
        // Before anybody is told of them, who then asks at once.
        *self.streams.lock().unwrap_or_else(PoisonError::into_inner) = ids.collect();
        self.set_lent(servers);
        let wanted = Wanted { config: config.clone(), servers: servers.to_vec() };
        self.orders.send_replace(Some(Order::Serve(Box::new(wanted))));
    }

    /// Says that nothing is wanted any more.
    pub(super) fn close(&self, reason: &str) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.set_lent(&[]);
        self.orders.send_replace(Some(Order::Close(reason.to_owned())));
    }

    /// Whether the streams of an instance may be had.
    pub(super) fn has_streams_of(&self, instance: &str) -> bool {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).contains(instance)
    }

    fn set_lent(&self, servers: &[ServerConfig]) {
        let mut lent = self.lent();
        let of_one = servers.iter().filter(|server| server.sharing.isolation != Isolation::Shared);
        *lent = of_one
            .map(|server| {
                // What is lent of it stays counted.
                let lender = lent.remove(&server.name).map(|known| known.lender);
                let lender = lender.unwrap_or_else(|| Lender { lent: Arc::default(), told: Arc::clone(&self.changed) });
                let instances = server.instances.iter().map(|instance| instance.id.clone()).collect();
                (server.name.clone(), Lent { lender, instances })
            })
            .collect();
    }

    /// Who lends an instance to one client; `None` where nobody does.
    pub(super) fn lender_of(&self, instance: &str) -> Option<Lender> {
        self.lent().values().find(|lent| lent.instances.contains(instance)).map(|lent| lent.lender.clone())
    }

    /// What is needed of each server, as far as the process says. What is lent is what is lent here.
    pub(super) fn demands(&self) -> BTreeMap<Arc<str>, Demand> {
        let Some(account) = self.account() else { return BTreeMap::new() };
        let lent = self.lent();
        let demand = |(name, demand): (&String, &Demand)| {
            let leased = lent.get(name).map_or(demand.leased, |lent| lent.lender.lent.load(Ordering::Relaxed));
            (name.as_str().into(), Demand { leased, ..*demand })
        };
        account.demands.iter().map(demand).collect()
    }

    /// A process comes in. `None`: one is there already.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Seat> {
        let mut presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*presence, Presence::There(_)) {
            return None;
        }
        *presence = Presence::There(None);
        drop(presence);
        self.changed.notify_one();
        Some(Seat(Arc::clone(self)))
    }

    /// A process was not let in.
    pub(super) fn refuse(&self, why: &str) {
        let mut presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        if let Presence::Away(_, fault) = &mut *presence
            && fault.as_deref() != Some(why)
        {
            *fault = Some(why.to_owned());
            self.changed.notify_one();
        }
    }
}

/// The place of the one process that is there, until this is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Link>);

impl Seat {
    /// Takes in what the process says of itself.
    pub(super) fn tell(&self, account: Account) {
        *self.0.presence.lock().unwrap_or_else(PoisonError::into_inner) = Presence::There(Some(Arc::new(account)));
        self.0.changed.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *self.0.presence.lock().unwrap_or_else(PoisonError::into_inner) = Presence::Away(Instant::now(), None);
        self.0.changed.notify_one();
    }
}
