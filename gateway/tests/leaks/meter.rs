//! Does something many times, and counts by how much more memory is held then.

use std::time::{Duration, Instant};

use crate::ALLOCATOR;

/// How often something is done in a turn.
const TIMES: u32 = 100;
/// How many turns decide, as soon as they agree: in some of them something grows once, as a table does.
const TURNS: usize = 3;
/// How long is waited until no more is held than before: for what is under way, and for a disk that is slow to take the audit.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one look at what is held to the next.
const LOOK: Duration = Duration::from_millis(10);

/// By how many bytes more is held each time that something was done, where it is more.
pub(super) async fn growth(deed: impl AsyncFn(usize)) -> Option<f64> {
    let mut number = 0;
    let mut turn = async |before: f64| {
        for _ in 0..TIMES {
            number += 1;
            deed(number).await;
        }
        held(before + f64::from(TIMES)).await
    };
    // Whatever there is one of has been made by then.
    let mut before = turn(f64::INFINITY).await;
    let (mut grown, mut calm) = (Vec::new(), 0);
    while grown.len() < TURNS && calm < TURNS {
        let after = turn(before).await;
        let by = (after - before) / f64::from(TIMES);
        before = after;
        if by < 1.0 {
            calm += 1;
        } else {
            grown.push(by);
        }
    }
    grown.sort_by(f64::total_cmp);
    (grown.len() == TURNS).then(|| grown[TURNS / 2])
}

/// How many bytes are held: once they are fewer than so many, or else after a while.
async fn held(enough: f64) -> f64 {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let held = f64::from(u32::try_from(ALLOCATOR.allocated()).unwrap());
        if held < enough || begun.elapsed() > PATIENCE {
            return held;
        }
    }
}
