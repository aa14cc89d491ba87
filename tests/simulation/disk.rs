//! The simulated disk: what of the store survives the death of its process.

use std::borrow::Cow;
use std::sync::Arc;

use controller::store::kv::{Batch, CommitMode, Kv, KvError, KvErrorKind, Value};
use controller::store::memory::MemoryKv;

use super::audit::{fault_of_intent, without_cause};
use super::coverage::recovery_of;
use super::life::Life;
use super::mutants::Mutant;
use super::oracle::Oracle;
use super::trace::Trace;

/// The store's database, as one process has it.
#[derive(Debug)]
pub(crate) struct ProcessKv {
    pub(crate) kv: MemoryKv,
    pub(crate) life: Life,
    pub(crate) trace: Trace,
    pub(crate) oracle: Oracle,
    pub(crate) mutant: Option<Mutant>,
}

impl ProcessKv {
    fn dead() -> KvError {
        KvError { operation: "commit".to_owned(), kind: KvErrorKind::Io, text: "the process is dead".to_owned() }
    }

    /// The batch as a broken store writes it.
    fn broken<'batch>(&self, batch: &'batch Batch) -> Cow<'batch, Batch> {
        let mut broken = batch.clone();
        match self.mutant {
            Some(Mutant::HoardsEvents) => broken.retain(|key, value| !(key.starts_with("event/") && value.is_none())),
            Some(Mutant::DropsCauses) => {
                for (_, value) in broken.iter_mut().filter(|(key, _)| key.starts_with("intent/")) {
                    *value = value.as_ref().map(without_cause);
                }
            }
            _ => return Cow::Borrowed(batch),
        }
        Cow::Owned(broken)
    }
}

impl Kv for ProcessKv {
    fn get(&self, key: &str) -> Result<Option<Value>, KvError> {
        self.kv.get(key)
    }

    fn scan_prefix(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), KvError> {
        self.kv.scan_prefix(prefix, visit)
    }

    fn commit(&self, batch: &Batch, mode: CommitMode) -> Result<(), KvError> {
        if !self.life.pass_point_now() {
            return Err(Self::dead());
        }
        let mode = if self.mutant == Some(Mutant::MakesNothingDurable) { CommitMode::Lazy } else { mode };
        let batch = self.broken(batch);
        let batch = batch.as_ref();
        for (key, value) in batch.iter().filter(|(key, _)| key.starts_with("intent/")) {
            if let Some(fault) = value.as_ref().and_then(fault_of_intent) {
                self.oracle.accuse(format!("A2: `{key}` {fault}"));
            }
        }
        let outcome = self.kv.commit(batch, mode);
        let keys: Vec<&str> = batch.keys().map(String::as_str).filter(|key| *key != "meta/commits").collect();
        let word = if outcome.is_ok() { "" } else { " FAILED" };
        self.trace.say(&format!("commit {mode:?}{word} {}", keys.join(" ")));
        for (key, value) in batch.iter().filter(|(key, _)| key.starts_with("object/") || key.starts_with("event/")) {
            self.trace.note(|| {
                let text = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
                format!("  {key} = {}", text.unwrap_or_default())
            });
        }
        let events = batch.iter().filter(|(key, _)| key.starts_with("event/"));
        for recovery in events.filter_map(|(_, event)| recovery_of(event.as_ref()?)) {
            self.trace.count(recovery);
        }
        self.trace.count("store: commit");
        self.life.pass_point_now();
        outcome
    }

    fn reopen(&self) -> Result<(), KvError> {
        self.trace.count("store: reopen");
        self.kv.reopen()
    }

    fn close(&self) {
        self.kv.close();
    }
}

/// What is left of a database when its process dies: what was durable, and perhaps some of what was not.
pub(crate) fn survivor(kv: &MemoryKv, random: &mut fastrand::Rng, trace: &Trace) -> MemoryKv {
    let tail = kv.undurable_batches();
    let kept = random.usize(0..=tail);
    if kept < tail {
        trace.count("store: lost tail");
    }
    kv.crash_keeping(kept)
}

/// Every durable intent that has no outcome yet, as text.
pub(crate) fn durable_intents(kv: &MemoryKv) -> Vec<String> {
    kv.durable("intent/").into_iter().map(|(_, value)| String::from_utf8_lossy(&value).into_owned()).collect()
}

/// A database behind the trait, for a store.
pub(crate) fn shared(kv: ProcessKv) -> Arc<dyn Kv> {
    Arc::new(kv)
}
