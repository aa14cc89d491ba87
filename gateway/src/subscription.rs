//! Subscriptions to resources: one for all who want it, renewed wherever the server runs next, and ended with the last who wanted it.

mod book;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use book::Book;
pub use book::Place;
pub(crate) use book::{Due, Outcome, Told};

/// How many resources one subscription may name, and one session may subscribe to.
pub(crate) const RESOURCES_LIMIT: usize = 1_000;

/// A resource that may be heard of: the same URI at another server, or on an instance of somebody's own, is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// The server's name.
    pub server: Arc<str>,
    /// On which instances.
    pub place: Place,
    /// The URI.
    pub uri: String,
}

/// The subscriptions to one server.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    server: Arc<str>,
    book: Mutex<Book>,
    changed: watch::Sender<()>,
}

/// One who wants to hear of a resource, for as long as this is kept.
#[derive(Debug)]
pub struct Subscription {
    of: Arc<Subscriptions>,
    /// Which.
    pub watched: Watched,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.of.lock().remove(&self.watched.place, &self.watched.uri);
        self.of.changed.send_replace(());
    }
}

impl Subscriptions {
    /// None yet.
    pub(crate) fn new(server: &str) -> Arc<Self> {
        Arc::new(Self { server: server.into(), book: Mutex::default(), changed: watch::Sender::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more wants to hear of a resource.
    pub(crate) fn add(self: &Arc<Self>, place: Place, uri: &str) -> Subscription {
        self.lock().add(&place, uri);
        self.changed.send_replace(());
        let watched = Watched { server: Arc::clone(&self.server), place, uri: uri.to_owned() };
        Subscription { of: Arc::clone(self), watched }
    }

    /// Whether instances are somebody's own, and which there are.
    pub(crate) fn set_instances(&self, is_alone: bool, is_there: impl Fn(&str) -> bool) {
        self.lock().set_instances(is_alone, is_there);
        self.changed.send_replace(());
    }

    /// Somebody has an instance to himself from now on: it is told what he wants.
    pub(crate) fn lend(&self, instance: &str, place: Place) {
        self.lock().lend(instance, place);
        self.changed.send_replace(());
    }

    /// Resources of an instance. Of one that is nobody's yet there are none.
    pub(crate) fn watched(&self, instance: &str, uris: impl IntoIterator<Item = String>) -> BTreeSet<Watched> {
        let Some(place) = self.lock().place_of(instance) else { return BTreeSet::new() };
        let watched = |uri| Watched { server: Arc::clone(&self.server), place: place.clone(), uri };
        uris.into_iter().map(watched).collect()
    }

    /// What an instance is to be told that has been told so much.
    pub(crate) fn due(&self, instance: &str, told: &Told) -> Due {
        self.lock().due(instance, told)
    }

    /// Tells that something else may be due.
    pub(crate) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
