//! The database in memory: the twin of the one on disk, which can also crash on purpose.
//!
//! It keeps what is durable apart from the batches that are not yet, so that a test or a simulation can take any tail
//! of those back, as a crash may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kv::{Batch, CommitMode, Kv, KvError, KvErrorKind, Value};

/// A database in memory; clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryKv {
    state: Arc<Mutex<MemoryState>>,
}

#[derive(Debug, Default)]
struct MemoryState {
    current: BTreeMap<String, Value>,
    durable: BTreeMap<String, Value>,
    tail: Vec<Batch>,
    fault: Fault,
}

/// What a [`MemoryKv`] does wrong on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The disk is full: every commit fails, and every reopening.
    NoSpace,
    /// There is space again, but the handle is broken: every commit fails until the database is reopened.
    BrokenHandle,
}

impl MemoryKv {
    /// How many batches a crash may take back.
    pub fn undurable_batches(&self) -> usize {
        self.lock().tail.len()
    }

    /// What is left after a crash that takes everything that was not durable.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.crash_keeping(0)
    }

    /// What is left after a crash that happens to spare the first `kept` of the batches that were not durable.
    #[must_use]
    pub fn crash_keeping(&self, kept: usize) -> Self {
        let state = self.lock();
        let mut left = state.durable.clone();
        state.tail.iter().take(kept).for_each(|batch| apply(&mut left, batch));
        let left = MemoryState { current: left.clone(), durable: left, ..MemoryState::default() };
        Self { state: Arc::new(Mutex::new(left)) }
    }

    /// What would survive a crash, of the keys that begin with `prefix`.
    pub fn durable(&self, prefix: &str) -> Vec<(String, Value)> {
        let state = self.lock();
        let from_prefix = state.durable.range(prefix.to_owned()..);
        let of_prefix = from_prefix.take_while(|(key, _)| key.starts_with(prefix));
        of_prefix.map(|(key, value)| (key.clone(), Arc::clone(value))).collect()
    }

    /// Makes commits fail, or stop failing.
    pub fn inject(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// Puts bytes under a key behind the store's back, as a failing disk does.
    pub fn corrupt(&self, key: &str, bytes: &[u8]) {
        let mut state = self.lock();
        state.current.insert(key.to_owned(), bytes.into());
        state.durable.insert(key.to_owned(), bytes.into());
    }

    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        // Every change leaves the state whole, so a panic elsewhere while it was held does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kv for MemoryKv {
    fn get(&self, key: &str) -> Result<Option<Value>, KvError> {
        Ok(self.lock().current.get(key).cloned())
    }

    fn scan_prefix(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), KvError> {
        let state = self.lock();
        let from_prefix = state.current.range(prefix.to_owned()..);
        for (key, value) in from_prefix.take_while(|(key, _)| key.starts_with(prefix)) {
            visit(key, value);
        }
        Ok(())
    }

    fn commit(&self, batch: &Batch, mode: CommitMode) -> Result<(), KvError> {
        let mut state = self.lock();
        match state.fault {
            Fault::None => {}
            Fault::NoSpace | Fault::BrokenHandle => return Err(full(format!("commit {} changes", batch.len()))),
        }
        apply(&mut state.current, batch);
        match mode {
            CommitMode::Lazy => state.tail.push(batch.clone()),
            CommitMode::Durable => {
                let state = &mut *state;
                state.tail.drain(..).for_each(|earlier| apply(&mut state.durable, &earlier));
                apply(&mut state.durable, batch);
            }
        }
        Ok(())
    }

    fn reopen(&self) -> Result<(), KvError> {
        let mut state = self.lock();
        match state.fault {
            Fault::None => {}
            Fault::NoSpace => return Err(full("reopen the store".to_owned())),
            Fault::BrokenHandle => state.fault = Fault::None,
        }
        Ok(())
    }

    /// There is nothing to let go of.
    fn close(&self) {}
}

fn apply(content: &mut BTreeMap<String, Value>, batch: &Batch) {
    for (key, change) in batch {
        match change {
            Some(value) => content.insert(key.clone(), Arc::clone(value)),
            None => content.remove(key),
        };
    }
}

fn full(operation: String) -> KvError {
    KvError { operation, kind: KvErrorKind::NoSpace, text: "no space left on device (injected)".to_owned() }
}
