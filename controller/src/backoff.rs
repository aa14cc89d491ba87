//! Back-off: how long a failing object is left alone, growing with each failure.
//!
//! The crate `backoff` calculates the growth and nothing else; the jitter is ours, from a seed, so that a run can be repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use crds_schema::ObjectKey;

/// The delay after the first failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_mins(5);
/// The share by which a delay is shortened or lengthened at random.
const JITTER: f64 = 0.2;
/// The shortest delay after a registry asked to be left alone.
const THROTTLED_DELAY: Duration = Duration::from_mins(15);

/// The failures in a row of each object that fails.
#[derive(Debug)]
pub struct Backoffs {
    failing: BTreeMap<ObjectKey, Failing>,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Failing {
    delays: ExponentialBackoff,
    failures: u32,
}

impl Backoffs {
    /// None fails yet. The seed decides the jitter.
    pub fn new(seed: u64) -> Self {
        Self { failing: BTreeMap::new(), random: fastrand::Rng::with_seed(seed) }
    }

    /// Counts a failure; returns how long to wait.
    pub fn fail(&mut self, key: &ObjectKey, is_throttled: bool) -> Duration {
        let failing = self.failing.entry(key.clone()).or_insert_with(|| Failing { delays: new_delays(), failures: 0 });
        failing.failures += 1;
        let delay = failing.delays.next_backoff().unwrap_or(LONGEST_DELAY);
        let delay = if is_throttled { delay.max(THROTTLED_DELAY) } else { delay };
        delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * self.random.f64())
    }

    /// Forgets the failures of an object: it succeeded, or what it is to be has changed.
    pub fn reset(&mut self, key: &ObjectKey) {
        self.failing.remove(key);
    }

    /// How often an object has failed in a row.
    pub fn failures(&self, key: &ObjectKey) -> u32 {
        self.failing.get(key).map_or(0, |failing| failing.failures)
    }
}

fn new_delays() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(FIRST_DELAY)
        .with_max_interval(LONGEST_DELAY)
        .with_multiplier(2.0)
        .with_randomization_factor(0.0)
        // By default the crate gives up after 15 minutes.
        .with_max_elapsed_time(None)
        .build()
}

#[cfg(test)]
mod tests {
    use super::{Backoffs, FIRST_DELAY, LONGEST_DELAY};

    #[test]
    fn delays_grow_to_a_cap_and_begin_anew_after_a_success() {
        let key = "Deployment/web".parse().unwrap();
        let mut backoffs = Backoffs::new(1);
        let first = backoffs.fail(&key, false);
        assert!(first >= FIRST_DELAY.mul_f64(0.8) && first <= FIRST_DELAY.mul_f64(1.2));
        let last = (0..20).map(|_| backoffs.fail(&key, false)).last().unwrap();
        assert!(last >= LONGEST_DELAY.mul_f64(0.8) && last <= LONGEST_DELAY.mul_f64(1.2), "{last:?}");
        assert_eq!(backoffs.failures(&key), 21);
        backoffs.reset(&key);
        assert!(backoffs.fail(&key, false) < FIRST_DELAY * 2);
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let key = "Deployment/web".parse().unwrap();
        let delays = |seed| {
            let mut backoffs = Backoffs::new(seed);
            (0..5).map(|_| backoffs.fail(&key, false)).collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }
}
