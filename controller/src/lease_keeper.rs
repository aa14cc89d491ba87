//! The lease over a run: taken when the Engine is first reached, looked at now and then, given back at the end.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::holder::Holder;
use crate::lease::{self, Lease, LeaseCheck, LeaseError, LeaseRequest};
use crate::store::{Store, StoreError};

/// Where the store keeps the epoch of the last lease.
const LEASE_EPOCH: &str = "lease-epoch";
/// How often the lease is looked at: so long may a controller that was taken over go on at most.
const LOOK_TIME: Duration = Duration::from_mins(1);

/// How long it may take to acquire the lease: the Engine may hang.
const ACQUIRE_DEADLINE: Duration = Duration::from_mins(1);

/// Keeps the lease of one controller.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    engine: Arc<dyn Engine>,
    store: Store,
    me: Holder,
    data_dir_id: String,
    take_over: bool,
    held: Option<Lease>,
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
        matches!(self, Self::TimedOut | Self::Lease(LeaseError::Engine { .. }))
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lease(error) => Some(error.hint()),
            Self::TimedOut => Some("see what the engine is busy with, then start again".into()),
            Self::Store(_) => None,
            Self::TakenBy(_) => Some("one controller an instance: end one of the two for good".into()),
        }
    }
}

impl LeaseKeeper {
    /// A keeper that holds nothing yet.
    pub(crate) fn new(engine: Arc<dyn Engine>, store: Store, me: Holder, data_dir_id: String, take_over: bool) -> Self {
        Self { engine, store, me, data_dir_id, take_over, held: None }
    }

    /// Takes the lease, unless it is held.
    pub(crate) async fn ensure(&mut self) -> Result<(), KeepError> {
        if self.held.is_some() {
            return Ok(());
        }
        let request = LeaseRequest {
            me: self.me.clone(),
            data_dir_id: self.data_dir_id.clone(),
            last_epoch: self.store.meta(LEASE_EPOCH)?.unwrap_or(0),
            take_over: self.take_over,
        };
        let acquiring = lease::acquire(&*self.engine, &request);
        let Ok(acquired) = tokio::time::timeout(ACQUIRE_DEADLINE, acquiring).await else {
            return Err(KeepError::TimedOut);
        };
        let lease = acquired?;
        let mut write = self.store.write();
        write.put_meta(LEASE_EPOCH, &lease.epoch);
        write.commit().await?;
        self.held = Some(lease);
        Ok(())
    }

    /// Looks at the lease now and then; ends only when somebody else has it. One that was removed by hand is taken again.
    pub(crate) async fn keep(&mut self) -> KeepError {
        loop {
            tokio::time::sleep(LOOK_TIME).await;
            let Some(lease) = &self.held else { continue };
            match lease.check(&*self.engine).await {
                Ok(LeaseCheck::Held) => {}
                Ok(LeaseCheck::Vanished) => {
                    self.held = None;
                    if let Err(error) = self.ensure().await {
                        return error;
                    }
                }
                Ok(LeaseCheck::TakenBy(holder)) => return KeepError::TakenBy(holder),
                Err(error) => tracing::debug!(error = %error, "the lease cannot be looked at now"),
            }
        }
    }

    /// Gives the lease back.
    pub(crate) async fn release(&self) {
        let Some(lease) = &self.held else { return };
        if let Err(error) = lease.release(&*self.engine).await {
            tracing::warn!(error = %error, "the lease was not given back; the next start takes it over");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{KeepError, LeaseKeeper};
    use crate::engine::simulated::{Call, CallKind, CallOutcome, FaultPlan, ReplyFault, RequestFault, SimulatedEngine};
    use crate::holder::Holder;
    use crate::store::Store;

    /// Creates are not answered.
    struct HangingCreates;

    impl FaultPlan for HangingCreates {
        fn before(&mut self, _call: &Call) -> RequestFault {
            RequestFault::None
        }

        fn after(&mut self, call: &Call, _outcome: &CallOutcome) -> ReplyFault {
            let is_create = call.kind == CallKind::CreateContainer;
            if is_create { ReplyFault::Delay(Duration::from_hours(24)) } else { ReplyFault::None }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_whose_create_hangs_ends_as_an_error_that_may_pass() {
        let (engine, store) = (SimulatedEngine::default(), Store::in_memory().unwrap());
        engine.set_faults(HangingCreates);
        let me = Holder::current(&"main".parse().unwrap()).unwrap();
        let mut keeper = LeaseKeeper::new(Arc::new(engine.clone()), store, me, "a".to_owned(), false);
        let error = keeper.ensure().await.unwrap_err();
        assert!(matches!(error, KeepError::TimedOut), "{error:?}");
        assert!(error.is_passing());

        engine.clear_faults();
        keeper.ensure().await.unwrap();
    }
}
