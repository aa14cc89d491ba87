//! States of a container.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "C01",
        "a program ends, well or badly",
        By(&[
            "drift::containers::a_killed_container_comes_back",
            "drift::combined::a_container_that_is_to_be_restarted_on_failure_only_comes_back_when_it_is_killed",
            "drift::combined::a_container_that_is_never_to_be_restarted_stays_ended_when_it_is_killed",
        ]),
    ),
    fault(
        "C02",
        "a program ends again and again",
        By(&["lifecycle::a_container_that_ends_again_and_again_is_told_as_a_crash_loop_and_mended_by_a_change"]),
    ),
    fault(
        "C03",
        "the first process is killed for want of memory",
        By(&[
            "controller::reconcile::tests::own_faults::a_program_that_is_killed_for_want_of_memory_is_told_as_that_and_tried_again",
        ]),
    ),
    fault("C04", "another process of the container is killed for want of memory", NotYet("telling of killed children")),
    fault(
        "C05",
        "the shim is killed: event and inspect tell different codes, and inspect is late",
        By(&["faults::shim::a_container_whose_shim_is_killed_runs_again_as_the_same_one"]),
    ),
    fault(
        "C06",
        "the shim is stopped: reads go on until the first write",
        By(&["faults::shim::a_container_whose_shim_hangs_holds_up_nobody_else_and_is_replaced_when_it_wakes"]),
    ),
    fault(
        "C07",
        "somebody pauses a container",
        By(&[
            "drift::containers::a_paused_container_goes_on",
            "drift::combined::a_paused_container_is_stopped_when_its_object_is_to_be_stopped",
        ]),
    ),
    fault(
        "C08",
        "a container that restarts counts as running for the Engine",
        By(&[
            "contract: a container that restarts counts as running",
            "planner::tests::repair::a_container_in_any_state_is_brought_back_or_waited_for",
        ]),
    ),
    fault(
        "C09",
        "a container is being removed, or dead",
        By(&["planner::tests::repair::a_container_in_any_state_is_brought_back_or_waited_for"]),
    ),
    fault(
        "C10",
        "a container ends before anybody has looked at it",
        By(&[
            "lifecycle::a_container_that_has_ended_and_is_not_to_be_started_again_stays",
            "lifecycle::a_container_that_ends_again_and_again_is_told_as_a_crash_loop_and_mended_by_a_change",
        ]),
    ),
    fault(
        "C11",
        "health comes and goes",
        By(&[
            "planner::tests::rollout::a_replacement_must_serve_without_a_break_for_min_ready",
            "no_false_drift::changes_of_health_make_no_call",
        ]),
    ),
    fault(
        "C12",
        "health never gets beyond starting",
        By(&[
            "planner::tests::rollout::a_replacement_that_never_gets_healthy_replaces_nothing",
            "lifecycle::a_dependant_waits_for_what_never_serves_and_says_so",
        ]),
    ),
    fault(
        "C13",
        "a probe hangs",
        By(&[
            "contract: a container becomes unhealthy",
            "rollout::an_unhealthy_image_keeps_the_old_container_until_a_good_one_comes",
        ]),
    ),
    fault(
        "C14",
        "an unhealthy container, which the Engine does not restart",
        By(&["planner::tests::repair::a_container_that_does_not_pass_its_health_check_is_waited_for"]),
    ),
    fault("C15", "health checks stop with a restart of the daemon", NotYet("ages of health checks")),
    fault("C16", "the first process ignores the stop signal", NotYet("telling of forced kills")),
    fault(
        "C17",
        "a negative grace, with which a stop never ends",
        By(&["manifests::bad_input::every_bad_input_gets_its_code"]),
    ),
    fault(
        "C18",
        "a signal through the Engine disarms the restart policy",
        By(&[
            "drift::combined::a_container_that_was_disarmed_and_killed_comes_back_armed",
            "contract: always: a container killed by somebody stays",
        ]),
    ),
    fault(
        "C19",
        "an update ignores labels, environment and limits of the process",
        By(&["planner::tests::rollout::what_an_update_ignores_replaces_the_container"]),
    ),
    fault(
        "C20",
        "somebody changes limits",
        By(&[
            "drift::containers::changed_limits_are_put_back_while_the_container_runs",
            "drift::containers::a_limit_that_was_not_asked_for_is_taken_away",
        ]),
    ),
    fault(
        "C21",
        "somebody renames a container",
        By(&[
            "drift::containers::a_renamed_container_gets_its_name_back",
            "drift::containers::two_replicas_that_swapped_their_names_get_them_back",
        ]),
    ),
    fault("C22", "somebody removes a container", By(&["drift::containers::a_removed_container_comes_back"])),
    fault(
        "C23",
        "somebody starts a copy with our labels",
        By(&[
            "drift::orphans::a_second_container_with_copied_labels_is_a_stranger_and_stays",
            "conflict::an_image_that_bears_our_labels_makes_no_container_ours",
        ]),
    ),
    fault("C24", "a container in the network of another that was made anew", NotYet("containers that share a network")),
    fault("C25", "a limit of one process, under which no probe can start", NotYet("ages of health checks")),
    fault(
        "C26",
        "a process that cannot be killed",
        By(&[
            "faults::shim::a_container_whose_shim_hangs_holds_up_nobody_else_and_is_replaced_when_it_wakes",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
];
