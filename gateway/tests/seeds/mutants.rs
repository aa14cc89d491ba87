//! Mutants: worlds that are broken on purpose, one for each check, to show that the check can fail.

use super::run::run_seed;

/// How many seeds a mutant has to be noticed in.
const SEEDS: u64 = 12;

/// What is broken. Its name, in words, is in the name of the test that catches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    SwapsReplies,
    RepeatsReplies,
    LosesReplies,
    DropsReplies,
    MixesUpProgress,
    MixesUpLogs,
    MixesUpQuestions,
    LendsTwice,
    ReplacesAtOnce,
    KeepsTooMany,
    HoldsLease,
    EndsSessions,
    ListensForEver,
    LeaksTask,
    CannotBeRepeated,
}

/// Runs seeds with a mutant until a check says this; without it none may say anything.
fn catch(mutant: Mutant, said: &str) {
    let mut told = Vec::new();
    for seed in 1..=SEEDS {
        let report = run_seed(seed, Some(mutant), false);
        if report.failures.iter().any(|failure| failure.contains(said)) {
            let healthy = run_seed(seed, None, false);
            assert!(healthy.failures.is_empty(), "seed {seed} fails without the mutant: {:?}", healthy.failures);
            return;
        }
        told.extend(report.failures);
    }
    panic!("nobody says `{said}` of {mutant:?} within {SEEDS} seeds; this is said: {told:#?}");
}

#[test]
fn two_replies_that_are_exchanged_are_noticed() {
    catch(Mutant::SwapsReplies, "it is of another call");
}

#[test]
fn a_reply_that_comes_twice_is_noticed() {
    catch(Mutant::RepeatsReplies, "it has ended before");
}

#[test]
fn a_reply_that_is_lost_is_noticed() {
    catch(Mutant::LosesReplies, "it was answered");
}

#[test]
fn a_call_that_never_ends_is_noticed() {
    catch(Mutant::DropsReplies, "never ended");
}

#[test]
fn progress_of_another_call_is_noticed() {
    catch(Mutant::MixesUpProgress, "a progress of");
}

#[test]
fn a_log_line_of_another_session_is_noticed() {
    catch(Mutant::MixesUpLogs, "a log of");
}

#[test]
fn a_question_of_another_session_is_noticed() {
    catch(Mutant::MixesUpQuestions, "a question of");
}

#[test]
fn an_instance_that_is_lent_to_two_is_noticed() {
    catch(Mutant::LendsTwice, "was lent to more than one");
}

#[test]
fn a_call_that_is_lost_with_what_was_replaced_is_noticed() {
    catch(Mutant::ReplacesAtOnce, "nothing that it was under way on went away");
}

#[test]
fn an_instance_that_nobody_needs_is_noticed() {
    catch(Mutant::KeepsTooMany, "run, and");
}

#[test]
fn a_lease_that_is_not_given_back_is_noticed() {
    catch(Mutant::HoldsLease, "are lent");
}

#[test]
fn a_session_that_ends_by_itself_is_noticed() {
    catch(Mutant::EndsSessions, "it has one");
}

#[test]
fn a_session_that_is_left_is_noticed() {
    catch(Mutant::ListensForEver, "sessions are left");
}

#[test]
fn a_task_that_is_left_is_noticed() {
    catch(Mutant::LeaksTask, "tasks at rest");
}

#[test]
fn a_run_that_cannot_be_repeated_is_noticed() {
    let run = || run_seed(1, Some(Mutant::CannotBeRepeated), false).fingerprint;
    assert_ne!(run(), run());
}
