//! What is known of a gateway's process, and what it is to be told: shared by its hub and its connections.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway::config::{Endpoint, GatewayConfig, Instance, Isolation, ServerConfig};
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
    /// By server, what is lent of it.
    lenders: Mutex<BTreeMap<String, Lender>>,
    /// Told of whatever is news.
    changed: Arc<Notify>,
}

/// For how long a process that was not let in is taken to be there: it asks every five seconds at the latest.
const MISFIT_TIME: Duration = Duration::from_secs(15);

/// Why a process was not let in, and when that was last so.
#[derive(Debug, Clone)]
pub(super) struct Misfit {
    pub(super) why: String,
    at: Instant,
}

/// Whether a process is there.
#[derive(Debug, Clone)]
pub(super) enum Presence {
    /// None is, since then; why one was not let in that still asks, where there is such a one.
    Away(Instant, Option<Misfit>),
    /// One is, and has said so of itself.
    There(Option<Arc<Account>>),
}

impl Link {
    pub(super) fn new(attach: Arc<dyn Attach>, leases: Arc<LeaseBook>, changed: Arc<Notify>) -> Self {
        let presence = Mutex::new(Presence::Away(Instant::now(), None));
        Self { orders: watch::Sender::new(None), attach, leases, presence, lenders: Mutex::default(), changed }
    }

    fn lenders(&self) -> MutexGuard<'_, BTreeMap<String, Lender>> {
        self.lenders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn presence(&self) -> Presence {
        let mut presence = self.presence.lock().unwrap_or_else(PoisonError::into_inner);
        if let Presence::Away(_, misfit) = &mut *presence
            && misfit.as_ref().is_some_and(|misfit| misfit.at.elapsed() >= MISFIT_TIME)
        {
            // It does not ask any more.
            *misfit = None;
        }
        presence.clone()
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
        // What is lent of those that stay is still counted.
        self.lenders().retain(|name, _| servers.iter().any(|server| server.name == *name));
        let wanted = Wanted { config: config.clone(), servers: servers.to_vec() };
        self.orders.send_replace(Some(Order::Serve(Box::new(wanted))));
    }

    /// Says that nothing is wanted any more.
    pub(super) fn close(&self, reason: &str) {
        self.orders.send_replace(Some(Order::Close(reason.to_owned())));
    }

    /// What is found of an instance of one of the servers that are wanted.
    fn find<T>(&self, id: &str, find: impl Fn(&ServerConfig, &Instance) -> Option<T>) -> Option<T> {
        let order = self.orders.borrow();
        let Some(Order::Serve(wanted)) = &*order else { return None };
        let of_server = |server| move |instance| (server, instance);
        let all = wanted.servers.iter().flat_map(|server| server.instances.iter().map(of_server(server)));
        all.filter(|(_, instance)| instance.id == id).find_map(|(server, instance)| find(server, instance))
    }

    /// Whether the streams of an instance may be had.
    pub(super) fn has_streams_of(&self, id: &str) -> bool {
        self.find(id, |_, instance| (instance.endpoint == Endpoint::Stdio).then_some(())).is_some()
    }

    /// Who lends an instance to one client; `None` where nobody does.
    pub(super) fn lender_of(&self, id: &str) -> Option<Lender> {
        let is_for_one = |server: &ServerConfig| server.sharing.isolation != Isolation::Shared;
        let server = self.find(id, |server, _| is_for_one(server).then(|| server.name.clone()))?;
        let begin = || Lender { lent: Arc::default(), told: Arc::clone(&self.changed) };
        Some(self.lenders().entry(server).or_insert_with(begin).clone())
    }

    /// What is needed of each server, as far as the process says. What is lent is what is lent here.
    pub(super) fn demands(&self) -> BTreeMap<Arc<str>, Demand> {
        let Some(account) = self.account() else { return BTreeMap::new() };
        let lenders = self.lenders();
        let demand = |(name, demand): (&String, &Demand)| {
            let leased = lenders.get(name).map_or(0, |lender| lender.lent.load(Ordering::Relaxed));
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
        if let Presence::Away(_, misfit) = &mut *presence {
            let is_news = misfit.as_ref().is_none_or(|known| known.why != why);
            *misfit = Some(Misfit { why: why.to_owned(), at: Instant::now() });
            if is_news {
                self.changed.notify_one();
            }
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
