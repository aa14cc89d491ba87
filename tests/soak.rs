//! A soak: a world that is meddled with, for as long as one likes. Bursts of meddling take turns with silence, and in each silence
//! the world must converge: nothing lost, nothing twice, nothing of others touched, and then nothing done any more. Meanwhile the
//! controller must not grow.
//!
//! `EVENKEEL_SOAK_MINUTES` says how long, `EVENKEEL_SOAK_SEED` repeats the meddler's choices, though not the Engine's timing.

mod deed;
mod gauge;
mod meddler;
mod process;
mod report;
mod truth;
mod wanted;

use std::time::{Duration, Instant};

use serde_json::Value;

use self::gauge::{STORE_CAP_BYTES, Sample, Thirds};
use self::meddler::Meddler;
use self::process::Process;
use self::report::{Report, say};
use self::truth::Markers;
use self::wanted::Wanted;
use crate::support::engine::{TestBed, eventually};
use crate::support::look::{await_settled_passes, changing_calls, counter};
use crate::support::scene::{NOTHING, scene};
use crate::support::setting;
use crate::support::stranger::Stranger;

/// How long it lasts, where `EVENKEEL_SOAK_MINUTES` does not say otherwise.
const SHORT: Duration = Duration::from_secs(45);
/// The fewest rounds.
const FEWEST_ROUNDS: usize = 1;
/// How long a burst lasts.
const BURST_MS: std::ops::RangeInclusive<u64> = 5_000..=20_000;
/// How long the world may take to converge. An object that failed again and again is left alone for up to 6 minutes.
const PATIENCE: Duration = Duration::from_mins(8);
/// How often it is said what keeps the world from being as wanted.
const WORD_TIME: Duration = Duration::from_secs(30);
/// In so long a soak, a deed that was never done is a fault of the test.
const LONG: Duration = Duration::from_mins(30);
/// How long a converged world is watched.
const QUIET: Duration = Duration::from_secs(4);

/// Things of somebody else, beside the bed's own.
struct Strangers {
    container: Stranger,
    network: Stranger,
    volume: Stranger,
    /// The meddler connects the bed's containers to it.
    meeting_place: Stranger,
}

impl Strangers {
    fn make(bed: &TestBed) -> Self {
        let name = |what: &str| format!("{}-stranger-{what}", bed.instance());
        let volume = Stranger::volume(bed, &name("volume"), &[]);
        let network = Stranger::network(bed, &name("network"), &[]);
        let mount = format!("{}:/data", volume.id);
        let options = ["--network", &network.id, "--volume", &mount, "--memory", "32m"];
        let container = Stranger::container(bed, &name("container"), &options);
        Self { container, network, volume, meeting_place: Stranger::network(bed, &name("meeting-place"), &[]) }
    }

    /// All that Docker tells of them.
    fn look(&self, bed: &TestBed) -> Vec<Value> {
        vec![
            bed.inspect("container", &self.container.id),
            bed.inspect("network", &self.network.id),
            bed.inspect("volume", &self.volume.id),
            bed.inspect("network", &self.meeting_place.id),
        ]
    }
}

/// A port that no outgoing connection of this machine takes.
fn steady_port(random: &mut fastrand::Rng) -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| random.u16(20_000..32_000)).take(100).find(is_free).unwrap()
}

/// Waits until everything is as wanted, and the controller has looked at everything since and is content.
fn await_converged(bed: &TestBed, wanted: &Wanted, at: &str) {
    let mut next_word = Instant::now() + WORD_TIME;
    eventually(&format!("{at}: the world is as wanted"), PATIENCE, || {
        let differences = truth::differences(bed, wanted);
        if Instant::now() > next_word && !differences.is_empty() {
            say(&format!("soak: {at}: not yet: {differences:?}"));
            next_word = Instant::now() + WORD_TIME;
        }
        differences.is_empty().then_some(())
    });
    await_settled_passes(bed, 1);
    assert_eq!(truth::differences(bed, wanted), NOTHING, "{at}: it did not stay as wanted");
}

#[test]
fn a_world_that_is_meddled_with_converges_every_time_and_the_controller_does_not_grow() {
    let Some(mut bed) = scene("a_world_that_is_meddled_with") else { return };
    let duration = setting::number("EVENKEEL_SOAK_MINUTES").map_or(SHORT, |minutes| Duration::from_secs(minutes * 60));
    let seed = setting::seed("EVENKEEL_SOAK_SEED");
    let strangers = Strangers::make(&bed);
    let of_others = strangers.look(&bed);
    let mut meddler = Meddler::new(seed, strangers.meeting_place.id.clone());
    let mut wanted = Wanted::new(&bed, steady_port(&mut fastrand::Rng::new()));
    let (mut report, mut markers) = (Report::new(seed), Markers::default());
    wanted.write(&bed);
    let mut process = Process::start(&mut bed);
    while report.converged.len() < FEWEST_ROUNDS || report.elapsed() < duration {
        let round = report.samples.len();
        let at = format!("seed {seed}, round {round}");
        // At first there is nothing to meddle with yet.
        if round > 0 {
            let burst = Duration::from_millis(meddler.number(BURST_MS)).min(duration / 4);
            // The controller of the second half lives on, so that it can be seen whether it grows.
            let may_end = round <= FEWEST_ROUNDS || report.elapsed() < duration / 2;
            meddler.burst(&mut bed, &mut process, &mut wanted, (burst, may_end));
        }
        let silent = Instant::now();
        await_converged(&bed, &wanted, &at);
        if round > 0 {
            report.converged.push(silent.elapsed());
        }
        truth::check_site(&wanted, &at);
        truth::check_quiet(&bed, QUIET, &at);
        markers.check_and_add(&bed, &wanted, &round.to_string(), &at);
        assert_eq!(bed.volume_names().len(), 2, "{at}: volumes");
        assert_eq!(strangers.look(&bed), of_others, "{at}: something of others was touched");
        report.samples.push(Sample::take(process.lives, bed.controller_pid().unwrap(), &bed.data().join("store")));
        report.tell(&meddler.tally);
    }
    report.counted = (changing_calls(&bed), counter(&bed, "evenkeel_drift_repaired_total", ""));
    say(&report.table(&meddler.tally, process.lives));
    if duration >= LONG {
        assert_eq!(meddler.tally.never_done(), NOTHING, "seed {seed}: never done");
    }
    let largest = report.samples.iter().map(|sample| sample.store_bytes).max().unwrap();
    assert!(largest <= STORE_CAP_BYTES, "seed {seed}: the store grew to {largest} bytes");
    let faults = Thirds::of(&report.samples).map(|thirds| thirds.faults()).unwrap_or_default();
    assert_eq!(faults, NOTHING, "seed {seed}: {:?}", report.samples);
    assert!(bed.stop().success());
}
