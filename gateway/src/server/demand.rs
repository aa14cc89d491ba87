//! Which instance a request gets where it may have to wait for one, and how many are needed for those who wait.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Server;
use super::instance::InFlight;
use crate::config::Isolation;
use crate::connection::{Connection, ProbeError};
use crate::era::Era;
use crate::lease::{Lease, Leases, Lender, Ticket};
use crate::relay::Caller;
use crate::session::{ClientSession, set_level};
use crate::subscription::Place;
use crate::upstream::link::Link;

/// How long an instance that is not always there is kept after its last use, where nothing else is said.
pub(crate) const IDLE_TIME: Duration = Duration::from_mins(10);

/// How long a request waits for an instance that nobody starts for it, but that may be reached at any moment; and how long after the
/// server became known there may be some that the gateway has not been told of yet.
const ARRIVAL_TIME: Duration = Duration::from_secs(10);

/// What is needed of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// How many instances somebody has to himself.
    pub leased: usize,
    /// How many requests wait for one.
    pub waiting: usize,
    /// It is used, or was a while ago.
    pub is_in_use: bool,
    /// It is known what it lists.
    pub is_known: bool,
}

/// Why there is no instance for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoInstance {
    /// As many as there may be are taken.
    Busy(String),
    /// It cannot be had.
    NotReady(String),
}

/// An instance that was taken, which is not stopped meanwhile.
struct Taken {
    under_way: InFlight,
    ticket: Ticket,
}

/// Who uses a server, and who waits for it.
#[derive(Debug)]
pub(super) struct Users {
    /// What principals have to themselves whose clients have no sessions.
    by_principal: Leases,
    lender: Lender,
    /// Told when an instance answers otherwise than before. Whoever has waited longest looks first.
    news: Notify,
    is_removed: AtomicBool,
    /// Since when the server is known: mostly since the gateway's start.
    since: Instant,
    waiting: AtomicUsize,
    picked: AtomicUsize,
    /// How often it had been used when that was last looked at, and when it was last seen to be in use.
    seen: Mutex<(usize, Instant)>,
}

impl Users {
    /// Nobody yet. `told` is told when more or less is needed.
    pub(super) fn new(told: Arc<Notify>) -> Self {
        Self {
            by_principal: Leases::default(),
            lender: Lender { lent: Arc::default(), told },
            news: Notify::new(),
            is_removed: AtomicBool::new(false),
            since: Instant::now(),
            waiting: AtomicUsize::new(0),
            picked: AtomicUsize::new(0),
            seen: Mutex::new((0, Instant::now())),
        }
    }

    /// It was used once more.
    pub(super) fn count(&self) {
        self.picked.fetch_add(1, Ordering::Relaxed);
    }
}

/// One more who waits, until it is dropped.
struct Waiting<'users>(&'users Users);

impl<'users> Waiting<'users> {
    fn begin(users: &'users Users) -> Self {
        users.waiting.fetch_add(1, Ordering::Relaxed);
        users.lender.told.notify_one();
        Self(users)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.lender.told.notify_one();
    }
}

impl Server {
    /// The instance that a request goes to, where that can be said at once.
    ///
    /// # Errors
    /// When there is none, and none would be started for it.
    pub fn pick_now(&self) -> Result<Option<InFlight>, NoInstance> {
        let sharing = self.config().sharing;
        if sharing.isolation != Isolation::Shared {
            return Ok(None);
        }
        match self.pick() {
            Some(picked) => Ok(Some(picked)),
            None if self.may_come() || self.arrival(Instant::now()).is_some() => Ok(None),
            // One that was on its way may have arrived in between.
            None => self.pick().map(Some).ok_or_else(not_ready),
        }
    }

    /// Until when a request waits that has waited since `begun`, and that nobody starts an instance for; `None` where there will be none.
    fn arrival(&self, begun: Instant) -> Option<Instant> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        if instances.is_empty() {
            let known = self.users.since + ARRIVAL_TIME;
            return (known > Instant::now()).then_some(known);
        }
        instances.values().any(|handle| handle.is_on_its_way()).then(|| begun + ARRIVAL_TIME)
    }

    /// The instance that a request goes to, once there is one. Whoever gives up waiting drops this.
    ///
    /// # Errors
    /// When there will be none.
    pub async fn acquire(&self, caller: &Caller) -> Result<InFlight, NoInstance> {
        match self.config().sharing.isolation {
            Isolation::Shared => self.wait_for(|| Ok(self.pick())).await.map(|(picked, _)| picked),
            Isolation::PerCall => self.lease(caller, true).await.map(|(lease, _under_way)| InFlight::leased(lease)),
            Isolation::PerSession => {
                let (leases, name) = match &caller.session {
                    Some(session) => (&session.leases, &*self.name),
                    None => (&self.users.by_principal, &*caller.principal.name),
                };
                loop {
                    let cell = leases.cell(name);
                    let lease = cell.get_or_try_init(|| self.lease_alone(caller)).await?;
                    if lease.is_live() && !lease.handle.is_leaving() {
                        return Ok(InFlight::leased(Arc::clone(lease)));
                    }
                    // What it held for this session went with it.
                    leases.forget(name, lease);
                }
            }
        }
    }

    /// Where the resources are that a caller hears of. `None`: each call has an instance to itself, and nobody hears of it later.
    pub(crate) fn place_of(&self, caller: &Caller) -> Option<Place> {
        match (self.config().sharing.isolation, &caller.session) {
            (Isolation::Shared, _) => Some(Place::Shared),
            (Isolation::PerSession, Some(session)) => Some(Place::Own(session.digest().to_owned())),
            (Isolation::PerSession, None) => Some(Place::Own(caller.principal.name.to_string())),
            (Isolation::PerCall, _) => None,
        }
    }

    /// Another instance in place of one that is gone, on which nothing was carried out.
    pub async fn acquire_instead_of(&self, gone: &InFlight, why: &str, caller: &Caller) -> Option<InFlight> {
        if !gone.is_leased() {
            return self.pick_instead_of(gone, why);
        }
        gone.lose(why);
        self.acquire(caller).await.ok()
    }

    async fn lease_alone(&self, caller: &Caller) -> Result<Arc<Lease>, NoInstance> {
        self.lease(caller, caller.session.is_some()).await.map(|(lease, _)| lease)
    }

    /// One that nobody else has. It is not stopped before what comes with it is dropped.
    async fn lease(&self, caller: &Caller, is_alone: bool) -> Result<(Arc<Lease>, InFlight), NoInstance> {
        let Taken { under_way, ticket } = loop {
            let (mut taken, waiting) = self.wait_for(|| self.take_fresh()).await?;
            // Until whoever lends knows of it, it is to be kept for him who waits.
            let _waiting = waiting.unwrap_or_else(|| Waiting::begin(&self.users));
            // One that somebody else has by now is not fresh any more.
            if taken.ticket.confirm().await.map_err(|error| not_lent(&error))? {
                break taken;
            }
        };
        let (handle, base) = (Arc::clone(under_way.handle()), Arc::clone(&under_way.connection));
        if let Some(place) = self.place_of(caller) {
            self.surroundings.subscriptions.lend(&handle.id, place);
        }
        let begun = if is_alone { begin_for(&base, caller).await } else { Ok(Arc::clone(&base)) };
        let failed = |error: ProbeError| NoInstance::NotReady(format!("does not begin a session: {error}"));
        Ok((Arc::new(Lease::new(handle, base, begun.map_err(failed)?, ticket)), under_way))
    }

    /// Takes an instance that nobody has had.
    fn take_fresh(&self) -> Result<Option<Taken>, NoInstance> {
        let fresh: Vec<_> = {
            let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
            // One that is being replaced would be gone soon, unless what replaces it is not approved.
            let is_held = self.held(&instances);
            let is_any_held = instances.values().any(|handle| is_held(handle));
            let fresh = instances.values().filter(|handle| handle.is_current() != is_any_held && !handle.is_leaving());
            fresh.filter_map(|handle| Some(InFlight::new(Arc::clone(handle), handle.connection()?))).collect()
        };
        for under_way in fresh {
            match self.surroundings.leases.take(under_way.id(), &self.users.lender) {
                Ok(Some(ticket)) => return Ok(Some(Taken { under_way, ticket })),
                Ok(None) => {}
                Err(error) => return Err(not_lent(&error)),
            }
        }
        let sharing = self.config().sharing;
        let leased = self.users.lender.lent.load(Ordering::Relaxed);
        if sharing.isolation == Isolation::PerSession && leased >= sharing.max {
            let message = format!("has {leased} instances, each with a session of its own, and may have no more");
            return Err(NoInstance::Busy(message));
        }
        Ok(None)
    }

    /// Looks until there is something, each time that there is news of an instance. With it comes the place of him who had to wait.
    async fn wait_for<T>(
        &self,
        mut look: impl FnMut() -> Result<Option<T>, NoInstance>,
    ) -> Result<(T, Option<Waiting<'_>>), NoInstance> {
        let mut waiting = None;
        let begun = Instant::now();
        loop {
            let mut news = pin!(self.users.news.notified());
            // What comes while it looks is news as well.
            news.as_mut().enable();
            // Before it looks: what arrives in between is found.
            let arrival = self.arrival(begun);
            if let Some(found) = look()? {
                return Ok((found, waiting));
            }
            if self.users.is_removed.load(Ordering::Relaxed) {
                return Err(NoInstance::NotReady("is not there any more".to_owned()));
            }
            if !self.may_come() && arrival.is_none_or(|until| until <= Instant::now()) {
                return Err(not_ready());
            }
            waiting.get_or_insert_with(|| Waiting::begin(&self.users));
            if self.may_come() {
                news.await;
            } else if let Some(until) = arrival {
                // What is over by then is seen above.
                drop(timeout_at(until, news).await);
            }
        }
    }

    /// Whether there will be an instance for whoever waits.
    fn may_come(&self) -> bool {
        let config = self.config();
        config.sharing.is_on_demand || config.is_being_replaced
    }

    /// It is not there any more: nobody gets an instance from now on.
    pub(crate) fn remove(&self) {
        self.users.is_removed.store(true, Ordering::Relaxed);
        let mut instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in instances.values() {
            self.surroundings.departed.add(handle);
        }
        instances.clear();
        drop(instances);
        self.tell_news();
    }

    /// Those who wait for an instance look again.
    pub(crate) fn tell_news(&self) {
        self.users.news.notify_waiters();
    }

    /// Gives back what principals have not used for too long.
    pub(crate) fn release_idle(&self) {
        let longest = self.config().sharing.idle.unwrap_or(IDLE_TIME);
        self.users.by_principal.release_idle(|_| Some(longest));
    }

    /// What is needed of it now.
    pub fn demand(&self) -> Demand {
        let waiting = self.users.waiting.load(Ordering::Relaxed);
        let in_flight: usize = {
            let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
            instances.values().map(|handle| handle.in_flight()).sum()
        };
        let picked = self.users.picked.load(Ordering::Relaxed);
        let idle = self.config().sharing.idle.unwrap_or(IDLE_TIME);
        let mut seen = self.users.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting > 0 || in_flight > 0 || seen.0 != picked {
            *seen = (picked, Instant::now());
        }
        Demand {
            leased: self.users.lender.lent.load(Ordering::Relaxed),
            waiting,
            is_in_use: seen.1.elapsed() < idle,
            is_known: self.listing.read().unwrap_or_else(PoisonError::into_inner).is_some(),
        }
    }
}

fn not_lent(error: &io::Error) -> NoInstance {
    NoInstance::NotReady(format!("cannot be lent to one client: {error}"))
}

fn not_ready() -> NoInstance {
    NoInstance::NotReady("is not ready: try again later".to_owned())
}

/// A session of a legacy server by its standard streams in the name of the client that has it to itself. Elsewhere there is nothing to
/// begin: over HTTP each session of a client has one of its own, and 2026-07-28 has none.
async fn begin_for(base: &Arc<Connection>, caller: &Caller) -> Result<Arc<Connection>, ProbeError> {
    let Link::Stdio(link) = &base.link else { return Ok(Arc::clone(base)) };
    link.lease();
    let (Some(session), Era::Legacy) = (&caller.session, base.era) else { return Ok(Arc::clone(base)) };
    let begun = Connection::begin_session(base.link.clone(), &session.capabilities, &session.client_info).await;
    let connection = match begun {
        Ok(connection) => connection,
        // One that begins only once goes on with what the gateway said of itself: it asks nothing then.
        Err(ProbeError::Failed { .. }) => return Ok(Arc::clone(base)),
        Err(error) => return Err(error),
    };
    let level = ClientSession::lock(&session.level).clone();
    if let (Some(level), true) = (level, connection.has("logging")) {
        set_level(&connection.link, &connection.session, &level).await;
    }
    Ok(Arc::new(connection))
}
