//! What must happen in time, and what must not happen for no reason: one world for each, played with a sound controller here and with
//! a broken one in [`super::mutants`].

use std::time::Duration;

use controller::engine::simulated::CallKind;
use crds_schema::ObjectKey;
use tokio::time::Instant;

use super::faults::Single;
use super::mutants::{Mutant, failures_of};
use super::sim::{RESYNC, Sim};
use super::wanted::{App, Spec, Wanted};

/// How often a directory is read of which nothing is heard.
const POLL: Duration = Duration::from_secs(30);
/// How long a controller may take to look at an Engine that is back.
const ENGINE_BACK: Duration = Duration::from_mins(1);
/// For how long objects fail: longer only costs time, since by then each tries as rarely as it ever will.
const HOURS: u64 = 3;
/// How many changing calls an hour may be spent on objects that fail for ever: one try in five minutes for each of two, four calls
/// each; and as many once more for the first tries, which follow closer.
const CHANGES_AN_HOUR: u64 = 2 * 12 * 4;
/// How many observations an hour: in each resync three lists, and two looks at what belongs to each of three objects.
const OBSERVATIONS_AN_HOUR: u64 = 120 * 9;
/// How often it is looked how far a world has come.
const LOOK_TIME: Duration = Duration::from_millis(500);

#[test]
fn objects_that_fail_for_ever_cost_few_calls_an_hour() {
    assert_eq!(failures_of(None, fail_for_ever), [""; 0]);
}

#[test]
fn events_that_are_not_true_cause_no_changing_call() {
    assert_eq!(failures_of(None, hear_untrue_events), [""; 0]);
}

#[test]
fn a_jump_of_the_wall_clock_changes_nothing() {
    assert_eq!(failures_of(None, jump_in_time), [""; 0]);
}

#[test]
fn an_object_that_hangs_delays_no_other() {
    assert_eq!(failures_of(None, hang_one), [""; 0]);
}

#[test]
fn an_engine_that_is_back_is_looked_at_within_a_minute() {
    assert_eq!(failures_of(None, stall_the_engine), [""; 0]);
}

#[test]
fn a_change_of_which_nothing_is_heard_is_found_by_the_next_poll() {
    assert_eq!(failures_of(None, change_in_silence), [""; 0]);
}

#[test]
fn an_engine_that_drops_a_limit_gets_no_container_started() {
    let failures = failures_of(Some(Mutant::EngineDropsLimits), async |sim: &mut Sim| {
        let wanted = Wanted::default().with_app("web", App { memory_mib: Some(64), ..App::default() });
        sim.files.write(&wanted);
        sim.start();
        sim.pass_time(RESYNC * 4).await;
        let counts = sim.engine.call_counts();
        let removed = counts.of(CallKind::RemoveContainer);
        if removed == 0 { Err("S14: what is not as asked for was not removed".to_owned()) } else { Ok(()) }
    });
    assert_eq!(failures, [""; 0]);
}

/// One deployment, converged to.
pub(crate) async fn one_app(sim: &mut Sim) -> Result<Wanted, String> {
    let wanted = Wanted::default().with_app("web", App::default());
    begin(sim, &wanted).await?;
    Ok(wanted)
}

/// A world that has converged.
pub(crate) async fn begin(sim: &mut Sim, wanted: &Wanted) -> Result<(), String> {
    sim.files.write(wanted);
    if sim.running.is_none() {
        sim.start();
    }
    sim.converge(wanted).await?;
    // What was replaced is gone.
    sim.pass_time(RESYNC).await;
    Ok(())
}

/// S12.
pub(crate) async fn fail_for_ever(sim: &mut Sim) -> Result<(), String> {
    let bad = |image| App { image, ..App::default() };
    let wanted = Wanted::default()
        .with_app("web", App::default())
        .with_app("broken", bad("broken:1"))
        .with_app("absent", bad("absent:1"));
    sim.files.write(&wanted);
    sim.start();
    for hour in 1..=HOURS {
        sim.pass_time(Duration::from_hours(1)).await;
        let changes = sim.engine.call_counts().mutating();
        let observations = sim.trace.counts().get("engine: observation").copied().unwrap_or(0);
        if changes > CHANGES_AN_HOUR * (hour + 1) || observations > OBSERVATIONS_AN_HOUR * (hour + 1) {
            return Err(format!("S12: {changes} changing calls and {observations} observations in {hour} h"));
        }
    }
    Ok(())
}

/// S13: the same world with and without events that are not true.
pub(crate) async fn hear_untrue_events(sim: &mut Sim) -> Result<(), String> {
    let first = one_app(sim).await?;
    let second = first.clone().change("web", |app| app.version = 2);
    let calls = sim.engine.call_counts().mutating();
    begin(sim, &second).await?;
    let quiet = sim.engine.call_counts().mutating() - calls;
    sim.faults.set_single(Some(Single::FalseEvents));
    let calls = sim.engine.call_counts().mutating();
    let third = second.change("web", |app| app.version = 3);
    begin(sim, &third).await?;
    let misled = sim.engine.call_counts().mutating() - calls;
    if misled != quiet {
        return Err(format!("S13: {misled} changing calls with events that are not true, {quiet} without"));
    }
    Ok(())
}

/// S21: a restart with another wall clock is a restart.
pub(crate) async fn jump_in_time(sim: &mut Sim) -> Result<(), String> {
    let wanted = one_app(sim).await?;
    let mut of_a_restart = Vec::new();
    for skew_ms in [0, 86_400_000, -86_400_000] {
        sim.stop().await;
        sim.clock_skew_ms = skew_ms;
        let calls = sim.engine.call_counts().mutating();
        begin(sim, &wanted).await?;
        of_a_restart.push(sim.engine.call_counts().mutating() - calls);
    }
    if of_a_restart.iter().any(|calls| *calls != of_a_restart[0]) {
        return Err(format!("S21: {of_a_restart:?} changing calls with the clock as it was, a day later and earlier"));
    }
    Ok(())
}

/// L3: of four deployments one hangs, and the others take at most twice as long as without.
pub(crate) async fn hang_one(sim: &mut Sim) -> Result<(), String> {
    let names = ["a", "b", "c", "d"];
    let with_version = |version| {
        let app = App { version, ..App::default() };
        names.into_iter().fold(Wanted::default(), |wanted, name| wanted.with_app(name, app.clone()))
    };
    begin(sim, &with_version(1)).await?;
    sim.files.write(&with_version(2));
    let normal = converge_but_for(sim, &with_version(2), "", Duration::from_mins(5)).await;
    let normal = normal.ok_or_else(|| "L1: four deployments take more than five minutes".to_owned())?;
    sim.pass_time(RESYNC).await;
    let of_a = |id: &String| {
        sim.engine
            .peek(id)
            .is_some_and(|container| container.config.labels.get("evenkeel.dev/name").is_some_and(|name| name == "a"))
    };
    let hanging = sim.engine.all_container_ids().into_iter().find(of_a).ok_or("it is not there")?;
    sim.engine.hang(&hanging);
    sim.files.write(&with_version(3));
    let others = converge_but_for(sim, &with_version(3), "Deployment/a", normal * 2).await;
    sim.engine.release(&hanging);
    match others {
        Some(_) => Ok(()),
        None => Err(format!("L3: what has nothing to do with a hanging object takes more than twice {normal:?}")),
    }
}

/// How long it takes until nothing differs but one object; nothing where it takes longer than that.
async fn converge_but_for(sim: &mut Sim, wanted: &Wanted, hanging: &str, longest: Duration) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() <= longest + LOOK_TIME {
        let differences = sim.differences(wanted);
        if differences.iter().all(|difference| !hanging.is_empty() && difference.starts_with(&format!("{hanging}:"))) {
            return Some(begun.elapsed());
        }
        sim.pass_time(LOOK_TIME).await;
    }
    None
}

/// L5.
pub(crate) async fn stall_the_engine(sim: &mut Sim) -> Result<(), String> {
    let away = Duration::from_mins(10);
    one_app(sim).await?;
    sim.faults.stall(away);
    // Connections that were there are gone too.
    sim.engine.cut_event_streams();
    sim.pass_time(away).await;
    let lists = sim.engine.call_counts().of(CallKind::ListContainers);
    sim.pass_time(ENGINE_BACK).await;
    if sim.engine.call_counts().of(CallKind::ListContainers) == lists {
        return Err(format!("L5: the Engine is back for {ENGINE_BACK:?} and was not asked what it has"));
    }
    Ok(())
}

/// L6.
pub(crate) async fn change_in_silence(sim: &mut Sim) -> Result<(), String> {
    let wanted = one_app(sim).await?.change("web", |app| app.version = 2);
    sim.files.set_silent(true);
    sim.files.write(&wanted);
    sim.pass_time(POLL + RESYNC).await;
    let key: ObjectKey = "Deployment/web".parse().expect("a key");
    let board = sim.running.as_ref().map(|process| &process.board);
    let observed = board.and_then(|board| board.object(&key)).map_or(0, |record| record.status.observed_generation);
    if observed < 2 {
        return Err(format!("L6: a change was not seen within {:?}", POLL + RESYNC));
    }
    Ok(())
}

/// A deployment that needs another, which takes a while.
pub(crate) fn dependent() -> Wanted {
    Wanted::default()
        .with_app("db", App { image: "health:1", ..App::default() })
        .with_app("web", App { depends_on: vec!["db"], ..App::default() })
}

/// A database with a volume that is to be kept.
pub(crate) fn writer(image: &'static str) -> Wanted {
    Wanted::default()
        .with("Volume/data", Spec::Volume { is_deleted: false })
        .with_app("db", App { volume: Some("data"), image, ..App::default() })
}
