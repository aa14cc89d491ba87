//! Two controllers of one instance on one Engine, each with a data directory of its own: never do both act.

use std::time::Duration;

use controller::controller::{ControllerError, Exclusion};
use controller::lease::LeaseError;
use controller::lease_keeper::KeepError;
use controller::once::Outcome;
use controller::store::memory::MemoryKv;

use super::faults::Rates;
use super::random_run::{Report, run_simulation};
use super::random_wanted::{change, mended, platform};
use super::sim::{INSTANCE, Process, RESYNC, Sim, Start};
use super::trace::Counts;
use super::wanted::{App, Wanted};

/// How many take-overs are tried.
const SEEDS: u64 = 200;
/// How long a first controller that was followed may take to end, once it is awake: it looks every minute, and calls under way
/// end first.
const END_TIME: Duration = Duration::from_mins(5);

#[test]
fn a_second_controller_is_refused_while_the_first_lives() {
    let report = run_simulation(|| async {
        let mut sim = Sim::new(1, true);
        let wanted = Wanted::default().with_app("web", App::default());
        sim.files.write(&wanted);
        sim.start();
        let mut failures: Vec<String> = sim.converge(&wanted).await.err().into_iter().collect();
        let second = start_second(&mut sim, Exclusion::Lease);
        let ended = second.task.await.expect("it does not panic");
        if !matches!(&ended, Err(ControllerError::Lease(error)) if error.to_string().contains("process 101")) {
            failures.push(format!("the second ended by {ended:?}"));
        }
        failures.extend(sim.stay_quiet(&wanted).await.err());
        report(&sim, failures)
    });
    assert!(report.failures.is_empty(), "{:?}\n{}", report.failures, report.trace);
}

#[test]
fn a_second_controller_that_takes_over_acts_and_the_first_ends() {
    let report = run_simulation(|| async {
        let mut sim = Sim::new(1, true);
        let wanted = Wanted::default().with_app("web", App::default());
        sim.files.write(&wanted);
        sim.start();
        let mut failures: Vec<String> = sim.converge(&wanted).await.err().into_iter().collect();
        let second = start_second(&mut sim, Exclusion::TakeOver);
        sim.pass_time(Duration::from_secs(5)).await;
        let wanted = wanted.change("web", |app| app.version += 1);
        sim.files.write(&wanted);
        failures.extend(follow_up(&mut sim, second, &wanted).await.err());
        failures.extend(sim.stay_quiet(&wanted).await.err());
        report(&sim, failures)
    });
    assert!(report.failures.is_empty(), "{:?}\n{}", report.failures, report.trace);
}

#[test]
fn a_controller_that_was_followed_while_it_slept_changes_nothing_when_it_wakes() {
    if let Some(seed) = std::env::var("EVENKEEL_SEED").ok().and_then(|text| text.parse().ok()) {
        let report = run_pair(seed, (Exclusion::Lease, Exclusion::TakeOver), true);
        println!("{}\n{:#?}", report.trace, report.counts);
        assert!(report.failures.is_empty(), "seed {seed}: {:?}", report.failures);
        return;
    }
    let (mut counts, mut failed) = (Counts::new(), Vec::new());
    for seed in 1..=SEEDS {
        let report = run_pair(seed, (Exclusion::Lease, Exclusion::TakeOver), false);
        for (what, times) in report.counts {
            *counts.entry(what).or_default() += times;
        }
        if !report.failures.is_empty() {
            failed.push((seed, report.failures));
        }
    }
    println!("{SEEDS} take-overs:");
    for (what, times) in counts.iter().filter(|(what, _)| what.starts_with("pair:") || what.starts_with("gap:")) {
        println!("{times:>12}  {what}");
    }
    assert!(failed.is_empty(), "{} seeds fail: {failed:#?}", failed.len());
}

#[test]
fn two_controllers_without_a_lease_are_seen_to_act_both() {
    let is_seen = |seed| {
        let report = run_pair(seed, (Exclusion::None, Exclusion::None), false);
        report.failures.iter().any(|failure| failure.starts_with("S6:"))
    };
    let seen = (1..=20).filter(|seed| is_seen(*seed)).count();
    assert_eq!(seen, 20, "of 20 runs");
}

/// A first controller, awake or frozen, is followed by a second one while users edit.
fn run_pair(seed: u64, exclusions: (Exclusion, Exclusion), is_trace_kept: bool) -> Report {
    run_simulation(move || async move {
        let mut sim = Sim::new(seed, is_trace_kept);
        let outcome = take_over(&mut sim, exclusions).await;
        let failures = outcome.err().into_iter().collect();
        report(&sim, failures)
    })
}

async fn take_over(sim: &mut Sim, exclusions: (Exclusion, Exclusion)) -> Result<(), String> {
    let mut wanted = platform(&mut sim.random);
    sim.files.write(&wanted);
    let first = Start { exclusion: exclusions.0, ..start_of(sim, "data-dir-1") };
    sim.running = Some(sim.start_process(first));
    if sim.random.bool() {
        let mut rate = || sim.random.u32(0..30);
        let rates =
            Rates { unreachable: rate(), drop_reply: rate(), slow: rate(), lose_event: rate(), ..Rates::default() };
        sim.faults.set_rates(rates);
    }
    // Most often in the middle of something.
    let longest_ms = if sim.random.bool() { 8_000 } else { 60_000 };
    let time = Duration::from_millis(sim.random.u64(0..longest_ms));
    edit_for(sim, &mut wanted, time).await;
    let is_frozen = sim.random.u8(0..4) > 0;
    set_first_frozen(sim, is_frozen);
    let asleep_before = Duration::from_millis(sim.random.u64(0..5_000));
    edit_for(sim, &mut wanted, asleep_before).await;
    let second = start_second(sim, exclusions.1);
    let longest_ms = if sim.random.bool() { 6_000 } else { 85_000 };
    let asleep_after = Duration::from_millis(sim.random.u64(0..longest_ms));
    edit_for(sim, &mut wanted, asleep_after).await;
    set_first_frozen(sim, false);
    edit_for(sim, &mut wanted, Duration::from_secs(20)).await;
    sim.trace.count(if is_frozen { "pair: first was frozen" } else { "pair: first was awake" });
    sim.faults.set_rates(Rates::default());
    wanted = mended(wanted, &mut sim.random);
    sim.files.write(&wanted);
    if exclusions.0 == Exclusion::None {
        sim.pass_time(RESYNC).await;
        second.end().await;
        return Ok(());
    }
    follow_up(sim, second, &wanted).await
}

/// The first ends because it was followed, and what is wanted is made by the second.
async fn follow_up(sim: &mut Sim, second: Process, wanted: &Wanted) -> Result<(), String> {
    let mut first = sim.running.take().ok_or("there is no first controller")?;
    let ended = tokio::time::timeout(END_TIME, &mut first.task).await;
    match ended {
        // It had the lease, or had not got it yet.
        Ok(Ok(Err(ControllerError::Lease(
            KeepError::TakenBy(holder) | KeepError::Lease(LeaseError::Held { holder, .. }),
        )))) if holder.pid == second.pid => {}
        Ok(Ok(outcome)) => return Err(format!("the first ended by {:?}", told(outcome))),
        Ok(Err(error)) => return Err(format!("the first ended by {error}")),
        Err(_) => return Err("S6: the first goes on".to_owned()),
    }
    first.end().await;
    sim.disk = second.disk.clone();
    sim.running = Some(second);
    // It counts its own generations.
    sim.told.begin(true);
    sim.converge(wanted).await.map(|_| ())
}

/// Lets time pass in which users edit now and then.
async fn edit_for(sim: &mut Sim, wanted: &mut Wanted, time: Duration) {
    let edits = sim.random.u32(1..4);
    for _ in 0..edits {
        sim.pass_time(time / (edits + 1)).await;
        for _ in 0..sim.random.u8(1..3) {
            change(wanted, &mut sim.random);
        }
        sim.files.write(wanted);
    }
    sim.pass_time(time / (edits + 1)).await;
}

fn set_first_frozen(sim: &Sim, is_frozen: bool) {
    if let Some(first) = &sim.running {
        sim.trace.say(if is_frozen { "the first is frozen" } else { "the first goes on" });
        first.life.set_frozen(is_frozen);
    }
}

fn start_second(sim: &mut Sim, exclusion: Exclusion) -> Process {
    let start = Start { exclusion, disk: MemoryKv::default(), ..start_of(sim, "data-dir-2") };
    sim.start_process(start)
}

fn start_of(sim: &Sim, data_dir_id: &'static str) -> Start {
    let disk = sim.disk.clone();
    Start { instance: INSTANCE, data_dir_id, disk, exclusion: Exclusion::Lease, is_restricted: true }
}

/// How a run ended, in words.
fn told(outcome: Result<Outcome, ControllerError>) -> String {
    match outcome {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => error.to_string(),
    }
}

fn report(sim: &Sim, mut failures: Vec<String>) -> Report {
    failures.extend(sim.oracle.violations());
    Report { failures, fingerprint: Some(sim.trace.fingerprint()), counts: sim.trace.counts(), trace: sim.trace.text() }
}
