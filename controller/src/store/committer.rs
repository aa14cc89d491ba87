//! The committer: one thread that makes changes durable, many at a time, so that nobody else ever waits for the disk unasked.
//!
//! Changes are held in memory until the thread has written them, and reads see them there at once. A durable commit
//! takes everything along that was submitted before it, so what survives a crash is always a prefix. Commits that come while one is
//! being written share the next one. There is no queue that could fill: what waits is one value a key, and a receiver a caller.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::StoreError;
use super::codec;
use super::kv::{Batch, CommitMode, Kv, KvError, Value};
use super::record::COMMITS;

/// Where and when changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// By a thread of its own; lazy changes after this delay at the latest.
    Thread {
        /// How long lazy changes are gathered.
        lazy_delay: Duration,
    },
    /// By the caller, at once: for the database in memory, so that a simulation stays deterministic.
    Inline {
        /// How long a caller of a durable commit waits, by tokio's clock.
        commit_time: Duration,
    },
}

/// How long the last commit may take when the store is closed.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Makes changes durable.
pub(super) struct Committer {
    shared: Arc<Shared>,
    pace: Pace,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    kv: Arc<dyn Kv>,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Not yet taken up by the thread.
    pending: Batch,
    /// Being written by the thread.
    in_flight: Batch,
    /// Who waits for everything that is pending now.
    waiters: Vec<Waiter>,
    /// When the oldest lazy change must be written.
    lazy_due: Option<Instant>,
    /// Why nothing is written any more.
    failure: Option<KvError>,
    is_closing: bool,
    commits: u64,
}

/// How a caller is told what became of its commit.
type Waiter = oneshot::Sender<Result<(), StoreError>>;

/// What a caller of [`Committer::submit`] waits for.
pub(super) type Acknowledgement = oneshot::Receiver<Result<(), StoreError>>;

impl Committer {
    /// Starts the committer over a database that holds `commits` commits.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(kv: Arc<dyn Kv>, commits: u64, pace: Pace) -> std::io::Result<Self> {
        let state = Mutex::new(State { commits, ..State::default() });
        let shared = Arc::new(Shared { kv, state, wake: Condvar::new() });
        let worker = match pace {
            Pace::Inline { .. } => None,
            Pace::Thread { .. } => {
                let shared = Arc::clone(&shared);
                Some(std::thread::Builder::new().name("evenkeel-store".into()).spawn(move || shared.run())?)
            }
        };
        Ok(Self { shared, pace, worker: Mutex::new(worker) })
    }

    /// Takes changes over; from here on every read sees them. Returns what to wait for, where there is something.
    ///
    /// # Errors
    /// When the store has failed or is closed. After a failure the changes are held none the less, and written on [`Self::reopen`].
    pub(super) fn submit(&self, batch: Batch, mode: CommitMode) -> Result<Option<Acknowledgement>, StoreError> {
        let mut state = self.shared.lock();
        if state.is_closing {
            return Err(StoreError::Closed);
        }
        let changes = self.shared.only_changes(&state, batch);
        let is_changed = !changes.is_empty();
        for (key, change) in changes {
            self.shared.hold(&mut state, key, change);
        }
        if let Some(source) = &state.failure {
            return Err(StoreError::Failed { source: source.clone() });
        }
        match (self.pace, mode) {
            (Pace::Inline { .. }, _) if is_changed || mode == CommitMode::Durable => {
                let (batch, waiters) = state.take();
                drop(state);
                self.shared.write(&batch, waiters, mode)?;
            }
            (Pace::Inline { .. }, _) => {}
            (Pace::Thread { lazy_delay }, CommitMode::Lazy) => {
                if is_changed && state.lazy_due.is_none() {
                    state.lazy_due = Some(Instant::now() + lazy_delay);
                    self.shared.wake.notify_one();
                }
            }
            (Pace::Thread { .. }, CommitMode::Durable) => {
                if !state.pending.is_empty() || !state.in_flight.is_empty() {
                    let (tx, rx) = oneshot::channel();
                    state.waiters.push(tx);
                    self.shared.wake.notify_one();
                    return Ok(Some(rx));
                }
            }
        }
        Ok(None)
    }

    /// Where and when changes are written.
    pub(super) const fn pace(&self) -> Pace {
        self.pace
    }

    /// One value, as the newest submitted change has it.
    pub(super) fn get(&self, key: &str) -> Result<Option<Value>, KvError> {
        if let Some(change) = self.shared.lock().held(key) {
            return Ok(change.clone());
        }
        self.shared.kv.get(key)
    }

    /// Visits every entry whose key begins with `prefix`, in the order of the keys, as the newest submitted changes have it.
    pub(super) fn scan_prefix(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), KvError> {
        let mut held = self.shared.lock().held_under(prefix);
        self.shared.kv.scan_prefix(prefix, &mut |key, stored| {
            while held.first_key_value().is_some_and(|(first, _)| first.as_str() < key) {
                visit_held(held.pop_first(), visit);
            }
            match held.remove_entry(key) {
                Some(newer) => visit_held(Some(newer), visit),
                None => visit(key, stored),
            }
        })?;
        for newer in held {
            visit_held(Some(newer), visit);
        }
        Ok(())
    }

    /// Why nothing is written any more, where that is so.
    pub(super) fn failure(&self) -> Option<KvError> {
        self.shared.lock().failure.clone()
    }

    /// How many commits the database holds.
    pub(super) fn commits(&self) -> u64 {
        self.shared.lock().commits
    }

    /// Opens the database again after a failure and lets the thread write what was held meanwhile. Waits for the disk.
    ///
    /// # Errors
    /// When it still cannot be opened.
    pub(super) fn reopen(&self) -> Result<(), KvError> {
        self.shared.kv.reopen()?;
        self.shared.lock().failure = None;
        Ok(())
    }

    /// Takes note that the disk does not answer: nothing more is written until [`Self::reopen`] succeeds.
    pub(super) fn give_up(&self, failure: KvError) {
        self.shared.lock().failure.get_or_insert(failure);
    }

    /// Writes what is held, and ends the thread. Waits for the disk, but not for ever: a thread that hangs is left behind. Returns whether
    /// everything was written.
    pub(super) fn close(&self) -> bool {
        self.shared.lock().is_closing = true;
        self.shared.wake.notify_one();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            let deadline = Instant::now() + CLOSE_DEADLINE;
            while !worker.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            if worker.is_finished() {
                // The thread cannot panic; if it did, what it leaves unwritten says so.
                drop(worker.join());
            }
        }
        let state = self.shared.lock();
        state.pending.is_empty() && state.in_flight.is_empty() && state.failure.is_none()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves the state whole, so a panic elsewhere while it was held does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes of a batch that change anything: an idle system writes nothing.
    fn only_changes(&self, state: &State, batch: Batch) -> Batch {
        let is_change = |key: &String, change: &Option<Value>| match state.held(key) {
            Some(held) => held != change,
            // A value that cannot be read is written anew.
            None => self.kv.get(key).map_or(true, |stored| stored != *change),
        };
        batch.into_iter().filter(|(key, change)| is_change(key, change)).collect()
    }

    /// Holds a change until it is written. A value that comes and goes before that leaves no trace, so that what is held
    /// while the disk is full stays bounded.
    fn hold(&self, state: &mut State, key: String, change: Option<Value>) {
        let is_gone = change.is_none();
        if is_gone && !state.in_flight.contains_key(&key) && matches!(self.kv.get(&key), Ok(None)) {
            state.pending.remove(&key);
        } else {
            state.pending.insert(key, change);
        }
    }

    fn run(&self) {
        while let Some((batch, waiters)) = self.next_work() {
            // The waiters hear of a failure; lazy changes are held, and the next submit says so.
            drop(self.write(&batch, waiters, CommitMode::Durable));
        }
    }

    /// Waits for something to write; `None` when the store is closing and nothing is left.
    fn next_work(&self) -> Option<(Batch, Vec<Waiter>)> {
        let mut state = self.lock();
        loop {
            let is_stuck = state.failure.is_some();
            let is_due = state.lazy_due.is_some_and(|due| due <= Instant::now());
            if !is_stuck && (!state.waiters.is_empty() || is_due || (state.is_closing && !state.pending.is_empty())) {
                return Some(state.take());
            }
            if state.is_closing {
                return None;
            }
            let wait = state.lazy_due.filter(|_| !is_stuck).map(|due| due.saturating_duration_since(Instant::now()));
            state = match wait {
                Some(wait) => self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Writes what was taken, and tells who waits for it.
    fn write(&self, batch: &Batch, waiters: Vec<Waiter>, mode: CommitMode) -> Result<(), StoreError> {
        let result = self.commit_counted(batch, mode);
        let mut state = self.lock();
        let mut told = waiters;
        let written = std::mem::take(&mut state.in_flight);
        let outcome = match result {
            Ok(()) => {
                state.commits = state.commits.saturating_add(1);
                Ok(())
            }
            Err(source) => {
                let newer = std::mem::replace(&mut state.pending, written);
                state.pending.extend(newer);
                state.failure = Some(source.clone());
                told.append(&mut state.waiters);
                Err(StoreError::Failed { source })
            }
        };
        drop(state);
        for waiter in told {
            // A caller that has gone does not want to know.
            drop(waiter.send(outcome.clone()));
        }
        outcome
    }

    fn commit_counted(&self, batch: &Batch, mode: CommitMode) -> Result<(), KvError> {
        let commits = self.lock().commits.saturating_add(1);
        let mut counted = batch.clone();
        // A number is always valid JSON; without the counter the commit would still be whole.
        counted.extend(codec::encode(COMMITS, &commits).ok().map(|value| (COMMITS.to_owned(), Some(value))));
        self.kv.commit(&counted, mode)
    }
}

impl State {
    /// The change to a key that is not written yet.
    fn held(&self, key: &str) -> Option<&Option<Value>> {
        self.pending.get(key).or_else(|| self.in_flight.get(key))
    }

    /// The changes to keys that begin with `prefix` and are not written yet.
    fn held_under(&self, prefix: &str) -> Batch {
        let under = |batch: &Batch| -> Batch {
            let from_prefix = batch.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
            from_prefix.map(|(key, change)| (key.clone(), change.clone())).collect()
        };
        let mut held = under(&self.in_flight);
        held.extend(under(&self.pending));
        held
    }

    /// Moves everything that is pending in flight.
    fn take(&mut self) -> (Batch, Vec<Waiter>) {
        self.in_flight = std::mem::take(&mut self.pending);
        self.lazy_due = None;
        (self.in_flight.clone(), std::mem::take(&mut self.waiters))
    }
}

/// Visits a change that is not written yet, unless it removes its entry.
fn visit_held(held: Option<(String, Option<Value>)>, visit: &mut dyn FnMut(&str, &[u8])) {
    if let Some((key, Some(value))) = held {
        visit(&key, &value);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").field("kv", &self.shared.kv).field("pace", &self.pace).finish_non_exhaustive()
    }
}
