//! The daemon and the host.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "D01",
        "the daemon restarts and stops every container",
        By(&[
            "faults::daemon::an_engine_that_restarts_in_the_midst_of_a_pass_ends_as_the_manifests_say",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "D02",
        "the daemon restarts and the containers run on",
        By(&[
            "faults::daemon::with_live_restore_no_container_is_touched_by_a_restart_of_the_engine",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "D03",
        "running on is switched off with a restart of the daemon",
        NotYet("watching over restart policies across daemon settings"),
    ),
    fault(
        "D04",
        "the host loses its power, and boots in any order",
        By(&[
            "faults::daemon::a_controller_that_starts_before_its_engine_brings_the_host_up_after_a_power_cut",
            "faults::outage::a_controller_that_starts_before_the_engine_waits_for_it_and_loses_nothing",
        ]),
    ),
    fault(
        "D05",
        "the Engine answers pings but no writes",
        By(&[
            "faults::outage::an_engine_that_answers_and_does_nothing_is_told_and_not_flooded",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "D06",
        "the Engine is twenty times slower",
        By(&[
            "faults::outage::a_slow_engine_is_waited_for_and_nothing_is_done_twice",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "D07",
        "the Engine comes and goes every five seconds",
        By(&[
            "faults::outage::an_engine_that_comes_and_goes_is_asked_no_more_than_it_must_be",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "D08",
        "the host has no process, descriptor or cgroup left",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "D09",
        "another Engine answers at the address",
        By(&[
            "controller::reconcile::tests::another_engine::nothing_is_changed_on_another_engine_whatever_is_asked_for",
        ]),
    ),
    fault(
        "D10",
        "things of other tools with names like ours",
        By(&[
            "conflict::a_stranger_with_the_containers_name_is_told_of_and_left_alone_until_it_goes",
            "drift::orphans::a_container_of_nobody_is_never_touched",
        ]),
    ),
];
