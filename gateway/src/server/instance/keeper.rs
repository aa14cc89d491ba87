//! Keeps one instance reached: asked what it lists, watched until it is gone, and reached again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Shared, State, Surroundings};
use crate::config::Endpoint;
use crate::connection::{Connection, Listing, ProbeError};
use crate::era::Era;
use crate::server::hearing::{listen, merge};
use crate::server::herald::Herald;
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

/// Keeps one instance reached.
pub(super) struct Keeper {
    pub(super) id: String,
    pub(super) endpoint: Endpoint,
    pub(super) surroundings: Surroundings,
    pub(super) shared: Arc<Shared>,
    pub(super) used_by: UsedBy,
    pub(super) herald: Herald,
}

impl Keeper {
    /// Does so for as long as it is wanted.
    pub(super) async fn run(self) {
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
