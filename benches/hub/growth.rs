//! Whether what a hub keeps in memory grows with the calls that it has had: what it has allocated, to the byte, and what the system has given
//! it for that.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::process::resident_mib;
use crate::program::free_ports;
use crate::report::{all, median, number};
use crate::stage::{Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How many calls there are from one look to the next.
const CALLS_TO_LOOK: usize = 50_000;
/// How many looks make a span: half a million calls. What is used for a moment comes and goes; what leaks is there at the least of all looks.
const LOOKS: usize = 10;
/// Growth is told for so many spans: a million and a half calls.
const TOLD_SPANS: usize = 3;
/// What an allocation for one call of a thousand, of the eight bytes that are the least, would come to in these.
const A_LEAK_KIB: f64 = 11.7;
/// After how many spans, at the least, an allocator has set aside what it does.
const SETTLED_AFTER: usize = 3;
/// After which time, at the least: connections to servers that are not needed are kept for up to a minute.
const SETTLE_TIME: Duration = Duration::from_mins(2);
/// How many spans are measured after those, if `EVENKEEL_BENCH_SPANS` says nothing else: one differs from the next by up to half a MiB, more
/// than what is looked for, and of ten million calls that is no more than a few hundredths.
const SPANS: usize = 20;
/// What the system may give more for a million and a half calls, in MiB: some pages of its own doing.
const PAGES: f64 = 0.05;

/// Measures hubs that have done nothing before.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        table.add(allocated(stage, index, era));
        table.add(resident(stage, index, era));
    }
}

/// What it has allocated, by a hub that counts it.
fn allocated(stage: &Stage, index: usize, era: Era) -> Row {
    let told_at = free_ports(1)[0];
    let behind = Behind::Http(&stage.backends[index].addresses);
    let hub = Hub::start_counted(&format!("allocated-{}", era.name()), era, behind, stage.directory.path(), told_at);
    stage.await_list(&hub.place);
    let mut crowd = stage.runtime.block_on(Crowd::callers(&hub.place, 64));
    let mut least = || span(stage, &mut crowd, || allocated_kib(told_at));
    let spans: Vec<f64> = (0..=TOLD_SPANS + 1).map(|_| least()).collect();
    all("KiB at least, for each half million calls", &spans);
    Row {
        figure: format!("growth of what is allocated over 1500000 calls, {}: hub", era.name()),
        // Not from the first, in which there comes to be whatever there is one of.
        values: vec![spans[TOLD_SPANS + 1] - spans[1]],
        unit: "KiB",
        beside: None,
        target: Target::AtMost(A_LEAK_KIB),
    }
}

/// What the system has given it.
fn resident(stage: &Stage, index: usize, era: Era) -> Row {
    let behind = Behind::Http(&stage.backends[index].addresses);
    let hub = Hub::start(&format!("resident-{}", era.name()), era, behind, stage.directory.path(), &[]);
    stage.await_list(&hub.place);
    let mut crowd = stage.runtime.block_on(Crowd::callers(&hub.place, 64));
    let mut least = || span(stage, &mut crowd, || resident_mib(hub.program.pid()).0);
    let begun = Instant::now();
    let mut spans = Vec::new();
    while spans.len() < SETTLED_AFTER || begun.elapsed() < SETTLE_TIME {
        spans.push(least());
    }
    let settled = spans.len();
    let measured = std::env::var("EVENKEEL_BENCH_SPANS").map_or(SPANS, |spans| spans.parse().unwrap());
    spans.extend((0..measured).map(|_| least()));
    all("MiB at least, for each half million calls", &spans);
    Row {
        figure: format!(
            "growth of what is resident over 1500000 calls, from {} calls after the first {}, {}: hub",
            measured * LOOKS * CALLS_TO_LOOK,
            settled * LOOKS * CALLS_TO_LOOK,
            era.name()
        ),
        values: vec![slope(&spans[settled..]) * number(TOLD_SPANS)],
        unit: "MiB",
        beside: None,
        target: Target::AtMost(PAGES),
    }
}

/// The least of all looks in half a million calls, each when no call is under way.
fn span(stage: &Stage, crowd: &mut Crowd, look: impl Fn() -> f64) -> f64 {
    let looks = (0..LOOKS).map(|_| {
        stage.runtime.block_on(crowd.call(CALLS_TO_LOOK));
        look()
    });
    looks.fold(f64::INFINITY, f64::min)
}

/// What is asked of the hub that counts.
fn allocated_kib(told_at: SocketAddr) -> f64 {
    let mut told = String::new();
    TcpStream::connect(told_at).unwrap().read_to_string(&mut told).unwrap();
    told.parse::<f64>().unwrap() / 1024.0
}

/// By how much a value grows from one to the next: the middle one of what any two say of it (Theil and Sen), which single ones that are far off
/// do not change.
fn slope(values: &[f64]) -> f64 {
    let mut slopes = Vec::new();
    for (at, one) in values.iter().enumerate() {
        for (distance, other) in values[at..].iter().enumerate().skip(1) {
            slopes.push((other - one) / number(distance));
        }
    }
    median(&slopes)
}
