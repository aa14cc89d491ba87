//! The invariants that the design names, S1 to S24, A1, A2 and L1 to L10: where each is checked, and the mutants that the check catches.

use std::fmt::Write as _;

use super::mutants::Mutant;
use crate::reliability::document;
use crate::reliability::sources::has_test;

/// One invariant.
#[derive(Debug)]
pub(crate) struct Invariant {
    /// Its name in the design.
    pub(crate) id: &'static str,
    /// What must be true, in one line.
    pub(crate) text: &'static str,
    pub(crate) check: Check,
    /// The broken controllers that the check catches.
    pub(crate) mutants: &'static [Mutant],
}

/// Where an invariant is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// By the oracle, at every step of the simulated Engine, in every simulated run.
    Oracle,
    /// Between a process and its Engine, store and signals, in every simulated run.
    Process,
    /// When a simulated world is to have converged, in every run that comes so far.
    Convergence,
    /// By a test of its own.
    Test(&'static str),
    /// By a test, of which others show, on what is broken on purpose, that it can fail.
    Shown(&'static str, &'static [&'static str]),
    /// Nowhere: Evenkeel cannot do yet what it is about.
    NotYet(&'static str),
}

/// All of them, in the order of the design.
pub(crate) const INVARIANTS: &[Invariant] = &[
    invariant(
        "S1",
        "what is changed is ours at that moment, and is named by its full id",
        Check::Oracle,
        &[Mutant::RemovesStrangers, Mutant::ActsByName],
    ),
    invariant(
        "S2",
        "what was somebody else's is adopted only where a manifest names it by its id",
        Check::NotYet("adoption"),
        &[],
    ),
    invariant(
        "S3",
        "a volume is removed only where its object said so and is gone",
        Check::Oracle,
        &[Mutant::DropsVolumes],
    ),
    invariant(
        "S4",
        "what serves is stopped only when what replaces it has proved itself",
        Check::Oracle,
        &[Mutant::StopsBeforeItCreates],
    ),
    invariant(
        "S5",
        "no two containers of one place exclude each other by our doing, and none is left over",
        Check::Oracle,
        &[Mutant::StartsTwins],
    ),
    invariant(
        "S6",
        "two controllers never both act",
        Check::Test("simulation::controllers::two_controllers_without_a_lease_are_seen_to_act_both"),
        &[],
    ),
    invariant(
        "S7",
        "what is created is what some good version of its manifest says",
        Check::Oracle,
        &[Mutant::CreatesAnotherVersion],
    ),
    invariant(
        "S8",
        "a source that is at fault removes nothing, and prune beyond its limit waits for a user",
        Check::Oracle,
        &[Mutant::PrunesUnasked],
    ),
    invariant(
        "S9",
        "an intent is on the disk before a changing call leaves the process",
        Check::Process,
        &[Mutant::MakesNothingDurable],
    ),
    invariant(
        "S10",
        "a container is changed only by a process that has seen it",
        Check::Process,
        &[Mutant::ActsUnseen],
    ),
    invariant(
        "S11",
        "a world that is as wanted is left alone: no changing call, no commit",
        Check::Convergence,
        &[Mutant::ChangesWithEachList],
    ),
    invariant(
        "S12",
        "what fails for ever costs few calls an hour",
        Check::Test("simulation::liveness::objects_that_fail_for_ever_cost_few_calls_an_hour"),
        &[Mutant::RetriesAtOnce],
    ),
    invariant(
        "S13",
        "nothing is decided by what an event says",
        Check::Test("simulation::liveness::events_that_are_not_true_cause_no_changing_call"),
        &[Mutant::BelievesEvents],
    ),
    invariant(
        "S14",
        "a container is first started only as its manifest says, whatever the Engine made of it",
        Check::Oracle,
        &[Mutant::BelievesWhatItAsked],
    ),
    invariant("S15", "no secret is found where it does not belong", Check::NotYet("secrets"), &[]),
    invariant(
        "S16",
        "what another depends on has served before the other is started",
        Check::Oracle,
        &[Mutant::ForgetsDependencies],
    ),
    invariant(
        "S17",
        "nothing that is to run is left with nothing that would start it again",
        Check::Convergence,
        &[Mutant::LeavesDisarmed],
    ),
    invariant(
        "S18",
        "what is applied is one version of a manifest, never half of each of two",
        Check::Oracle,
        &[Mutant::MixesVersions],
    ),
    invariant(
        "S19",
        "the generation that is told never goes back while the disk lives",
        Check::Process,
        &[Mutant::BeginsAnew],
    ),
    invariant(
        "S20",
        "what may have been created is looked for before it is created again",
        Check::Process,
        &[Mutant::RepeatsWhatItCannotTell],
    ),
    invariant(
        "S21",
        "a jump of the wall clock causes no changing call",
        Check::Test("simulation::liveness::a_jump_of_the_wall_clock_changes_nothing"),
        &[Mutant::BelievesTheWallClock],
    ),
    invariant(
        "S22",
        "passes, events, the archive and the queue stay under their caps",
        Check::Convergence,
        &[Mutant::HoardsEvents],
    ),
    invariant(
        "S23",
        "the stream of events is read before the Engine drops any of it",
        Check::Convergence,
        &[Mutant::ReadsNoEvents],
    ),
    invariant(
        "S24",
        "what is told to be ready is so",
        Check::Test("simulation::mutants::a_controller_that_takes_all_for_running_is_caught_by_s24"),
        &[Mutant::TakesAllForRunning],
    ),
    invariant(
        "A1",
        "records of the audit form a chain that shows each change of it",
        Check::Shown(
            "gateway::audit::tests::of_records_from_many_each_is_in_one_file_once_and_the_chain_goes_through_all_files",
            &["gateway::audit::chain::tests::an_edit_a_removal_and_an_insertion_are_found_where_they_are"],
        ),
        &[],
    ),
    invariant(
        "A2",
        "each record of the audit names its cause and is plain text",
        Check::Process,
        &[Mutant::DropsCauses],
    ),
    invariant(
        "L1",
        "once nothing goes wrong any more the world becomes as wanted and stays so",
        Check::Convergence,
        &[Mutant::LooksOnlyOnce],
    ),
    invariant(
        "L2",
        "so it does after a crash at any point",
        Check::Test("simulation::enumeration::the_controller_may_die_at_every_point_of_every_scenario"),
        &[Mutant::SkipsLeftovers],
    ),
    invariant(
        "L3",
        "an object that hangs delays the others to at most twice their time",
        Check::Test("simulation::liveness::an_object_that_hangs_delays_no_other"),
        &[Mutant::CallsOneByOne],
    ),
    invariant(
        "L4",
        "every rollout is complete, rolled back or told to have failed within its deadline",
        Check::Test("simulation::rollback::every_rollout_ends_or_is_told_to_have_failed_in_time"),
        &[Mutant::ForgetsDeadlines],
    ),
    invariant(
        "L5",
        "an Engine that is back is looked at within a minute",
        Check::Test("simulation::liveness::an_engine_that_is_back_is_looked_at_within_a_minute"),
        &[Mutant::GivesUpOnTheEngine],
    ),
    invariant(
        "L6",
        "a change of which nothing is heard is found by the next poll",
        Check::Test("simulation::liveness::a_change_of_which_nothing_is_heard_is_found_by_the_next_poll"),
        &[Mutant::NeverPolls],
    ),
    invariant("L7", "the generation that is told reaches the latest", Check::Convergence, &[Mutant::WaitsForEver]),
    invariant(
        "L8",
        "what is not wanted any more goes, or it is told why not",
        Check::Convergence,
        &[Mutant::NeverRemoves],
    ),
    invariant(
        "L9",
        "a controller that is told to end does so within ten seconds",
        Check::Process,
        &[Mutant::HearsNoSignal],
    ),
    invariant(
        "L10",
        "every call that the gateway accepts ends within its deadline",
        Check::Shown(
            "gateway::seeds::no_reply_goes_astray_every_call_ends_and_nothing_is_left",
            &["gateway::seeds::mutants::a_call_that_never_ends_is_noticed"],
        ),
        &[],
    ),
];

const fn invariant(id: &'static str, text: &'static str, check: Check, mutants: &'static [Mutant]) -> Invariant {
    Invariant { id, text, check, mutants }
}

/// The row of an invariant.
pub(crate) fn row(id: &str) -> &'static Invariant {
    INVARIANTS.iter().find(|invariant| invariant.id == id).expect("an invariant of the design")
}

#[test]
fn each_invariant_of_the_design_is_named_once_and_in_order() {
    let numbered = |letter: &'static str, count: u32| (1..=count).map(move |number| format!("{letter}{number}"));
    let expected: Vec<String> = numbered("S", 24).chain(numbered("A", 2)).chain(numbered("L", 10)).collect();
    let ids: Vec<&str> = INVARIANTS.iter().map(|invariant| invariant.id).collect();
    assert_eq!(ids, expected);
}

#[test]
fn each_invariant_is_checked_by_what_catches_a_mutant_or_waits_for_something() {
    for invariant in INVARIANTS {
        let Invariant { id, text, check, mutants } = invariant;
        let is_plain = !text.is_empty() && !text.contains(['\n', '|']) && !text.ends_with('.');
        assert!(is_plain && text.chars().count() <= 120, "{id}: {text}");
        match check {
            // The mutant of two controllers has a world of two controllers.
            Check::Test(test) if *id == "S6" => assert!(has_test(test), "{id} names {test}, which is not there"),
            Check::NotYet(capability) => assert!(!capability.is_empty() && mutants.is_empty(), "{id}"),
            Check::Shown(test, shown_by) => {
                assert!(mutants.is_empty() && !shown_by.is_empty(), "{id} has no mutant");
                let missing: Vec<_> = shown_by.iter().chain([test]).filter(|test| !has_test(test)).collect();
                assert!(missing.is_empty(), "{id} names {missing:?}, which are not there");
            }
            Check::Oracle | Check::Process | Check::Convergence => assert!(!mutants.is_empty(), "{id} has no mutant"),
            Check::Test(test) => {
                assert!(has_test(test), "{id} names {test}, which is not there");
                assert!(!mutants.is_empty(), "{id} has no mutant");
            }
        }
        for mutant in *mutants {
            let test = format!("simulation::mutants::{}", mutant.test_name(id));
            assert!(has_test(&test), "{test} is not there");
        }
    }
}

#[test]
fn the_table_of_invariants_in_the_document_is_fresh() {
    let table = table();
    println!("{table}");
    document::check_part("invariants", &table);
}

fn table() -> String {
    let waiting = INVARIANTS.iter().filter(|invariant| matches!(invariant.check, Check::NotYet(_))).count();
    let mut text = format!(
        "Of {} invariants, {} are checked and {waiting} wait for a capability that Evenkeel does not have. Each check is shown to be \
         able to fail by something that is broken on purpose. Generated from `tests/simulation/invariants.rs`.\n\n\
         | | What must be true | Checked | What it catches |\n|---|---|---|---|\n",
        INVARIANTS.len(),
        INVARIANTS.len() - waiting
    );
    for Invariant { id, text: what, check, mutants } in INVARIANTS {
        let place = match check {
            Check::Oracle => "at every step of every simulated run".to_owned(),
            Check::Process => "at every call, commit and signal of every simulated run".to_owned(),
            Check::Convergence => "at the end of every simulated run".to_owned(),
            Check::Test(path) | Check::Shown(path, _) => format!("`{path}`"),
            Check::NotYet(capability) => format!("*not yet: {capability}*"),
        };
        let mut caught: Vec<String> = mutants.iter().map(|mutant| format!("`{}`", mutant.test_name(id))).collect();
        if let Check::Shown(_, shown_by) = check {
            caught.extend(shown_by.iter().map(|test| format!("`{test}`")));
        }
        writeln!(text, "| {id} | {what} | {place} | {} |", caught.join("<br>")).expect("a text takes everything");
    }
    text
}
