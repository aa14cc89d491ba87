//! Does something many times, and counts by how much more memory is held then.

use std::time::Duration;

use crate::ALLOCATOR;

/// How often something is done in the first turn.
const TIMES: u32 = 25;
/// So many turns in which more is held than ever before are a leak. Each is as long as all before it: a table that is doubled when it is full
/// is so in each of them, and what grows a few times, as the audit's queue does where its disk is slow, is not.
const GROWN: usize = 5;
/// So many others are none.
const CALM: usize = 3;
/// How often it is looked, at the most, whether no more is held than before: something may be under way.
const LOOKS: usize = 100;
/// From one look to the next.
const LOOK: Duration = Duration::from_millis(10);

/// By how many bytes more is held each time that something was done, where it is more. `rest` has everything written that is to be.
pub(super) async fn growth(deed: impl AsyncFn(u32), rest: impl AsyncFn()) -> Option<f64> {
    let mut done = 0;
    let mut turn = async |times: u32, enough: usize| {
        for number in done..done + times {
            deed(number).await;
        }
        done += times;
        held(enough, &rest).await
    };
    // Whatever there is one of has been made by then.
    let mut most = turn(TIMES, usize::MAX).await;
    let (mut times, mut grown, mut calm) = (TIMES, Vec::new(), 0);
    while grown.len() < GROWN && calm < CALM {
        // Less than a byte each time is none.
        let enough = most + times as usize;
        let after = turn(times, enough).await;
        if after < enough {
            calm += 1;
        } else {
            grown.push(f64::from(u32::try_from(after - most).unwrap()) / f64::from(times));
            most = after;
        }
        times *= 2;
    }
    grown.sort_by(f64::total_cmp);
    (grown.len() == GROWN).then(|| grown[GROWN / 2])
}

/// How many bytes are held: once they are fewer than so many, or else after a while.
async fn held(enough: usize, rest: &impl AsyncFn()) -> usize {
    let mut held = usize::MAX;
    for _ in 0..LOOKS {
        rest().await;
        tokio::time::sleep(LOOK).await;
        held = ALLOCATOR.allocated();
        if held < enough {
            break;
        }
    }
    held
}
