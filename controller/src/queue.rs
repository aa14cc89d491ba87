//! The queue: keys that are due, each at most once, never two runs of one key at a time.
//!
//! An item is a key and nothing else: the reconciler must not know why it was woken. It is bounded by the number of objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds_schema::ObjectKey;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Keys that are due.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    due: BTreeSet<(Instant, ObjectKey)>,
    scheduled: BTreeMap<ObjectKey, Instant>,
    running: BTreeSet<ObjectKey>,
    /// Keys that became due while they ran.
    held: BTreeMap<ObjectKey, Instant>,
}

impl Queue {
    /// Makes a key due after a delay. The earlier time wins; a key that runs is due again after its run.
    pub fn add(&self, key: &ObjectKey, delay: Duration) {
        let at = Instant::now() + delay;
        let mut state = self.lock();
        if state.running.contains(key) {
            let held = state.held.entry(key.clone()).or_insert(at);
            *held = (*held).min(at);
            return;
        }
        state.schedule(key, at);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for a key to be due and takes it: it is not handed out again before [`Self::done`].
    ///
    /// Cancel-safe: a key is taken only when it is returned.
    pub async fn take(&self) -> ObjectKey {
        loop {
            let next_at = {
                let mut state = self.lock();
                match state.take_due(Instant::now()) {
                    Ok(key) => return key,
                    Err(next_at) => next_at,
                }
            };
            let changed = self.changed.notified();
            match next_at {
                Some(at) => {
                    // Either is only a reason to look again. The order is fixed, here and elsewhere, so that a simulation can
                    // be repeated.
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(at) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Ends the run of a key.
    pub fn done(&self, key: &ObjectKey) {
        let mut state = self.lock();
        state.running.remove(key);
        if let Some(at) = state.held.remove(key) {
            state.schedule(key, at);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// How many keys are due now or later, and how many run.
    pub fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.due.len() + state.held.len(), state.running.len())
    }

    /// Whether a key runs, or is due before a time.
    pub fn is_busy(&self, before: Instant) -> bool {
        let state = self.lock();
        !state.running.is_empty() || state.due.first().is_some_and(|(at, _)| *at <= before)
    }

    /// Whether a key runs.
    pub fn is_running(&self, key: &ObjectKey) -> bool {
        self.lock().running.contains(key)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Every update leaves the state whole, so a panic elsewhere while it was held does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn schedule(&mut self, key: &ObjectKey, at: Instant) {
        if let Some(earlier) = self.scheduled.get(key).copied() {
            if earlier <= at {
                return;
            }
            self.due.remove(&(earlier, key.clone()));
        }
        self.scheduled.insert(key.clone(), at);
        self.due.insert((at, key.clone()));
    }

    /// Takes the first key that is due, or tells when the next one will be.
    fn take_due(&mut self, now: Instant) -> Result<ObjectKey, Option<Instant>> {
        match self.due.first() {
            Some((at, _)) if *at <= now => {}
            Some((at, _)) => return Err(Some(*at)),
            None => return Err(None),
        }
        let Some((_, key)) = self.due.pop_first() else { return Err(None) };
        self.scheduled.remove(&key);
        self.running.insert(key.clone());
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Queue;

    #[tokio::test(start_paused = true)]
    async fn the_earlier_time_wins_and_a_key_is_there_once() {
        let queue = Queue::default();
        let key = "Deployment/web".parse().unwrap();
        queue.add(&key, Duration::from_mins(1));
        queue.add(&key, Duration::from_secs(1));
        queue.add(&key, Duration::from_secs(30));
        let start = tokio::time::Instant::now();
        assert_eq!(queue.take().await, key);
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert_eq!(queue.depth(), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_becomes_due_while_it_runs_runs_again_afterwards() {
        let queue = Queue::default();
        let key = "Deployment/web".parse().unwrap();
        queue.add(&key, Duration::ZERO);
        assert_eq!(queue.take().await, key);
        queue.add(&key, Duration::ZERO);
        let second = tokio::time::timeout(Duration::from_secs(1), queue.take()).await;
        assert!(second.is_err(), "it was handed out while it ran");
        queue.done(&key);
        assert_eq!(queue.take().await, key);
    }
}
