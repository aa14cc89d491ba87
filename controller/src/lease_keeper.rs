//! The lease over a run: taken when the Engine is first reached, confirmed before anything is changed, given back at the end.
//!
//! A controller that slept, or was cut off, may have been followed by another one. So the executor has the lease confirmed before
//! each changing call. One confirmation is good for a moment, and so for all calls of a burst.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::engine::{Engine, ErrorKind};
use crate::holder::Holder;
use crate::lease::{self, Lease, LeaseCheck, LeaseError, LeaseRequest};
use crate::store::{Store, StoreError};
use crate::wording::with_causes;

/// Where the store keeps the epoch of the last lease.
const LEASE_EPOCH: &str = "lease-epoch";
/// How often the lease is looked at where nothing is changed: so long may a controller that was taken over sit idle.
const LOOK_TIME: Duration = Duration::from_mins(1);
/// For how long a confirmation is good, counted from the question and not from the answer: what happened between the two is not known.
const CONFIRMED_TIME: Duration = Duration::from_secs(2);
/// How often it is asked anew when the answer comes too late to be good, or when the lease had to be acquired.
const TRIES: u32 = 3;
/// How long it may take to acquire the lease: the Engine may hang.
const ACQUIRE_DEADLINE: Duration = Duration::from_mins(1);

/// Keeps the lease of one controller.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    engine: Arc<dyn Engine>,
    store: Store,
    me: Holder,
    data_dir_id: String,
    /// Held across calls, so that whoever comes while one asks shares the answer.
    state: Mutex<State>,
    /// Told when the lease is lost for good.
    lost: Notify,
}

/// What is known of the lease.
#[derive(Debug)]
struct State {
    held: Option<Lease>,
    /// Whether the next request may follow a holder that lives. The user said so of the one that was there at the start, not of
    /// those that come later: two that were told to take over would do it in turns.
    may_take_over: bool,
    /// When the question was asked that was last answered by `held`.
    confirmed: Option<Instant>,
    /// Why it could last not be confirmed, and since when that is known.
    failed: Option<(Instant, Unconfirmed)>,
    /// Somebody else has it.
    lost: Option<Loss>,
}

/// That somebody else has the lease.
#[derive(Debug)]
enum Loss {
    /// Nobody has been told yet.
    Untold(KeepError),
    /// The run ends by it.
    Told,
}

/// Why nothing may be changed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unconfirmed {
    /// [`ErrorKind::NotLeader`] or [`ErrorKind::Unreachable`].
    pub(crate) kind: ErrorKind,
    /// The reason in words.
    pub(crate) text: String,
}

/// Why the lease could not be taken or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is not to be had.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The Engine did not answer.
    #[error("cannot acquire the lease within {} s: the engine does not answer", ACQUIRE_DEADLINE.as_secs())]
    TimedOut,
    /// The Engine did not say in time whether it is held.
    #[error("the engine does not say within {} s whether the lease is held", CONFIRMED_TIME.as_secs())]
    Unanswered,
    /// Its epoch could not be read or written.
    #[error("cannot remember the lease")]
    Store(#[from] StoreError),
    /// Another controller took it over while this one ran.
    #[error("this controller's lease was taken over by {0}")]
    TakenBy(Box<Holder>),
}

impl KeepError {
    /// Whether it is the Engine that failed, so that trying again may help.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Unanswered | Self::Lease(LeaseError::Engine { .. }))
    }

    /// Whether somebody else has it.
    const fn is_loss(&self) -> bool {
        matches!(self, Self::TakenBy(_) | Self::Lease(LeaseError::Held { .. }))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lease(error) => Some(error.hint()),
            Self::TimedOut | Self::Unanswered => Some("see what the engine is busy with, then start again".into()),
            Self::Store(_) => None,
            Self::TakenBy(_) => Some("one controller an instance: end one of the two for good".into()),
        }
    }
}

impl LeaseKeeper {
    /// A keeper that holds nothing yet.
    pub(crate) fn new(engine: Arc<dyn Engine>, store: Store, me: Holder, data_dir_id: String, take_over: bool) -> Self {
        let state = State { held: None, may_take_over: take_over, confirmed: None, failed: None, lost: None };
        Self { engine, store, me, data_dir_id, state: Mutex::new(state), lost: Notify::new() }
    }

    /// Takes the lease, unless it is held.
    pub(crate) async fn ensure(&self) -> Result<(), KeepError> {
        let mut state = self.state.lock().await;
        if state.held.is_some() { Ok(()) } else { self.acquire(&mut state).await }
    }

    /// Makes sure that the lease is held, by asking the Engine unless that was done a moment ago.
    ///
    /// # Caveats
    /// What follows can still come too late: nothing stops a pause between the answer and the caller's next call.
    pub(crate) async fn confirm(&self) -> Result<(), Unconfirmed> {
        let arrived = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((failed, why)) = &state.failed
            && *failed >= arrived
        {
            // It failed for another one while we waited: each asking in turn would keep the last waiting for very long.
            return Err(why.clone());
        }
        let mut failure = KeepError::Unanswered;
        for _ in 0..TRIES {
            if state.lost.is_some() {
                return Err(Unconfirmed {
                    kind: ErrorKind::NotLeader,
                    text: "another controller has the lease".into(),
                });
            }
            if state.confirmed.is_some_and(|asked| asked.elapsed() <= CONFIRMED_TIME) {
                return Ok(());
            }
            match self.look(&mut state).await {
                Ok(()) | Err(KeepError::Unanswered) => {}
                Err(error) => {
                    failure = error;
                    break;
                }
            }
        }
        if state.confirmed.is_some_and(|asked| asked.elapsed() <= CONFIRMED_TIME) {
            return Ok(());
        }
        let kind = if failure.is_passing() { ErrorKind::Unreachable } else { ErrorKind::NotLeader };
        let why = Unconfirmed { kind, text: with_causes(&failure) };
        if failure.is_loss() {
            state.held = None;
            state.lost = Some(Loss::Untold(failure));
            self.lost.notify_one();
        }
        state.failed = Some((Instant::now(), why.clone()));
        Err(why)
    }

    /// Looks at the lease now and then; ends only when somebody else has it, and then at once. One that was removed by hand is
    /// taken again.
    pub(crate) async fn keep(&self) -> KeepError {
        loop {
            tokio::select! {
                // Both arms only wait; the notify keeps its permit.
                biased;
                () = self.lost.notified() => {}
                () = tokio::time::sleep(LOOK_TIME) => {}
            }
            if let Err(why) = self.confirm().await {
                tracing::debug!(reason = why.text, "the lease cannot be confirmed now");
            }
            let mut state = self.state.lock().await;
            match state.lost.take() {
                Some(Loss::Untold(error)) => {
                    state.lost = Some(Loss::Told);
                    return error;
                }
                told @ Some(Loss::Told) => state.lost = told,
                None => {}
            }
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(&self) {
        let state = self.state.lock().await;
        let Some(lease) = &state.held else { return };
        if let Err(error) = lease.release(&*self.engine).await {
            tracing::warn!(error = %error, "the lease was not given back; the next start takes it over");
        }
    }

    /// Asks once whether the lease is held; one that vanished is acquired, and is to be asked for again.
    async fn look(&self, state: &mut State) -> Result<(), KeepError> {
        let asked = Instant::now();
        if let Some(lease) = &state.held {
            let checking = tokio::time::timeout(CONFIRMED_TIME, lease.check(&*self.engine));
            match checking.await.map_err(|_| KeepError::Unanswered)?? {
                LeaseCheck::Held => {
                    state.confirmed = Some(asked);
                    return Ok(());
                }
                LeaseCheck::Vanished => state.held = None,
                LeaseCheck::TakenBy(holder) => return Err(KeepError::TakenBy(holder)),
            }
        }
        self.acquire(state).await
    }

    async fn acquire(&self, state: &mut State) -> Result<(), KeepError> {
        let request = LeaseRequest {
            me: self.me.clone(),
            data_dir_id: self.data_dir_id.clone(),
            last_epoch: self.store.meta(LEASE_EPOCH)?.unwrap_or(0),
            take_over: state.may_take_over,
        };
        let acquiring = lease::acquire(&*self.engine, &request);
        let Ok(acquired) = tokio::time::timeout(ACQUIRE_DEADLINE, acquiring).await else {
            return Err(KeepError::TimedOut);
        };
        let lease = acquired?;
        state.may_take_over = false;
        let mut write = self.store.write();
        write.put_meta(LEASE_EPOCH, &lease.epoch);
        write.commit().await?;
        state.held = Some(lease);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
