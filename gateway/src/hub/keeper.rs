//! What the hub does of itself: it puts together what the servers list, and tells of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::change::{Change, change_method, changed_lists, updated};
use super::{Hub, InstanceHealth};
use crate::catalogue::{Catalogue, Contribution, ListKind};
use crate::policy::Principal;
use crate::session::ClientSession;
use crate::subscription::Watched;
use crate::wire::reply::notification;

/// How often it is looked whether somebody has approved of something.
const DESK_TIME: Duration = Duration::from_secs(1);

/// What the hub does of itself.
enum Task {
    Rebuild,
    TellUpdated(Arc<BTreeSet<Watched>>),
    TellAllUpdated,
    TakeApprovals,
    None,
}

impl Hub {
    /// Has the hub do what it does of itself, until it is gone or this is aborted.
    pub(super) fn keep(self: &Arc<Self>) -> AbortHandle {
        let (weak, dirty) = (Arc::downgrade(self), Arc::clone(&self.dirty));
        let mut updates = self.changes();
        let mut doubts = self.doubts();
        let has_desk = self.state_dir.is_some();
        tokio::spawn(async move {
            let mut desk_due = Instant::now();
            loop {
                // Only what is not approved can be.
                let is_awaited = has_desk && !doubts.borrow_and_update().is_empty();
                let task = tokio::select! {
                    // Cancel-safe: a notify that keeps its permit, two receivers, and a sleep. The order is fixed so that a run can be
                    // repeated; a rebuild says everything, and what servers tell of may wait for it.
                    biased;
                    () = tokio::time::sleep_until(desk_due), if is_awaited => Task::TakeApprovals,
                    () = dirty.notified() => Task::Rebuild,
                    change = updates.recv() => match change {
                        Ok(Change::Resources(watched)) => Task::TellUpdated(watched),
                        Ok(Change::List(_)) | Err(RecvError::Closed) => Task::None,
                        // One that fell behind may have missed anything.
                        Err(RecvError::Lagged(_)) => Task::TellAllUpdated,
                    },
                    _ = doubts.changed() => Task::None,
                };
                let Some(hub) = weak.upgrade() else { return };
                match task {
                    Task::Rebuild => hub.rebuild(),
                    Task::TellUpdated(watched) => hub.tell_updated(|subscribed| watched.contains(subscribed)),
                    Task::TellAllUpdated => hub.tell_updated(|_| true),
                    Task::TakeApprovals => {
                        hub.take_approvals().await;
                        desk_due = Instant::now() + DESK_TIME;
                    }
                    Task::None => {}
                }
            }
        })
        .abort_handle()
    }

    /// Tells the sessions that subscribed to resources that those were updated.
    fn tell_updated(&self, is_updated: impl Fn(&Watched) -> bool) {
        for session in self.sessions.all() {
            let subscriptions = ClientSession::lock(&session.subscriptions);
            for subscription in subscriptions.values().filter(|subscription| is_updated(&subscription.watched)) {
                session.tell(updated(&subscription.watched.uri));
            }
        }
    }

    /// Puts together how the servers are and what they list now, and tells of it.
    pub(super) fn rebuild(&self) {
        // Held to the end, so that of two at once the later one is what is seen.
        let mut pins = self.lock_pins();
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner).clone();
        let secrets = self.secrets();
        let mut health = BTreeMap::new();
        let mut taking_over = BTreeSet::new();
        let mut leaving: BTreeMap<String, bool> = self.departed.busy().into_iter().map(|id| (id, true)).collect();
        let mut doubts = Vec::new();
        let mut contributions = BTreeMap::new();
        let mut demands = BTreeMap::new();
        for (name, server) in &servers {
            let waiting = Self::examine_succession(&mut pins, server);
            server.tell_news();
            demands.insert(Arc::clone(name), server.demand());
            // Why it failed may be in its own words.
            health.extend(server.health().into_iter().map(|(id, health)| match health {
                InstanceHealth::Failed(why) => (id, InstanceHealth::Failed(secrets.hide(why).into_owned())),
                InstanceHealth::Unknown | InstanceHealth::Ready => (id, health),
            }));
            // Asked later, so that what is ready by the above is in it.
            taking_over.extend(server.taking_over());
            leaving.extend(server.leaving());
            if let Some(listing) = server.refresh_listing() {
                let config = server.config();
                let found = pins.examine(name, config.pin, &listing);
                let hidden = found.iter().filter(|doubt| doubt.is_hidden).map(|doubt| doubt.tool.clone()).collect();
                doubts.extend(found);
                doubts.extend(waiting);
                contributions.insert(Arc::clone(name), Contribution { config, listing, hidden: Arc::new(hidden) });
            }
        }
        self.doubts.send_if_modified(|known| {
            let is_news = **known != doubts;
            if is_news {
                self.put_doubts(known, &doubts);
                *known = Arc::new(doubts);
            }
            is_news
        });
        tell_news(&self.demands, demands);
        tell_news(&self.leaving, Arc::new(leaving));
        tell_news(&self.taking_over, Arc::new(taking_over));
        self.take_lists(contributions);
        // Last: of what is said to be ready, everything else is known.
        tell_news(&self.health, Arc::new(health));
    }

    /// Serves from what the servers list now, and tells who listens what has changed.
    fn take_lists(&self, contributions: BTreeMap<Arc<str>, Contribution>) {
        let before = self.catalogue();
        let changed = changed_lists(&before.servers, &contributions);
        if changed.is_empty() {
            return;
        }
        let catalogue = Catalogue::new(self.config.naming, self.config.rules.clone(), contributions);
        if changed.contains(&ListKind::Resources) {
            catalogue.tell_repeated(&before);
        }
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
        // The view of everybody is made before anybody asks for it.
        if self.config.tokens.is_empty() {
            drop(self.catalogue().view(&Principal::anonymous(), None));
        }
        for kind in changed {
            // Nobody may listen.
            drop(self.changes.send(Change::List(kind)));
            if let Some(method) = change_method(kind) {
                for session in self.sessions.all() {
                    session.tell(notification(method, None));
                }
            }
        }
    }
}

/// Tells what is so now, where it was not so before.
fn tell_news<T: PartialEq>(to: &watch::Sender<T>, now: T) {
    to.send_if_modified(|known| {
        let is_news = *known != now;
        if is_news {
            *known = now;
        }
        is_news
    });
}
