//! Mutants: controllers that are broken on purpose, one for each check, to show that the check can fail. Each test runs a world with
//! the mutant, where the check must speak, and the same world without it, where none may.

pub(crate) mod broken_engine;
pub(crate) mod broken_source;

use std::time::Duration;

use super::faults::{Single, Way};
use super::invariants::row;
use super::liveness;
use super::meddler::stranger_config;
use super::random_run::{Report, run_simulation};
use super::rollback;
use super::sim::{RESYNC, Sim};
use super::wanted::{App, Wanted};

/// The seed of every world here: any would do, and this one has latencies as Docker has.
const SEED: u64 = 5;

/// What is broken in a controller. Its name, in words, is in the name of the test that catches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mutant {
    /// With each container it removes everything that it does not know.
    RemovesStrangers,
    /// It stops by name, not by id.
    ActsByName,
    /// With each container it removes the volumes.
    DropsVolumes,
    /// It stops what serves, and then looks for something better.
    StopsBeforeItCreates,
    /// What it starts, it starts three times.
    StartsTwins,
    /// It creates what no manifest says.
    CreatesAnotherVersion,
    /// It asks nobody before it prunes.
    PrunesUnasked,
    /// It calls before its intent is on the disk.
    MakesNothingDurable,
    /// It acts on ids that it has not seen.
    ActsUnseen,
    /// It changes something whenever it looks.
    ChangesWithEachList,
    /// It knows no back-off.
    RetriesAtOnce,
    /// It acts on what an event says.
    BelievesEvents,
    /// It does not compare what it got with what it asked for.
    BelievesWhatItAsked,
    /// It does not read `dependsOn`.
    ForgetsDependencies,
    /// It does not read `strategy`.
    ForgetsDeadlines,
    /// It does not give restart policies back.
    LeavesDisarmed,
    /// It applies half of what was read and half of what was read before.
    MixesVersions,
    /// It begins with an empty disk and does not know.
    BeginsAnew,
    /// It creates again what may be there.
    RepeatsWhatItCannotTell,
    /// It measures the age of containers by its own clock.
    BelievesTheWallClock,
    /// No event ever goes out of its store.
    HoardsEvents,
    /// It leaves the stream of events unread.
    ReadsNoEvents,
    /// It tells what was true once.
    TakesAllForRunning,
    /// Its audit does not say why.
    DropsCauses,
    /// It looks when it starts, and never again.
    LooksOnlyOnce,
    /// It does not see what another process has left half done.
    SkipsLeftovers,
    /// It makes one call at a time.
    CallsOneByOne,
    /// It does not come back to an Engine that was away.
    GivesUpOnTheEngine,
    /// It relies on being told of changes.
    NeverPolls,
    /// It waits for an answer for ever.
    WaitsForEver,
    /// It says that it removes, and does not.
    NeverRemoves,
    /// It does not hear that it is to end.
    HearsNoSignal,
    /// Not the controller: the Engine drops limits and does not say so. The controller must notice.
    EngineDropsLimits,
}

impl Mutant {
    /// The end of the name of the test that shows that a check catches it.
    pub(crate) fn test_name(self, invariant: &str) -> String {
        let mut words = String::new();
        for character in format!("{self:?}").chars() {
            if character.is_uppercase() {
                words.push('_');
            }
            words.extend(character.to_lowercase());
        }
        format!("a_controller_that{words}_is_caught_by_{}", invariant.to_lowercase())
    }
}

/// What is wrong in a world when it has been played to its end, with a mutant or a sound controller.
pub(crate) fn failures_of(mutant: Option<Mutant>, play: impl AsyncFn(&mut Sim) -> Result<(), String>) -> Vec<String> {
    let play = &play;
    let report = run_simulation(move || async move {
        let mut sim = Sim::new(SEED, std::env::var_os("EVENKEEL_TRACE").is_some());
        sim.mutant = mutant;
        let outcome = play(&mut sim).await;
        sim.look_at_caps();
        let mut failures = sim.oracle.violations();
        failures.extend(outcome.err());
        Report { failures, fingerprint: None, counts: sim.trace.counts(), trace: sim.trace.text() }
    });
    if !report.trace.is_empty() {
        println!("{mutant:?}\n{}", report.trace);
    }
    report.failures
}

/// Shows that a check catches a mutant, and accuses nobody else.
fn check(invariant: &str, mutant: Mutant, play: impl AsyncFn(&mut Sim) -> Result<(), String>) {
    assert!(row(invariant).mutants.contains(&mutant), "{invariant} does not say that it catches {mutant:?}");
    assert_eq!(failures_of(None, &play), [""; 0], "nothing is broken");
    let failures = failures_of(Some(mutant), &play);
    let prefix = format!("{invariant}:");
    let caught = failures.iter().find(|failure| failure.contains(&prefix));
    let told: Vec<String> = failures.iter().take(3).map(|failure| failure.chars().take(300).collect()).collect();
    assert!(caught.is_some(), "{mutant:?} is not caught by {invariant}: {told:#?}");
}

/// Plays a change of what is wanted.
async fn edit(sim: &mut Sim, before: &Wanted, after: &Wanted) -> Result<(), String> {
    liveness::begin(sim, before).await?;
    liveness::begin(sim, after).await?;
    sim.stay_quiet_for(after, 2).await
}

async fn edit_image(sim: &mut Sim) -> Result<(), String> {
    let before = Wanted::default().with_app("web", App::default());
    edit(sim, &before, &before.clone().change("web", |app| app.image = "app:2")).await
}

/// The container of the only deployment.
fn container_of(sim: &Sim, name: &str) -> String {
    let is_it = |id: &String| {
        sim.engine
            .peek(id)
            .is_some_and(|container| container.config.labels.get("evenkeel.dev/name").map(String::as_str) == Some(name))
    };
    sim.engine.all_container_ids().into_iter().find(is_it).expect("it is there")
}

#[test]
fn a_controller_that_removes_strangers_is_caught_by_s1() {
    check("S1", Mutant::RemovesStrangers, async |sim: &mut Sim| {
        let create = planner::plan::ContainerCreate {
            name: "somebody-elses".to_owned(),
            config: stranger_config(),
            ..planner::plan::ContainerCreate::default()
        };
        sim.engine.external_run(create).map_err(|error| error.to_string())?;
        edit_image(sim).await
    });
}

#[test]
fn a_controller_that_acts_by_name_is_caught_by_s1() {
    check("S1", Mutant::ActsByName, edit_image);
}

#[test]
fn a_controller_that_drops_volumes_is_caught_by_s3() {
    check("S3", Mutant::DropsVolumes, async |sim: &mut Sim| {
        edit(sim, &liveness::writer("app:1"), &liveness::writer("app:2")).await
    });
}

#[test]
fn a_controller_that_stops_before_it_creates_is_caught_by_s4() {
    check("S4", Mutant::StopsBeforeItCreates, edit_image);
}

#[test]
fn a_controller_that_starts_twins_is_caught_by_s5() {
    check("S5", Mutant::StartsTwins, async |sim: &mut Sim| liveness::one_app(sim).await.map(drop));
}

#[test]
fn a_controller_that_creates_another_version_is_caught_by_s7() {
    check("S7", Mutant::CreatesAnotherVersion, async |sim: &mut Sim| {
        sim.files.write(&Wanted::default().with_app("web", App::default()));
        sim.start();
        sim.pass_time(RESYNC).await;
        Ok(())
    });
}

#[test]
fn a_controller_that_prunes_unasked_is_caught_by_s8() {
    check("S8", Mutant::PrunesUnasked, async |sim: &mut Sim| {
        let one = liveness::one_app(sim).await?;
        let four = ["a", "b", "c"].into_iter().fold(one.clone(), |wanted, name| wanted.with_app(name, App::default()));
        liveness::begin(sim, &four).await?;
        sim.files.write(&one);
        sim.pass_time(RESYNC * 8).await;
        Ok(())
    });
}

#[test]
fn a_controller_that_makes_nothing_durable_is_caught_by_s9() {
    check("S9", Mutant::MakesNothingDurable, edit_image);
}

#[test]
fn a_controller_that_acts_unseen_is_caught_by_s10() {
    check("S10", Mutant::ActsUnseen, async |sim: &mut Sim| {
        let wanted = liveness::one_app(sim).await?;
        sim.kill().await;
        liveness::begin(sim, &wanted).await
    });
}

#[test]
fn a_controller_that_changes_with_each_list_is_caught_by_s11() {
    check("S11", Mutant::ChangesWithEachList, edit_image);
}

#[test]
fn a_controller_that_retries_at_once_is_caught_by_s12() {
    check("S12", Mutant::RetriesAtOnce, liveness::fail_for_ever);
}

#[test]
fn a_controller_that_believes_events_is_caught_by_s13() {
    check("S13", Mutant::BelievesEvents, liveness::hear_untrue_events);
}

#[test]
fn a_controller_that_believes_what_it_asked_is_caught_by_s14() {
    check("S14", Mutant::BelievesWhatItAsked, async |sim: &mut Sim| {
        sim.files.write(&Wanted::default().with_app("web", App { memory_mib: Some(64), ..App::default() }));
        sim.start();
        sim.pass_time(RESYNC).await;
        Ok(())
    });
}

#[test]
fn a_controller_that_forgets_dependencies_is_caught_by_s16() {
    check("S16", Mutant::ForgetsDependencies, async |sim: &mut Sim| liveness::begin(sim, &liveness::dependent()).await);
}

#[test]
fn a_controller_that_forgets_deadlines_is_caught_by_l4() {
    check("L4", Mutant::ForgetsDeadlines, rollback::end_or_be_told);
}

#[test]
fn a_controller_that_leaves_disarmed_is_caught_by_s17() {
    check("S17", Mutant::LeavesDisarmed, async |sim: &mut Sim| {
        let wanted = liveness::one_app(sim).await?;
        let limits = planner::observed::Limits { restart: "no".to_owned(), ..planner::observed::Limits::default() };
        let id = container_of(sim, "web");
        sim.engine.external_update(&id, &limits).map_err(|error| error.to_string())?;
        sim.pass_time(RESYNC).await;
        sim.converge(&wanted).await.map(drop)
    });
}

#[test]
fn a_controller_that_mixes_versions_is_caught_by_s18() {
    check("S18", Mutant::MixesVersions, async |sim: &mut Sim| {
        let before = liveness::one_app(sim).await?;
        sim.files.write(&before.change("web", |app| {
            app.image = "app:2";
            app.version = 2;
        }));
        sim.pass_time(RESYNC).await;
        Ok(())
    });
}

#[test]
fn a_controller_that_begins_anew_is_caught_by_s19() {
    check("S19", Mutant::BeginsAnew, async |sim: &mut Sim| {
        let first = liveness::one_app(sim).await?;
        let second = first.change("web", |app| app.version = 2);
        liveness::begin(sim, &second).await?;
        sim.stop().await;
        liveness::begin(sim, &second).await
    });
}

#[test]
fn a_controller_that_repeats_what_it_cannot_tell_is_caught_by_s20() {
    check("S20", Mutant::RepeatsWhatItCannotTell, async |sim: &mut Sim| {
        let mut wanted = liveness::one_app(sim).await?;
        // One of these is a create.
        for at in 0..3 {
            sim.faults.set_single(Some(Single::Call { at, way: Way::TimedOutNotDone }));
            wanted = wanted.change("web", |app| app.version += 1);
            liveness::begin(sim, &wanted).await?;
        }
        Ok(())
    });
}

#[test]
fn a_controller_that_believes_the_wall_clock_is_caught_by_s21() {
    check("S21", Mutant::BelievesTheWallClock, liveness::jump_in_time);
}

#[test]
fn a_controller_that_hoards_events_is_caught_by_s22() {
    check("S22", Mutant::HoardsEvents, async |sim: &mut Sim| {
        let mut wanted = liveness::one_app(sim).await?;
        for _ in 0..30 {
            wanted = wanted.change("web", |app| app.version += 1);
            sim.files.write(&wanted);
            sim.pass_time(RESYNC).await;
        }
        Ok(())
    });
}

#[test]
fn a_controller_that_reads_no_events_is_caught_by_s23() {
    check("S23", Mutant::ReadsNoEvents, async |sim: &mut Sim| {
        liveness::one_app(sim).await?;
        let create = planner::plan::ContainerCreate {
            name: "restless".to_owned(),
            config: stranger_config(),
            ..planner::plan::ContainerCreate::default()
        };
        let id = sim.engine.external_run(create).map_err(|error| error.to_string())?;
        for _ in 0..60 {
            for _ in 0..20 {
                // Each is two events or more.
                drop(sim.engine.external_docker_kill(&id));
                drop(sim.engine.external_start(&id));
            }
            sim.pass_time(Duration::from_secs(1)).await;
        }
        Ok(())
    });
}

#[test]
fn a_controller_that_takes_all_for_running_is_caught_by_s24() {
    check("S24", Mutant::TakesAllForRunning, async |sim: &mut Sim| {
        let wanted = liveness::one_app(sim).await?;
        sim.engine.external_docker_kill(&container_of(sim, "web")).map_err(|error| error.to_string())?;
        sim.watch_truth(&wanted, RESYNC * 8).await
    });
}

#[test]
fn a_controller_that_drops_causes_is_caught_by_a2() {
    check("A2", Mutant::DropsCauses, async |sim: &mut Sim| liveness::one_app(sim).await.map(drop));
}

#[test]
fn a_controller_that_looks_only_once_is_caught_by_l1() {
    check("L1", Mutant::LooksOnlyOnce, async |sim: &mut Sim| {
        let wanted = liveness::one_app(sim).await?;
        // It is not hurried.
        sim.pass_time(RESYNC * 11).await;
        sim.engine.external_remove(&container_of(sim, "web")).map_err(|error| error.to_string())?;
        sim.converge(&wanted).await.map(drop)
    });
}

#[test]
fn a_controller_that_skips_leftovers_is_caught_by_l2() {
    check("L2", Mutant::SkipsLeftovers, async |sim: &mut Sim| {
        let before = liveness::one_app(sim).await?;
        let after = before.change("web", |app| app.version = 2);
        sim.files.write(&after);
        let is_half_done = |sim: &Sim| {
            sim.engine.all_container_ids().iter().filter_map(|id| sim.engine.peek(id)).any(|container| {
                container.config.labels.contains_key("evenkeel.dev/ordinal")
                    && container.status.state == planner::observed::ContainerState::Created
            })
        };
        for _ in 0..30_000 {
            if is_half_done(sim) {
                break;
            }
            sim.pass_time(Duration::from_millis(1)).await;
        }
        if !is_half_done(sim) {
            return Err("nothing was ever half done".to_owned());
        }
        sim.kill().await;
        liveness::begin(sim, &after).await.map_err(|failure| format!("L2: after a crash: {failure}"))
    });
}

#[test]
fn a_controller_that_calls_one_by_one_is_caught_by_l3() {
    check("L3", Mutant::CallsOneByOne, liveness::hang_one);
}

#[test]
fn a_controller_that_gives_up_on_the_engine_is_caught_by_l5() {
    check("L5", Mutant::GivesUpOnTheEngine, liveness::stall_the_engine);
}

#[test]
fn a_controller_that_never_polls_is_caught_by_l6() {
    check("L6", Mutant::NeverPolls, liveness::change_in_silence);
}

#[test]
fn a_controller_that_waits_for_ever_is_caught_by_l7() {
    check("L7", Mutant::WaitsForEver, async |sim: &mut Sim| {
        let first = liveness::one_app(sim).await?;
        let second = first.change("web", |app| app.memory_mib = Some(64));
        sim.files.write(&second);
        sim.pass_time(RESYNC).await;
        let third = second.change("web", |app| app.version = 2);
        liveness::begin(sim, &third).await
    });
}

#[test]
fn a_controller_that_never_removes_is_caught_by_l8() {
    check("L8", Mutant::NeverRemoves, async |sim: &mut Sim| {
        let two = liveness::one_app(sim).await?.with_app("old", App::default());
        edit(sim, &two, &two.clone().without("Deployment/old")).await
    });
}

#[test]
fn a_controller_that_hears_no_signal_is_caught_by_l9() {
    check("L9", Mutant::HearsNoSignal, async |sim: &mut Sim| {
        liveness::one_app(sim).await?;
        sim.stop().await;
        Ok(())
    });
}
