//! The life of one controller process: it can be killed at any point where it touches the Engine, the store or the files, and frozen.
//!
//! What a dead process does has no effect: its calls never leave it, its commits never reach the disk. So killing it at a point is
//! exact, whatever it still computes before it next waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// One process. Clones are handles of the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_dead: bool,
    is_frozen: bool,
    /// How many points were passed.
    points: u64,
    /// The point at which it dies, from 1.
    dies_at: Option<u64>,
}

impl Life {
    /// Passes a point: waits while frozen, dies where it is to die. Never returns to a dead process.
    pub(crate) async fn pass_point(&self) {
        self.wait_while_frozen().await;
        if !self.pass_point_now() {
            std::future::pending::<()>().await;
        }
    }

    /// The same where nothing can be waited for. Returns whether the process lives.
    pub(crate) fn pass_point_now(&self) -> bool {
        let mut state = self.lock();
        state.points += 1;
        if state.dies_at.is_some_and(|at| at <= state.points) {
            state.is_dead = true;
        }
        let is_dead = state.is_dead;
        drop(state);
        if is_dead {
            self.shared.changed.notify_waiters();
        }
        !is_dead
    }

    /// Waits until it is not frozen. Returns whether it was.
    pub(crate) async fn wait_while_frozen(&self) -> bool {
        let mut was_frozen = false;
        loop {
            let changed = self.shared.changed.notified();
            if !self.lock().is_frozen {
                return was_frozen;
            }
            was_frozen = true;
            changed.await;
        }
    }

    /// Kills it at once.
    pub(crate) fn kill(&self) {
        self.lock().is_dead = true;
        self.shared.changed.notify_waiters();
    }

    /// Kills it at the `after`th point from now, from 1.
    pub(crate) fn kill_after(&self, after: u64) {
        let mut state = self.lock();
        state.dies_at = Some(state.points + after);
    }

    /// Stops it as SIGSTOP does, or lets it go on.
    pub(crate) fn set_frozen(&self, is_frozen: bool) {
        self.lock().is_frozen = is_frozen;
        self.shared.changed.notify_waiters();
    }

    /// Whether it is dead.
    pub(crate) fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// How many points it has passed.
    pub(crate) fn points(&self) -> u64 {
        self.lock().points
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
