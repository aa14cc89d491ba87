//! Updates that do not come to serve: what served is brought back, wherever the controller dies, and is not taken for what is wanted.

use std::time::Duration;

use controller::engine::simulated::{ImageConfig, Program};
use controller::user_word::UserWord;
use crds_schema::{ConditionType, ObjectKey};
use tokio::time::Instant;

use super::convergence::RESYNCS;
use super::faults::{Single, Way};
use super::liveness::begin;
use super::mutants::failures_of;
use super::parallel::try_all;
use super::random_run::{Report, run_simulation};
use super::sim::{RESYNC, Sim};
use super::wanted::{App, Wanted};

/// How long an update has.
const DEADLINE: Duration = Duration::from_secs(20);
/// How much later than that it must be told at the latest: nobody is told of an Engine that restarts a container in between.
const TELLING_TIME: Duration = Duration::from_mins(1);
/// How often it is looked.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// A deployment whose update has little time; with a volume, the old container stops before the new one starts.
fn app(image: &'static str, volume: Option<&'static str>) -> Wanted {
    let app = App { image, volume, deadline_secs: Some(DEADLINE.as_secs()), ..App::default() };
    let wanted = Wanted::default().with_app("db", app);
    if volume.is_some() { wanted.with_volume("data") } else { wanted }
}

fn key() -> ObjectKey {
    "Deployment/db".parse().expect("a key")
}

/// The reason of a condition of the deployment.
fn reason(sim: &Sim, condition_type: ConditionType) -> String {
    let record = sim.running.as_ref().and_then(|process| process.board.object(&key()));
    let told = record.as_ref().and_then(|record| record.status.condition(condition_type));
    told.map(|told| told.reason.clone()).unwrap_or_default()
}

fn is_told_to_have_failed(sim: &Sim) -> bool {
    reason(sim, ConditionType::Progressing) == "ProgressDeadlineExceeded"
        || reason(sim, ConditionType::Degraded) == "RolledBack"
}

/// Waits until what served before serves again, alone, and that is told.
async fn until_rolled_back(sim: &mut Sim, before: &Wanted) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        sim.pass_time(LOOK_TIME).await;
        if sim.bury_the_dead().await {
            sim.start();
        }
        let differences = sim.differences(before);
        let ready = reason(sim, ConditionType::Ready);
        if differences.is_empty() && ready == "RolledBack" {
            return Ok(());
        }
        if begun.elapsed() > RESYNC * RESYNCS {
            return Err(format!("L4: not rolled back within {RESYNCS} resyncs: {differences:?}, told: {ready}"));
        }
    }
}

/// L4: each rollout is complete, rolled back or told to have failed within its deadline and a little.
pub(crate) async fn end_or_be_told(sim: &mut Sim) -> Result<(), String> {
    for (bad, on_failure_pause) in [("crash:1", false), ("sick:1", false), ("broken:1", false), ("sick:1", true)] {
        let good = app("app:1", None).change("db", |app| app.version += u32::from(on_failure_pause));
        begin(sim, &good).await?;
        sim.files.write(&good.clone().change("db", |app| {
            app.image = bad;
            app.is_paused = on_failure_pause;
        }));
        let begun = Instant::now();
        while !is_told_to_have_failed(sim) {
            if begun.elapsed() > DEADLINE + TELLING_TIME {
                return Err(format!("L4: nothing is told of {bad} {:?} after it was wanted", begun.elapsed()));
            }
            sim.pass_time(LOOK_TIME).await;
        }
    }
    Ok(())
}

#[test]
fn every_rollout_ends_or_is_told_to_have_failed_in_time() {
    assert_eq!(failures_of(None, end_or_be_told), [""; 0]);
}

#[test]
fn what_was_rolled_back_stays_so_over_restarts_until_somebody_says_otherwise() {
    let play = async |sim: &mut Sim| {
        let (good, bad) = (app("app:1", Some("data")), app("crash:1", Some("data")));
        begin(sim, &good).await?;
        sim.files.write(&bad);
        until_rolled_back(sim, &good).await?;
        sim.pass_time(RESYNC).await;
        let calls = sim.engine.call_counts().mutating();
        for _ in 0..3 {
            sim.kill().await;
            sim.start();
            sim.pass_time(RESYNC * 4).await;
        }
        until_rolled_back(sim, &good).await?;
        // Each start takes the lease of the one before.
        let changes = sim.trace.counts();
        let started = sim.engine.call_counts().mutating() - calls;
        if sim.differences(&good) != [""; 0] || started > 3 * 4 {
            return Err(format!("it was tried again: {started} changing calls, {changes:?}"));
        }
        sim.engine.store_image("crash:1", ImageConfig::plain(), Program::forever());
        if let Some(process) = &mut sim.running {
            process.say(UserWord::RetryRollout(key()));
        }
        sim.converge(&bad).await.map(drop)
    };
    assert_eq!(failures_of(None, play), [""; 0]);
}

/// What goes wrong while an update is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    None,
    Crash(u64),
    Call(u64, Way),
}

/// Plays an update that is rolled back with one interruption. Returns how many points and calls there were.
fn play(volume: Option<&'static str>, place: Place) -> (Vec<String>, u64, u64) {
    let mut counted = (0, 0);
    let report = run_simulation(|| async {
        let mut sim = Sim::new(3, false);
        let outcome = async {
            let (good, bad) = (app("app:1", volume), app("crash:1", volume));
            begin(&mut sim, &good).await?;
            let points = sim.running.as_ref().map_or(0, |process| process.life.points());
            match place {
                Place::None => sim.faults.set_single(Some(Single::Call { at: u64::MAX, way: Way::Error })),
                Place::Call(at, way) => sim.faults.set_single(Some(Single::Call { at, way })),
                Place::Crash(after) => {
                    if let Some(process) = &sim.running {
                        process.life.kill_after(after);
                    }
                }
            }
            sim.files.write(&bad);
            until_rolled_back(&mut sim, &good).await?;
            let points_after = sim.running.as_ref().map_or(0, |process| process.life.points());
            counted = (points_after.saturating_sub(points), sim.faults.seen().0);
            sim.faults.set_single(None);
            // What an answer was lost of may still be done.
            sim.pass_time(RESYNC * 4).await;
            until_rolled_back(&mut sim, &good).await
        };
        let outcome: Result<(), String> = outcome.await;
        let mut failures = sim.oracle.violations();
        failures.extend(outcome.err());
        Report { failures, fingerprint: None, counts: sim.trace.counts(), trace: sim.trace.text() }
    });
    (report.failures, counted.0, counted.1)
}

#[test]
fn an_update_is_rolled_back_wherever_the_controller_dies_and_whichever_call_fails() {
    let mut all = Vec::new();
    for volume in [None, Some("data")] {
        let (failures, points, calls) = play(volume, Place::None);
        assert_eq!(failures, [""; 0], "{volume:?}");
        assert!(points > 50 && calls > 5, "{points} points, {calls} calls");
        all.extend((1..=points).map(|at| (volume, Place::Crash(at))));
        let ways = [Way::Error, Way::TimedOutNotDone, Way::TimedOutDone];
        all.extend((0..calls).flat_map(|at| ways.map(|way| (volume, Place::Call(at, way)))));
    }
    let failed = try_all(&all, |(volume, place)| {
        let (failures, _, _) = play(*volume, *place);
        (!failures.is_empty()).then(|| format!("{volume:?}, {place:?}: {failures:?}"))
    });
    assert_eq!(failed, [""; 0], "of {}", all.len());
}
