//! The controller itself.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "P01",
        "it is killed at any point",
        By(&["simulation::enumeration::the_controller_may_die_at_every_point_of_every_scenario"]),
    ),
    fault(
        "P02",
        "it is killed between its intent and the call",
        By(&["simulation::enumeration::the_controller_may_die_at_every_point_of_every_scenario"]),
    ),
    fault(
        "P03",
        "it is killed between the call and its outcome",
        By(&["simulation::enumeration::the_controller_may_die_at_every_point_of_every_scenario"]),
    ),
    fault(
        "P04",
        "it is killed in the middle of a replacement",
        By(&[
            "rollout::a_replace_that_a_crash_interrupts_is_finished_by_the_next_controller",
            "planner::tests::rollout::an_exact_name_is_handed_over_from_wherever_the_last_controller_was_killed",
        ]),
    ),
    fault(
        "P05",
        "an object that makes every pass over it fail",
        By(&[
            "controller::reconcile::tests::panics::an_object_whose_passes_panic_is_tried_less_and_less_often",
            "controller::reconcile::tests::panics::a_panic_in_one_pass_is_caught_and_told_and_the_others_converge",
        ]),
    ),
    fault(
        "P06",
        "one task panics",
        By(&[
            "controller::reconcile::tests::own_faults::a_loop_that_panics_is_told_of_and_begun_anew_and_the_others_go_on",
        ]),
    ),
    fault(
        "P07",
        "it is told to end",
        By(&["conflict::sigterm_ends_the_controller_in_time_and_leaves_the_containers_alone"]),
    ),
    fault(
        "P08",
        "it is stopped for a minute and goes on",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "P09",
        "it is killed for want of memory",
        By(&["crash::whenever_the_controller_is_killed_the_next_one_converges_without_a_duplicate_an_orphan_or_a_\
             lost_volume"]),
    ),
    fault("P10", "it has no descriptor left", NotYet("a reserve of descriptors")),
    fault(
        "P11",
        "manifests change while a pass runs",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "P12",
        "the store of another release",
        By(&[
            "controller::store::tests::ladder::the_store_of_a_newer_release_is_refused_and_left_alone",
            "controller::store::codec::tests::a_newer_record_is_refused_as_newer_whatever_else_it_holds",
            "planner::tests::rollout::an_upgrade_that_hashes_otherwise_replaces_nothing",
        ]),
    ),
    fault("P13", "it runs in a container that it keeps", NotYet("self-update")),
    fault(
        "P14",
        "nobody reads its log",
        By(&[
            "blocked_log::a_controller_whose_log_nobody_reads_goes_on_and_ends_in_time",
            "controller::log_sink::tests::lines_that_nobody_reads_are_counted_and_hold_nobody_up",
        ]),
    ),
];
