//! The board: the newest record of every object and the newest events, in memory, for readers that must not wait for the store.
//!
//! The reconciler writes it; the HTTP server and the progress display read it. The store keeps a copy across restarts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds_schema::{Diagnostic, Kind, ObjectKey};
use tokio::sync::watch;

use crate::event::{EventRecord, NewEvent};
use crate::status::ObjectRecord;

/// How many events the board holds.
pub const EVENT_CAPACITY: usize = 1_000;

/// What readers see.
#[derive(Debug)]
pub struct Board {
    state: Mutex<BoardState>,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct BoardState {
    objects: BTreeMap<ObjectKey, Arc<ObjectRecord>>,
    events: VecDeque<EventRecord>,
    last_sequence: u64,
    controller: ControllerStatus,
}

/// What is true of the controller itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ControllerStatus {
    /// Whether the first full pass is done: every object has been planned once against a fresh list.
    pub is_ready: bool,
    /// Whether the Engine answered last time.
    pub is_engine_reachable: bool,
    /// Whether the engine is the simulated one, which every table says.
    pub is_simulated: bool,
    /// Why the store is not what it was, where it had to be recovered.
    pub store_recovered: Option<String>,
    /// Why the manifests could not be read as a whole, where that is so.
    pub source_problem: Option<String>,
    /// The faults of the manifests at present.
    pub diagnostics: Vec<Diagnostic>,
    /// What prune holds back, and the token that lets it go on.
    pub prune_held: Option<PruneHeld>,
}

/// A removal that waits for a user's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneHeld {
    /// What would be removed.
    pub keys: Vec<ObjectKey>,
    /// The token that `evenkeel prune --confirm` takes; another set of keys has another token.
    pub token: String,
    /// Why it is held.
    pub reason: String,
}

impl Default for Board {
    fn default() -> Self {
        Self { state: Mutex::default(), revision: watch::Sender::new(0) }
    }
}

impl Board {
    /// One object.
    pub fn object(&self, key: &ObjectKey) -> Option<Arc<ObjectRecord>> {
        self.lock().objects.get(key).cloned()
    }

    /// Every object, in the order of the keys.
    pub fn objects(&self) -> Vec<Arc<ObjectRecord>> {
        self.lock().objects.values().cloned().collect()
    }

    /// Every object of some kinds, in the order of the keys.
    pub fn objects_of(&self, kinds: &[Kind]) -> Vec<Arc<ObjectRecord>> {
        let state = self.lock();
        state.objects.values().filter(|record| kinds.contains(&record.key.kind)).cloned().collect()
    }

    /// Puts the newest record of an object; readers are woken when it differs.
    pub fn put_object(&self, record: ObjectRecord) {
        let mut state = self.lock();
        if state.objects.get(&record.key).is_none_or(|old| **old != record) {
            state.objects.insert(record.key.clone(), Arc::new(record));
            drop(state);
            self.bump();
        }
    }

    /// Puts the newest record of an object, unless it is not any more as it was when that was made. Returns whether it was put.
    pub fn replace_object(&self, before: &Arc<ObjectRecord>, record: ObjectRecord) -> bool {
        let mut state = self.lock();
        let Some(known) = state.objects.get_mut(&record.key).filter(|known| Arc::ptr_eq(known, before)) else {
            return false;
        };
        *known = Arc::new(record);
        drop(state);
        self.bump();
        true
    }

    /// Changes the record of an object that is there, as it is now; readers are woken when it differs.
    pub fn change_object(&self, key: &ObjectKey, change: impl FnOnce(&ObjectRecord) -> ObjectRecord) {
        let mut state = self.lock();
        let Some(before) = state.objects.get_mut(key) else { return };
        let record = change(before);
        if **before != record {
            *before = Arc::new(record);
            drop(state);
            self.bump();
        }
    }

    /// Wakes readers for something that is not on the board itself.
    pub fn tell(&self) {
        self.bump();
    }

    /// Forgets an object that is gone.
    pub fn remove_object(&self, key: &ObjectKey) {
        let was_there = self.lock().objects.remove(key).is_some();
        if was_there {
            self.bump();
        }
    }

    /// Events with a sequence above `after`, oldest first; of one object where a key is given.
    pub fn events(&self, object: Option<&ObjectKey>, after: u64) -> Vec<EventRecord> {
        let state = self.lock();
        let is_wanted =
            |event: &&EventRecord| event.sequence > after && (object.is_none() || event.object.as_ref() == object);
        state.events.iter().filter(is_wanted).cloned().collect()
    }

    /// Records an event at a time: a repetition of one that is still held raises its count. Returns the record.
    pub fn record_event(&self, event: NewEvent, now_ms: i64) -> EventRecord {
        let mut state = self.lock();
        state.last_sequence += 1;
        let sequence = state.last_sequence;
        let is_same = |held: &EventRecord| {
            held.object == event.object && held.reason == event.reason && held.message == event.message
        };
        let record = match state.events.iter().position(is_same).and_then(|index| state.events.remove(index)) {
            Some(held) => EventRecord { sequence, count: held.count + 1, last_ms: now_ms, ..held },
            None => EventRecord {
                sequence,
                object: event.object,
                event_type: event.event_type,
                reason: event.reason,
                message: event.message,
                count: 1,
                first_ms: now_ms,
                last_ms: now_ms,
            },
        };
        state.events.push_back(record.clone());
        if state.events.len() > EVENT_CAPACITY {
            state.events.pop_front();
        }
        drop(state);
        self.bump();
        record
    }

    /// Puts back what the store kept, at start.
    pub fn restore_events(&self, events: Vec<EventRecord>) {
        let mut state = self.lock();
        state.last_sequence = events.iter().map(|event| event.sequence).max().unwrap_or(0);
        state.events = events.into();
    }

    /// What is true of the controller itself.
    pub fn controller(&self) -> ControllerStatus {
        self.lock().controller.clone()
    }

    /// Changes what is true of the controller itself.
    pub fn update_controller(&self, update: impl FnOnce(&mut ControllerStatus)) {
        let mut state = self.lock();
        let before = state.controller.clone();
        update(&mut state.controller);
        let is_changed = state.controller != before;
        drop(state);
        if is_changed {
            self.bump();
        }
    }

    /// A receiver that is told whenever anything on the board changes.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn bump(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BoardState> {
        // Every update leaves the state whole, so a panic elsewhere while it was held does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
