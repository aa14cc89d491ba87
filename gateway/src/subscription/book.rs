//! Who wants to hear of which resources of a server, and what the server is to be told of that.

use std::collections::{BTreeMap, BTreeSet};

/// Where a resource is: what somebody has to himself is another one than what everybody shares, whatever their URIs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// On the instances that everybody shares.
    Shared,
    /// On the instance that this session or principal has to itself.
    Own(String),
}

/// The subscriptions to one server: counted, so that one who wants no more silences nobody.
#[derive(Debug, Default)]
pub(super) struct Book {
    wanted: BTreeMap<Place, BTreeMap<String, usize>>,
    /// The instances that somebody has to himself.
    lent: BTreeMap<String, Place>,
    is_alone: bool,
}

/// What a connection has been told, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    is_open: bool,
    by_uri: BTreeMap<String, Outcome>,
}

/// What came of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not been answered yet.
    Asked,
    /// The server tells of it.
    Taken,
    /// It does not, for this reason: an error object.
    Refused(String),
}

/// What a connection is to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) subscribe: BTreeSet<String>,
    pub(crate) unsubscribe: BTreeSet<String>,
}

impl Due {
    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribe.is_empty() && self.unsubscribe.is_empty()
    }
}

impl Book {
    /// One more wants to hear of a resource.
    pub(super) fn add(&mut self, place: &Place, uri: &str) {
        *self.wanted.entry(place.clone()).or_default().entry(uri.to_owned()).or_default() += 1;
    }

    /// One who wanted to does not any more.
    pub(super) fn remove(&mut self, place: &Place, uri: &str) {
        let Some(uris) = self.wanted.get_mut(place) else { return };
        if let Some(count) = uris.get_mut(uri) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                uris.remove(uri);
            }
        }
        if uris.is_empty() {
            self.wanted.remove(place);
        }
    }

    /// Whether instances are somebody's own, and which there are.
    pub(super) fn set_instances(&mut self, is_alone: bool, is_there: impl Fn(&str) -> bool) {
        self.is_alone = is_alone;
        self.lent.retain(|id, _| is_there(id));
    }

    /// Somebody has an instance to himself from now on.
    pub(super) fn lend(&mut self, instance: &str, place: Place) {
        self.lent.insert(instance.to_owned(), place);
    }

    /// Where the resources of an instance are. `None`: it is nobody's yet.
    pub(super) fn place_of(&self, instance: &str) -> Option<Place> {
        if self.is_alone { self.lent.get(instance).cloned() } else { Some(Place::Shared) }
    }

    /// What an instance is to be told that has been told so much.
    pub(super) fn due(&self, instance: &str, told: &Told) -> Due {
        let none = BTreeMap::new();
        let wanted = self.place_of(instance).and_then(|place| self.wanted.get(&place)).unwrap_or(&none);
        Due {
            subscribe: wanted.keys().filter(|uri| !told.by_uri.contains_key(*uri)).cloned().collect(),
            unsubscribe: told.by_uri.keys().filter(|uri| !wanted.contains_key(*uri)).cloned().collect(),
        }
    }
}

impl Told {
    /// A connection that has been told nothing yet.
    pub(crate) fn opened() -> Self {
        Self { is_open: true, by_uri: BTreeMap::new() }
    }

    /// What is due is told now. What was refused needs no word to be ended: only what was not remains to be said.
    pub(crate) fn begin(&mut self, due: &mut Due) {
        due.unsubscribe.retain(|uri| !matches!(self.by_uri.remove(uri), None | Some(Outcome::Refused(_))));
        self.by_uri.extend(due.subscribe.iter().map(|uri| (uri.clone(), Outcome::Asked)));
    }

    /// What came of a subscription that was asked for.
    pub(crate) fn settle(&mut self, uri: &str, outcome: Outcome) {
        if let Some(known) = self.by_uri.get_mut(uri) {
            *known = outcome;
        }
    }

    /// What was refused is to be told anew, where it is still wanted.
    pub(crate) fn forget(&mut self, uris: &BTreeSet<String>) {
        self.by_uri.retain(|uri, outcome| !uris.contains(uri) || !matches!(outcome, Outcome::Refused(_)));
    }

    /// What came of a subscription: `None` while that is not known, an error object where it came to nothing.
    pub(crate) fn outcome(&self, uri: &str) -> Option<Outcome> {
        self.by_uri.get(uri).cloned().filter(|outcome| *outcome != Outcome::Asked)
    }

    /// Whether there is a connection that is told anything.
    pub(crate) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether an update of a resource is for anybody.
    pub(crate) fn is_heard(&self, uri: &str) -> bool {
        matches!(self.by_uri.get(uri), Some(Outcome::Asked | Outcome::Taken))
    }

    /// Everything that the server tells of.
    pub(crate) fn taken(&self) -> Vec<String> {
        let taken = self.by_uri.iter().filter(|(_, outcome)| **outcome == Outcome::Taken);
        taken.map(|(uri, _)| uri.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Due, Outcome, Place, Told};

    /// What an instance is told now: `+` subscribes, `-` unsubscribes. Everything is taken.
    fn tell(book: &Book, instance: &str, told: &mut Told) -> String {
        let mut due = book.due(instance, told);
        told.begin(&mut due);
        due.subscribe.iter().for_each(|uri| told.settle(uri, Outcome::Taken));
        let subscribed = due.subscribe.iter().map(|uri| format!("+{uri}"));
        subscribed.chain(due.unsubscribe.iter().map(|uri| format!("-{uri}"))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_server_is_told_of_the_first_and_of_the_last_and_a_new_connection_of_all() {
        let (mut book, mut told) = (Book::default(), Told::opened());
        for (uri, heard) in [("a", "+a"), ("a", ""), ("b", "+b")] {
            book.add(&Place::Shared, uri);
            assert_eq!(tell(&book, "i", &mut told), heard);
        }
        assert_eq!(tell(&book, "i", &mut Told::opened()), "+a +b");
        for (uri, heard) in [("a", ""), ("c", ""), ("a", "-a"), ("a", ""), ("b", "-b")] {
            book.remove(&Place::Shared, uri);
            assert_eq!(tell(&book, "i", &mut told), heard);
        }
        assert_eq!(tell(&book, "i", &mut Told::opened()), "");
        assert!(book.wanted.is_empty());
    }

    #[test]
    fn an_instance_of_ones_own_is_told_what_its_owner_wants_and_nobodys_nothing() {
        let mut book = Book::default();
        let (ann, bob) = (Place::Own("ann".to_owned()), Place::Own("bob".to_owned()));
        book.set_instances(true, |_| true);
        book.add(&ann, "a");
        book.add(&bob, "b");
        book.lend("of-ann", ann.clone());
        assert_eq!(tell(&book, "of-ann", &mut Told::opened()), "+a");
        assert_eq!(tell(&book, "spare", &mut Told::opened()), "");
        // Another one in its place has it all again.
        book.lend("next", ann);
        book.set_instances(true, |id| id == "next");
        assert_eq!(book.place_of("of-ann"), None);
        assert_eq!(tell(&book, "next", &mut Told::opened()), "+a");
    }

    #[test]
    fn what_was_refused_is_not_ended_and_is_asked_again_once_it_is_forgotten() {
        let (mut book, mut told) = (Book::default(), Told::opened());
        book.add(&Place::Shared, "a");
        let mut due = book.due("i", &told);
        told.begin(&mut due);
        assert!(told.is_heard("a") && told.outcome("a").is_none());
        told.settle("a", Outcome::Refused("{}".to_owned()));
        assert!(!told.is_heard("a") && told.taken().is_empty() && book.due("i", &told).is_empty());
        told.forget(&["a".to_owned()].into());
        assert_eq!(book.due("i", &told), due);
        told.begin(&mut due);
        told.settle("a", Outcome::Refused("{}".to_owned()));
        book.remove(&Place::Shared, "a");
        let mut due = book.due("i", &told);
        told.begin(&mut due);
        assert_eq!(due, Due::default());
    }
}
