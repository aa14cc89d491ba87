//! How long to wait before the next attempt.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits that grow, up to a limit for all of them together.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    deadline: Option<Instant>,
}

impl Backoff {
    /// Waits without a limit.
    pub(super) const fn endless() -> Self {
        Self { next: SHORTEST, deadline: None }
    }

    /// Waits that together take no longer than this.
    pub(super) fn within(patience: Duration) -> Self {
        Self { next: SHORTEST, deadline: Some(Instant::now() + patience) }
    }

    /// Until when there is patience; none where that has no limit.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits; `false`, and at once, when patience is at its end. Many that wait for one thing do not all come back in one moment.
    pub(super) async fn wait(&mut self) -> bool {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return false;
        }
        let wait = self.next.mul_f64(fastrand::f64().mul_add(0.5, 0.75));
        sleep(self.deadline.map_or(wait, |deadline| wait.min(deadline - now))).await;
        self.next = (self.next * 2).min(LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Backoff;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_end_with_the_patience() {
        let begun = Instant::now();
        let mut backoff = Backoff::within(Duration::from_secs(30));
        let mut attempts = 0;
        while backoff.wait().await {
            attempts += 1;
        }
        assert_eq!(begun.elapsed().as_secs(), 30);
        assert!((25..60).contains(&attempts), "{attempts}");
    }
}
