//! What a hub keeps in memory with 15 servers and 64 sessions, and whether it grows.

use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::process::resident_mib;
use crate::report::median;
use crate::stage::{Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How many calls it has had when it is looked at first.
const FIRST_CALLS: usize = 30_000;
/// How many calls there are from one look to the next.
const CALLS_TO_LOOK: usize = 50_000;
/// How many looks make a span: half a million calls.
const LOOKS: usize = 10;
/// After how many spans, at the least, an allocator has set aside what it does.
const SETTLED_AFTER: usize = 3;
/// After which time, at the least, where `EVENKEEL_BENCH_SETTLE_SECS` says nothing else: connections to servers that are not needed are kept for
/// up to a minute.
const SETTLE_TIME: Duration = Duration::from_mins(2);
/// How many spans are measured after those, twice: what is compared is the middle one of each three, since a span more or less differs by more
/// than a leak would be.
const FURTHER_SPANS: usize = 3;
/// What two spans may differ by, in MiB: some pages of the system's own doing.
const PAGES: f64 = 0.05;

/// Measures hubs that have done nothing before.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let name = format!("memory-{}", era.name());
        let behind = Behind::Http(&stage.backends[index].addresses);
        let hub = Hub::start(&name, era, behind, stage.directory.path(), &[]);
        stage.await_list(&hub.place);
        let mut crowd = stage.runtime.block_on(Crowd::callers(&hub.place, 64));
        let mut call = |wanted: usize| {
            let mut count = 0;
            while count < wanted {
                count += stage.runtime.block_on(crowd.run(Duration::from_millis(500))).micros.len();
            }
            resident_mib(hub.program.pid()).0
        };
        let first = call(FIRST_CALLS);
        table.add(Row {
            figure: format!("memory with 15 servers and 64 sessions, {}: hub", era.name()),
            values: vec![first],
            unit: "MiB",
            beside: None,
            target: Target::AtMost(24.0),
        });
        // What is used for a moment comes and goes; what leaks is there at the least of all looks as well.
        let mut least = || (0..LOOKS).map(|_| call(CALLS_TO_LOOK)).fold(f64::INFINITY, f64::min);
        let (begun, settle_time) = (Instant::now(), settle_time());
        let mut spans = Vec::new();
        while spans.len() < SETTLED_AFTER || begun.elapsed() < settle_time {
            spans.push(least());
        }
        let settled = spans.len();
        spans.extend((0..2 * FURTHER_SPANS).map(|_| least()));
        crate::report::all("MiB at least, for each half million calls", &spans);
        let (before, after) = spans[settled..].split_at(FURTHER_SPANS);
        let growth = median(after) - median(before);
        let calls_of = |spans: usize| spans * LOOKS * CALLS_TO_LOOK;
        table.add(Row {
            figure: format!(
                "growth of it over {} calls after the first {}, {}: hub",
                calls_of(FURTHER_SPANS),
                calls_of(settled),
                era.name()
            ),
            values: vec![growth],
            unit: "MiB",
            beside: None,
            target: Target::AtMost(PAGES),
        });
    }
}

fn settle_time() -> Duration {
    let named = std::env::var("EVENKEEL_BENCH_SETTLE_SECS").ok();
    named.map_or(SETTLE_TIME, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}
