//! Threads that stay awake while a server is asked for one client.
//!
//! A small call is answered sooner than the system wakes a thread that has gone to sleep meanwhile, and on a virtual machine its host has to be
//! woken too: that is longer than all that the gateway does for a call. So a thread that waits for one answer looks for it instead, for a
//! bounded moment. Where many wait there is always something to do, and the cores are needed elsewhere: it sleeps as ever.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// How long a thread looks for an answer: about as long as a server on the same host takes for a small call.
const AWAKE_TIME: Duration = Duration::from_micros(100);
/// How many requests may be under way on a thread that stays awake.
const FEW: usize = 2;
/// How long it sleeps as ever after there were more.
const CROWDED_TIME: Duration = Duration::from_millis(20);

/// Keeps one thread awake.
#[derive(Debug)]
pub(crate) struct Alert {
    begun: Instant,
    under_way: AtomicUsize,
    /// Until when it stays awake, in nanoseconds since it was begun.
    awake_until: AtomicU64,
    /// Until when it does not.
    crowded_until: AtomicU64,
    stirred: Notify,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'alert> {
    alert: &'alert Alert,
    /// How many were under way when it was begun.
    others: usize,
    has_waited: bool,
}

impl UnderWay<'_> {
    /// It waits for somebody, maybe again.
    pub(super) fn note_waiting(&mut self) {
        if !std::mem::replace(&mut self.has_waited, true) {
            self.note_waiting_at(self.alert.begun.elapsed());
        }
    }

    fn note_waiting_at(&self, now: Duration) {
        let Alert { awake_until, crowded_until, stirred, .. } = self.alert;
        if self.others >= FEW {
            crowded_until.store(nanos(now + CROWDED_TIME), Ordering::Relaxed);
        } else if nanos(now) >= crowded_until.load(Ordering::Relaxed) {
            awake_until.store(nanos(now + AWAKE_TIME), Ordering::Relaxed);
            stirred.notify_one();
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.alert.under_way.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.alert.awake_until.store(0, Ordering::Relaxed);
        }
    }
}

impl Alert {
    pub(super) fn new() -> Self {
        let (awake_until, crowded_until) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            begun: Instant::now(),
            under_way: AtomicUsize::new(0),
            awake_until,
            crowded_until,
            stirred: Notify::new(),
        }
    }

    /// A request is begun.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        UnderWay { alert: self, others: self.under_way.fetch_add(1, Ordering::Relaxed), has_waited: false }
    }

    /// Keeps the thread awake that it runs on, whose runtime looks for news each time that everything has had its turn. Never ends.
    pub(super) async fn keep(&self) {
        loop {
            self.stirred.notified().await;
            while self.is_awake_at(self.begun.elapsed()) {
                yield_now().await;
            }
        }
    }

    fn is_awake_at(&self, now: Duration) -> bool {
        nanos(now) < self.awake_until.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{AWAKE_TIME, Alert, CROWDED_TIME, UnderWay};

    fn waiting(alert: &Alert, now: Duration) -> UnderWay<'_> {
        let request = alert.begin();
        request.note_waiting_at(now);
        request
    }

    #[test]
    fn a_thread_stays_awake_for_one_answer_and_no_longer_than_for_a_moment() {
        let alert = Alert::new();
        let now = Duration::from_secs(5);
        assert!(!alert.is_awake_at(now));
        drop(alert.begin());
        let request = alert.begin();
        assert!(!alert.is_awake_at(now), "it waits for nobody");
        request.note_waiting_at(now);
        assert!(alert.is_awake_at(now) && !alert.is_awake_at(now + AWAKE_TIME));
        let other = waiting(&alert, now + AWAKE_TIME);
        drop(request);
        assert!(alert.is_awake_at(now + AWAKE_TIME), "the other one waits");
        drop(other);
        assert!(!alert.is_awake_at(now + AWAKE_TIME), "nobody waits");
    }

    #[test]
    fn where_many_wait_it_sleeps_as_ever_and_for_a_while_after() {
        let alert = Alert::new();
        let now = Duration::from_secs(5);
        let many: Vec<_> = (0..3).map(|_| waiting(&alert, now)).collect();
        drop(many);
        drop(waiting(&alert, now));
        let soon = now + CROWDED_TIME / 2;
        let request = waiting(&alert, soon);
        assert!(!alert.is_awake_at(soon));
        drop(request);
        let later = now + CROWDED_TIME;
        let _request = waiting(&alert, later);
        assert!(alert.is_awake_at(later));
    }
}
