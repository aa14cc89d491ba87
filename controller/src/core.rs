//! The core: what the tasks of one controller share. Each part guards itself; no lock is held across an await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds_schema::ObjectKey;
use planner::World;

use crate::backoff::Backoffs;
use crate::board::Board;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::event::{EventType, NewEvent};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::rollout::RolloutBook;
use crate::store::Store;

/// What the tasks of one controller share.
#[derive(Debug)]
pub struct Core {
    /// What is wanted and what is observed.
    world: Mutex<World>,
    /// The failures in a row of each object.
    backoffs: Mutex<Backoffs>,
    /// The Engine.
    pub engine: Arc<dyn Engine>,
    /// What survives a restart.
    pub store: Store,
    /// What readers see.
    pub board: Arc<Board>,
    /// What is remembered of rollouts.
    pub rollouts: RolloutBook,
    /// Keys that are due.
    pub queue: Queue,
    /// Counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// When the controller started.
    pub started_ms: i64,
}

impl Core {
    /// Joins the parts. The seed decides the jitter of back-offs.
    pub fn new(
        world: World,
        engine: Arc<dyn Engine>,
        store: Store,
        board: Arc<Board>,
        metrics: Metrics,
        clock: Clock,
        seed: u64,
    ) -> Self {
        let (world, backoffs) = (Mutex::new(world), Mutex::new(Backoffs::new(seed)));
        Self {
            world,
            backoffs,
            engine,
            store,
            board,
            rollouts: RolloutBook::default(),
            queue: Queue::default(),
            metrics,
            clock,
            started_ms: clock.now_ms(),
        }
    }

    /// The world, for a moment: never across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        // A panic is caught one level up, and every method of the world leaves it whole.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The back-offs, for a moment.
    pub fn backoffs(&self) -> MutexGuard<'_, Backoffs> {
        self.backoffs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a key due now.
    pub fn wake(&self, key: &ObjectKey) {
        self.queue.add(key, Duration::ZERO);
    }

    /// Makes a key due now, and those that refer to it or depend on it.
    pub fn wake_with_dependents(&self, key: &ObjectKey) {
        let dependents: Vec<ObjectKey> = self.world().dependents_of(key).cloned().collect();
        self.wake(key);
        for dependent in &dependents {
            self.wake(dependent);
        }
    }

    /// Whether a pass over every object that is known, as it is wanted now, has been made since the start.
    pub fn is_every_object_looked_at(&self) -> bool {
        let objects = self.board.objects();
        objects.iter().all(|record| record.is_looked_at() && record.status.observed_ms >= self.started_ms)
    }

    /// Records an event: on the board at once, in the store with the next commit.
    pub fn record(&self, event: NewEvent) {
        self.metrics.count_event(event.event_type == EventType::Warning);
        let record = self.board.record_event(event, self.clock.now_ms());
        let mut write = self.store.write();
        write.put_event(record);
        if let Err(error) = write.commit_lazily() {
            tracing::debug!(error = %error, "an event is held until the store is back");
        }
    }
}
