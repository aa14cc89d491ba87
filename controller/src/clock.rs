//! The clock: milliseconds since the Unix epoch that never jump, because they are counted by the monotonic clock from one reading.
//!
//! A step of the host's wall clock changes nothing here. In tests, tokio's paused clock moves it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Counts milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch_ms: i64,
    started: Instant,
}

impl Clock {
    /// Begins at the host's wall clock.
    pub fn of_the_host() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::starting_at(to_ms(since_epoch))
    }

    /// Begins at a given time, for tests.
    pub fn starting_at(epoch_ms: i64) -> Self {
        Self { epoch_ms, started: Instant::now() }
    }

    /// Now.
    pub fn now_ms(&self) -> i64 {
        self.epoch_ms.saturating_add(to_ms(self.started.elapsed()))
    }
}

fn to_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
