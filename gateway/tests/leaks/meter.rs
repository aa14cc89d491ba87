//! Does something many times, and counts by how much more memory is held then.

use std::time::{Duration, Instant};

use crate::ALLOCATOR;

/// How often something is done in the first turn.
const TIMES: u32 = 25;
/// So many turns decide, whether those in which more is held than before or the others. Each is as long as all before it: a table that is
/// doubled when it is full is so in each of them, and what grows once in few.
const TURNS: usize = 3;
/// How long is waited until no more is held than before: for what is under way, and for a disk that is slow to take the audit.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one look at what is held to the next.
const LOOK: Duration = Duration::from_millis(10);

/// By how many bytes more is held each time that something was done, where it is more.
pub(super) async fn growth(deed: impl AsyncFn(u32)) -> Option<f64> {
    let mut done = 0;
    let mut turn = async |times: u32, enough: usize| {
        for number in done..done + times {
            deed(number).await;
        }
        done += times;
        held(enough).await
    };
    // Whatever there is one of has been made by then.
    let mut before = turn(TIMES, usize::MAX).await;
    let (mut times, mut grown, mut calm) = (TIMES, Vec::new(), 0);
    while grown.len() < TURNS && calm < TURNS {
        // Less than a byte each time is none.
        let enough = before + times as usize;
        let after = turn(times, enough).await;
        if after < enough {
            calm += 1;
        } else {
            grown.push(f64::from(u32::try_from(after - before).unwrap()) / f64::from(times));
        }
        before = after;
        times *= 2;
    }
    grown.sort_by(f64::total_cmp);
    (grown.len() == TURNS).then(|| grown[TURNS / 2])
}

/// How many bytes are held: once they are fewer than so many, or else after a while.
async fn held(enough: usize) -> usize {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let held = ALLOCATOR.allocated();
        if held < enough || begun.elapsed() > PATIENCE {
            return held;
        }
    }
}
