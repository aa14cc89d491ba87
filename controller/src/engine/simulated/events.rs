//! The event stream: a ring of the last 256 events and bounded buffers of subscribers.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::engine::{EngineError, EngineEvent, EventSubject};

/// How many events the Engine remembers.
const RING: usize = 256;
/// How many events wait for a subscriber before it loses some.
const SUBSCRIBER_BUFFER: usize = 1024;

/// What one subscriber receives.
pub(super) type EventResult = Result<EngineEvent, EngineError>;

/// The events.
#[derive(Debug, Default)]
pub(super) struct Events {
    ring: VecDeque<EngineEvent>,
    subscribers: Vec<mpsc::Sender<EventResult>>,
    lost: u64,
}

impl Events {
    /// A new subscriber, who hears what happens from now on.
    pub(super) fn subscribe(&mut self) -> mpsc::Receiver<EventResult> {
        let (tx, rx) = mpsc::channel(SUBSCRIBER_BUFFER);
        self.subscribers.push(tx);
        rx
    }

    /// Whether anybody listens; forgets those who do not any more.
    pub(super) fn has_subscribers(&mut self) -> bool {
        self.subscribers.retain(|tx| !tx.is_closed());
        !self.subscribers.is_empty()
    }

    /// Nothing that happened is remembered any more.
    pub(super) fn forget(&mut self) {
        self.ring.clear();
    }

    /// Ends every stream, as a broken connection does.
    pub(super) fn cut(&mut self) {
        self.subscribers.clear();
    }

    pub(super) fn container(&mut self, id: &str, name: &str, action: &str, exit_code: Option<i64>) {
        self.push(EventSubject::Container, id, action, name, exit_code);
    }

    pub(super) fn network(&mut self, id: &str, action: &str, actor: &str) {
        self.push(EventSubject::Network, id, action, actor, None);
    }

    pub(super) fn volume(&mut self, name: &str, action: &str) {
        self.push(EventSubject::Volume, name, action, "", None);
    }

    pub(super) fn image(&mut self, id: &str, action: &str, name: &str) {
        self.push(EventSubject::Image, id, action, name, None);
    }

    /// The last events, oldest first.
    pub(super) fn recent(&self) -> Vec<EngineEvent> {
        self.ring.iter().cloned().collect()
    }

    /// How many events subscribers lost because they did not read.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    fn push(&mut self, subject: EventSubject, id: &str, action: &str, actor: &str, exit_code: Option<i64>) {
        let action: String = action.chars().take(64).collect();
        let event = EngineEvent { subject, id: id.to_owned(), action, actor: actor.to_owned(), exit_code };
        let mut lost = 0;
        self.subscribers.retain(|tx| match tx.try_send(Ok(event.clone())) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                lost += 1;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        self.lost += lost;
        if self.ring.len() == RING {
            self.ring.pop_front();
        }
        self.ring.push_back(event);
    }
}
