//! Enumerations: each golden scenario again and again, and each time one thing goes wrong at one more place, until there is none left.

use std::time::Duration;

use super::faults::{Single, Way};
use super::golden::{Scenario, scenarios};
use super::parallel::try_all;
use super::random_run::{Report, run_simulation};
use super::sim::{RESYNC, Sim};

/// What is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing: how many places there are.
    None,
    /// The controller dies at this point, from 1: before or after it touches the Engine, the store or the files, or while a call is
    /// under way.
    Crash(u64),
    /// Something between it and the Engine.
    Fault(Single),
}

/// How many places of each sort a run had.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    points: u64,
    calls: u64,
    events: u64,
    observations: u64,
}

#[test]
fn the_controller_may_die_at_every_point_of_every_scenario() {
    let crashes = |places: Places| (1..=places.points).map(Place::Crash).collect();
    enumerate("crash points", crashes);
}

#[test]
fn every_event_may_be_lost() {
    let losses = |places: Places| (0..places.events).map(|at| Place::Fault(Single::LoseEvent { at })).collect();
    enumerate("lost events", losses);
}

#[test]
fn every_observation_may_be_one_version_stale() {
    let stale = |places: Places| (0..places.observations).map(|at| Place::Fault(Single::Stale { at })).collect();
    enumerate("stale observations", stale);
}

#[test]
fn every_call_may_fail_in_each_of_four_ways() {
    let failures = |places: Places| {
        let ways = [Way::Error, Way::TimedOutNotDone, Way::TimedOutDone, Way::DoneLater];
        let of_call = |at| ways.map(|way| Place::Fault(Single::Call { at, way }));
        (0..places.calls).flat_map(of_call).collect()
    };
    enumerate("failed calls", failures);
}

/// Runs every scenario with every interruption, and tells how many that were.
fn enumerate(what: &str, places_of: impl Fn(Places) -> Vec<Place>) {
    let scenarios = scenarios();
    let mut all: Vec<(usize, Place)> = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let (report, places) = run(scenario, Place::None);
        assert!(report.failures.is_empty(), "{}: {:?}\n{}", scenario.name, report.failures, report.trace);
        all.extend(places_of(places).into_iter().map(|place| (index, place)));
    }
    let failed = try_all(&all, |(index, place)| {
        let scenario = &scenarios[*index];
        let (report, _) = run(scenario, *place);
        (!report.failures.is_empty()).then(|| format!("{}, {place:?}: {:?}", scenario.name, report.failures))
    });
    println!("ENUMERATED {what}: {} in {} scenarios", all.len(), scenarios.len());
    assert!(failed.is_empty(), "{} of {} {what} fail, the first: {}", failed.len(), all.len(), failed[0]);
}

/// Runs a scenario with one interruption.
fn run(scenario: &Scenario, place: Place) -> (Report, Places) {
    let mut places = Places::default();
    let report = run_simulation(|| async {
        let mut sim = Sim::new(3, place == Place::None);
        let outcome = play(&mut sim, scenario, place).await;
        let mut failures = sim.oracle.violations();
        match outcome {
            Ok(counted) => places = counted,
            Err(failure) => failures.push(failure),
        }
        Report { failures, fingerprint: None, counts: sim.trace.counts(), trace: sim.trace.text() }
    });
    (report, places)
}

async fn play(sim: &mut Sim, scenario: &Scenario, place: Place) -> Result<Places, String> {
    sim.files.write(&scenario.before);
    sim.start();
    sim.converge(&scenario.before).await?;
    // A proved replacement, and the prune of what went before, are over.
    sim.pass_time(RESYNC).await;
    let observed_before = observed(sim);
    let points_before = sim.running.as_ref().map_or(0, |process| process.life.points());
    match place {
        // Where nothing is at this number, nothing goes wrong, and everything is counted.
        Place::None => sim.faults.set_single(Some(Single::Call { at: u64::MAX, way: Way::Error })),
        Place::Crash(after) => {
            if let Some(process) = &sim.running {
                process.life.kill_after(after);
            }
        }
        Place::Fault(single) => sim.faults.set_single(Some(single)),
    }
    (scenario.act)(sim);
    sim.files.write(&scenario.after);
    sim.converge(&scenario.after).await?;
    let points_after = sim.running.as_ref().map_or(0, |process| process.life.points());
    let (calls, events) = sim.faults.seen();
    let observations = observed(sim) - observed_before;
    sim.faults.set_single(None);
    let left = sim.faults.late_until().saturating_duration_since(tokio::time::Instant::now());
    if left > Duration::ZERO {
        sim.pass_time(left + RESYNC * 2).await;
        sim.converge(&scenario.after).await?;
    }
    sim.stay_quiet_for(&scenario.after, 2).await?;
    Ok(Places { points: points_after.saturating_sub(points_before), calls, events, observations })
}

fn observed(sim: &Sim) -> u64 {
    sim.trace.counts().get("engine: observation").copied().unwrap_or(0)
}
