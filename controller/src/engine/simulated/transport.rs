//! How a call reaches the simulated Engine: the time it takes, the faults on the way, the record of it.
//!
//! As with a real Engine, a request that was sent takes effect even when its caller has gone: whatever does not happen at once
//! runs as a task of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

use super::calls::{Call, CallKind, CallLog, CallOutcome, CallRecord};
use super::faults::{FaultPlan, ReplyFault, RequestFault};
use super::latency::Latency;
use super::refusal::{Answer, Refusal, lost_reply, no_connection};
use super::state::State;
use super::witness::{View, Witness};
use crate::engine::EngineError;

/// What all handles of one simulated Engine share.
pub(super) struct Shared {
    pub(super) latency: Latency,
    origin: Instant,
    state: Mutex<State>,
    log: Mutex<CallLog>,
    faults: Mutex<Option<Box<dyn FaultPlan>>>,
    witness: Mutex<Option<Box<dyn Witness>>>,
    /// Containers on which every call waits, by full id. The queue of a semaphore keeps the order.
    hanging: Mutex<BTreeMap<Arc<str>, Arc<Semaphore>>>,
    /// Told after every change, for those who wait for a run to end.
    changed: Notify,
    /// Told when something new is due, for the task that serves event streams.
    wake: Arc<Notify>,
    is_served: Mutex<bool>,
}

/// Locks without regard to a panic elsewhere: the state is changed by whole steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(state: State, latency: Latency, calls_kept: usize) -> Self {
        Self {
            latency,
            origin: Instant::now(),
            state: Mutex::new(state),
            log: Mutex::new(CallLog::keeping(calls_kept)),
            faults: Mutex::new(None),
            witness: Mutex::new(None),
            hanging: Mutex::new(BTreeMap::new()),
            changed: Notify::new(),
            wake: Arc::new(Notify::new()),
            is_served: Mutex::new(false),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, CallLog> {
        lock(&self.log)
    }

    pub(super) fn set_witness(&self, witness: Option<Box<dyn Witness>>) {
        *lock(&self.witness) = witness;
    }

    pub(super) fn set_faults(&self, faults: Option<Box<dyn FaultPlan>>) {
        *lock(&self.faults) = faults;
    }

    /// Looks at the clock, does something with the state, and tells who waits.
    pub(super) fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let (result, due_before, due_after) = {
            let mut state = lock(&self.state);
            let due_before = state.timeline.next_due_ms();
            if state.advance(self.elapsed_ms()) {
                self.tell(|witness| witness.changed(&View::of(&state)));
            }
            let result = act(&mut state);
            (result, due_before, state.timeline.next_due_ms())
        };
        self.changed.notify_waiters();
        if due_before != due_after {
            self.wake.notify_one();
        }
        result
    }

    fn tell(&self, what: impl FnOnce(&mut Box<dyn Witness>)) {
        if let Some(witness) = lock(&self.witness).as_mut() {
            what(witness);
        }
    }

    /// Somebody acts who makes no call.
    pub(super) fn act_outside<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        self.with_state(|state| {
            let result = act(state);
            self.tell(|witness| witness.changed(&View::of(state)));
            result
        })
    }

    /// One call of the trait, from request to reply.
    pub(super) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        actor: u32,
        kind: CallKind,
        subject: &str,
        apply: impl FnOnce(&mut State) -> Answer<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let now_ms = self.elapsed_ms();
        let call = Call { kind, subject: subject.to_owned(), sent_ms: now_ms, at_ms: now_ms, actor };
        let fault = lock(&self.faults).as_mut().map(|faults| faults.before(&call)).unwrap_or_default();
        match fault {
            RequestFault::None => {}
            RequestFault::Fail { status, text } => {
                let outcome = CallOutcome::Refused { status, text: text.clone() };
                self.log().push(CallRecord { call, outcome });
                return Err(Refusal::new(status, text).into_error(kind, subject));
            }
            RequestFault::Unreachable | RequestFault::DropRequest => {
                self.log().push(CallRecord { call, outcome: CallOutcome::Dropped });
                let is_known = fault == RequestFault::Unreachable;
                return Err(if is_known { no_connection(kind, subject) } else { lost_reply(kind, subject) });
            }
            RequestFault::ApplyLate(delay) => {
                let shared = Arc::clone(self);
                tokio::spawn(async move {
                    sleep(delay).await;
                    shared.perform(call, apply)
                });
                return Err(lost_reply(kind, subject));
            }
            RequestFault::HangObject => self.hang(subject),
        }
        let takes = self.latency.of(kind);
        let turnstile = if kind.is_on_container() { self.turnstile(subject) } else { None };
        let (answer, reply) = if takes.is_zero() && turnstile.is_none() {
            self.perform(call, apply)
        } else {
            let shared = Arc::clone(self);
            let request = tokio::spawn(async move {
                sleep(takes).await;
                match turnstile {
                    // Whoever waits here goes through one after the other once the container is released.
                    Some(turnstile) => {
                        let turn = turnstile.acquire().await;
                        let performed = shared.perform(call, apply);
                        drop(turn);
                        performed
                    }
                    None => shared.perform(call, apply),
                }
            });
            let Ok(performed) = request.await else { return Err(lost_reply(kind, subject)) };
            performed
        };
        match reply {
            ReplyFault::None => {}
            ReplyFault::DropReply => return Err(lost_reply(kind, subject)),
            ReplyFault::Delay(delay) => sleep(delay).await,
        }
        answer.map_err(|refusal| refusal.into_error(kind, subject))
    }

    /// The call takes effect, and is recorded.
    fn perform<T>(&self, mut call: Call, apply: impl FnOnce(&mut State) -> Answer<T>) -> (Answer<T>, ReplyFault) {
        call.at_ms = self.elapsed_ms();
        let (answer, outcome) = self.with_state(|state| {
            self.tell(|witness| witness.before(&call, &View::of(state)));
            let answer = apply(state);
            let outcome = match &answer {
                Ok(_) => CallOutcome::Done,
                Err(refusal) => CallOutcome::Refused { status: refusal.status, text: refusal.text.clone() },
            };
            self.tell(|witness| witness.after(&call, &outcome, &View::of(state)));
            (answer, outcome)
        });
        let reply = lock(&self.faults).as_mut().map(|faults| faults.after(&call, &outcome)).unwrap_or_default();
        self.log().push(CallRecord { call, outcome });
        (answer, reply)
    }

    /// From now on every call on this container waits.
    pub(super) fn hang(&self, id_or_name: &str) {
        if let Ok(id) = self.with_state(|state| state.find_container(id_or_name)) {
            lock(&self.hanging).entry(id).or_insert_with(|| Arc::new(Semaphore::new(0)));
        }
    }

    /// Lets the calls that wait go through in their order. Calls that come later do not wait.
    pub(super) fn release(&self, id_or_name: &str) {
        let id = self.with_state(|state| state.find_container(id_or_name)).unwrap_or_else(|_| id_or_name.into());
        if let Some(turnstile) = lock(&self.hanging).remove(&id) {
            turnstile.add_permits(1);
        }
    }

    fn turnstile(&self, id_or_name: &str) -> Option<Arc<Semaphore>> {
        if lock(&self.hanging).is_empty() {
            return None;
        }
        let id = self.with_state(|state| state.find_container(id_or_name)).ok()?;
        lock(&self.hanging).get(&id).cloned()
    }

    /// Waits until a condition holds. Only looks; dropping the wait changes nothing.
    pub(super) async fn wait_until(&self, mut is_met: impl FnMut(&State) -> bool) {
        loop {
            let changed = self.changed.notified();
            let next_due_ms = {
                let mut state = lock(&self.state);
                if state.advance(self.elapsed_ms()) {
                    self.tell(|witness| witness.changed(&View::of(&state)));
                }
                if is_met(&state) {
                    return;
                }
                state.timeline.next_due_ms()
            };
            // Both arms only wait: dropping either loses nothing.
            tokio::select! {
                biased;
                () = changed => {}
                () = self.sleep_until_ms(next_due_ms) => {}
            }
        }
    }

    async fn sleep_until_ms(&self, due_ms: Option<u64>) {
        match due_ms {
            Some(due_ms) => sleep_until(self.origin + Duration::from_millis(due_ms)).await,
            None => std::future::pending().await,
        }
    }

    /// Starts the task that makes time pass for those who listen to events. It ends when nobody does.
    pub(super) fn serve_events(self: &Arc<Self>) {
        let was_served = std::mem::replace(&mut *lock(&self.is_served), true);
        if !was_served {
            tokio::spawn(serve(Arc::downgrade(self), Arc::clone(&self.wake)));
        }
    }
}

async fn serve(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let sleeping_until = {
            let Some(shared) = shared.upgrade() else { return };
            let mut is_served = lock(&shared.is_served);
            let (next_due_ms, is_heard) =
                shared.with_state(|state| (state.timeline.next_due_ms(), state.events.has_subscribers()));
            if !is_heard {
                *is_served = false;
                return;
            }
            next_due_ms.map(|due_ms| shared.origin + Duration::from_millis(due_ms))
        };
        let due = async {
            match sleeping_until {
                Some(instant) => sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        // Both arms only wait: a notification that is missed is kept for the next round.
        tokio::select! {
            biased;
            () = wake.notified() => {}
            () = due => {}
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("latency", &self.latency).finish_non_exhaustive()
    }
}
