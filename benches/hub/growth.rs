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

/// How many sessions there are.
const SESSIONS: usize = 64;
/// How many calls each session makes from one look at what is resident to the next.
const CALLS_TO_LOOK: usize = 800;
/// How many looks make a span.
const LOOKS: usize = 10;
/// How many calls a span has: half a million.
const CALLS_OF_SPAN: usize = SESSIONS * CALLS_TO_LOOK * LOOKS;
/// For how many calls growth is told.
const TOLD_CALLS: usize = 1_500_000;
/// How long the last calls' lines may wait for the disk.
const AUDIT_TIME: Duration = Duration::from_secs(2);
/// How many spans there are before those that are measured, at the least.
const SETTLED_AFTER: usize = 3;
/// How long those take, at the least: connections to servers that are not needed are kept for up to a minute.
const SETTLE_TIME: Duration = Duration::from_mins(2);
/// How many spans are measured: ten million calls.
const SPANS: usize = 20;
/// What may be allocated more: no more than eight bytes for one call of a thousand.
const LEAK_BYTES: f64 = 8.0 / 1_000.0;
/// What the system may give more, in MiB: some pages of its own doing.
const PAGES: f64 = 0.05;
/// What may be resident, in MiB, after however many calls.
const RESIDENT_MIB: f64 = 24.0;

/// What is seen of half a million calls.
struct Span {
    /// The least that is allocated once they are over.
    allocated_kib: f64,
    /// The least that is resident, of looks in between.
    resident_mib: f64,
}

/// Measures hubs that have done nothing before.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let (settled, spans) = spans(stage, index, era);
        let allocated: Vec<f64> = spans.iter().map(|span| span.allocated_kib).collect();
        let resident: Vec<f64> = spans.iter().map(|span| span.resident_mib).collect();
        all("KiB allocated", &allocated);
        all("MiB resident", &resident);
        let when = format!("{SPANS} times {CALLS_OF_SPAN} calls after the first {}", settled * CALLS_OF_SPAN);
        let growth = |what: &str, values: &[f64], unit: &'static str, target: Target| Row {
            figure: format!("growth of what is {what} over {TOLD_CALLS} calls, of {when}, {}: hub", era.name()),
            values: vec![slope(values) / number(CALLS_OF_SPAN) * number(TOLD_CALLS)],
            unit,
            beside: None,
            target,
        };
        let leak_kib = LEAK_BYTES * number(TOLD_CALLS) / 1_024.0;
        table.add(growth("allocated", &allocated, "KiB", Target::AtMost(leak_kib)));
        table.add(growth("resident", &resident, "MiB", Target::AtMost(PAGES)));
        table.add(Row {
            figure: format!("most that is resident, of {when}, {}: hub", era.name()),
            values: vec![resident.into_iter().fold(0.0, f64::max)],
            unit: "MiB",
            beside: None,
            target: Target::AtMost(RESIDENT_MIB),
        });
    }
}

/// How many spans came before, and those that are measured.
fn spans(stage: &Stage, index: usize, era: Era) -> (usize, Vec<Span>) {
    let told_at = free_ports(1)[0];
    let behind = Behind::Http(&stage.backends[index].addresses);
    let hub = Hub::start_counted(&format!("growth-{}", era.name()), era, behind, stage.directory.path(), told_at);
    stage.await_list(&hub.place);
    let mut crowd = stage.runtime.block_on(Crowd::callers(&hub.place, SESSIONS));
    let mut span = || {
        let looks = (0..LOOKS).map(|_| {
            stage.runtime.block_on(crowd.send(CALLS_TO_LOOK));
            resident_mib(hub.program.pid()).0
        });
        let resident_mib = looks.fold(f64::INFINITY, f64::min);
        Span { allocated_kib: allocated_kib(told_at), resident_mib }
    };
    let begun = Instant::now();
    let mut settled = 0;
    while settled < SETTLED_AFTER || begun.elapsed() < SETTLE_TIME {
        span();
        settled += 1;
    }
    (settled, (0..SPANS).map(|_| span()).collect())
}

/// What the hub tells, at the least, in the time that the lines of the last calls may take to be in the audit.
fn allocated_kib(told_at: SocketAddr) -> f64 {
    let begun = Instant::now();
    let mut least = f64::INFINITY;
    while begun.elapsed() < AUDIT_TIME {
        let mut told = String::new();
        TcpStream::connect(told_at).unwrap().read_to_string(&mut told).unwrap();
        least = least.min(told.parse::<f64>().unwrap() / 1_024.0);
        std::thread::sleep(AUDIT_TIME / 20);
    }
    least
}

/// By how much a value grows from one to the next: the middle one of what any two say of it (Theil and Sen), which single ones that are far off
/// do not change. A single step in the middle third shows as a part of it, and one before or after that not at all.
fn slope(values: &[f64]) -> f64 {
    let mut slopes = Vec::new();
    for (at, one) in values.iter().enumerate() {
        for (distance, other) in values[at..].iter().enumerate().skip(1) {
            slopes.push((other - one) / number(distance));
        }
    }
    median(&slopes)
}
