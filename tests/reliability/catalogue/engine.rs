//! Requests to the Engine, and its answers.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "E01",
        "a create finds its name taken by our own container, since the answer to an earlier create was lost",
        By(&[
            "faults::replies::a_create_that_was_not_answered_is_done_once_whether_the_engine_got_it_or_not",
            "simulation::enumeration::every_call_may_fail_in_each_of_four_ways",
        ]),
    ),
    fault(
        "E02",
        "a create finds its name taken by a stranger",
        By(&[
            "conflict::a_stranger_with_the_containers_name_is_told_of_and_left_alone_until_it_goes",
            "conflict::a_name_that_a_stranger_has_makes_once_end_with_1_and_the_rest_converge",
        ]),
    ),
    fault(
        "E03",
        "the connection of a create breaks, and the Engine creates the container all the same",
        By(&[
            "faults::replies::a_create_that_the_engine_does_after_its_caller_has_gone_makes_no_second_container",
            "simulation::enumeration::every_call_may_fail_in_each_of_four_ways",
            "simulation::enumeration::the_controller_may_die_at_every_point_of_every_scenario",
        ]),
    ),
    fault(
        "E04",
        "a create says that the image is not there",
        By(&[
            "controller::reconcile::tests::refusals::an_image_that_went_before_the_create_is_fetched_again",
            "lifecycle::an_absent_image_that_must_not_be_fetched_is_waited_for",
        ]),
    ),
    fault(
        "E05",
        "a create is refused for a field that is wrong",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "E06",
        "a server error that is really the fault of the request",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "E07",
        "a create succeeds with a warning that something of it will not be done",
        By(&[
            "controller::reconcile::tests::refusals::what_the_engine_warns_of_is_told",
            "planner::verify::tests::ports_published_from_the_hosts_own_network_are_a_difference",
        ]),
    ),
    fault(
        "E08",
        "the Engine drops a field without a word",
        By(&[
            "planner::verify::tests::what_the_engine_dropped_is_named_with_both_values",
            "planner::tests::creation::a_container_that_is_not_as_asked_is_removed_and_made_anew",
        ]),
    ),
    fault(
        "E09",
        "a start of what runs already",
        By(&[
            "contract: a container is started twice",
            "controller::engine::docker::tests::workloads::a_life_from_create_to_remove_and_each_call_twice",
        ]),
    ),
    fault(
        "E10",
        "a program that is not in the image: the start fails and leaves the container created",
        By(&[
            "lifecycle::a_program_that_is_not_in_the_image_is_told_and_blocks_nobody",
            "contract: a program that is not there is started twice",
        ]),
    ),
    fault(
        "E11",
        "the runtime cannot start the container, as for want of descriptors",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "E12",
        "the answer to a start is lost and the container runs",
        By(&[
            "faults::replies::a_start_whose_reply_was_lost_is_seen_to_have_been_done",
            "simulation::enumeration::every_call_may_fail_in_each_of_four_ways",
        ]),
    ),
    fault(
        "E13",
        "a start during a stop has no effect, and the container ends",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "E14",
        "a stop of what has stopped or is gone",
        By(&[
            "contract: a container is stopped twice",
            "contract: an absent container is stopped",
            "controller::engine::docker::tests::workloads::a_life_from_create_to_remove_and_each_call_twice",
        ]),
    ),
    fault(
        "E15",
        "a stop takes far longer than its grace and then fails",
        By(&["faults::shim::a_container_whose_shim_hangs_holds_up_nobody_else_and_is_replaced_when_it_wakes"]),
    ),
    fault(
        "E16",
        "a kill fails since the process does not end",
        By(&["controller::reconcile::tests::refusals::a_container_that_does_not_go_is_tried_ever_less_often"]),
    ),
    fault(
        "E17",
        "a removal is refused since another one is under way",
        By(&["controller::reconcile::tests::refusals::a_container_that_does_not_go_is_tried_ever_less_often"]),
    ),
    fault(
        "E18",
        "a removal is refused since the container runs again",
        By(&[
            "controller::reconcile::tests::refusals::a_container_that_does_not_go_is_tried_ever_less_often",
            "contract: a running container is not removed",
        ]),
    ),
    fault(
        "E19",
        "a removal fails since the root file system is busy, and the container is left dead",
        By(&["controller::reconcile::tests::refusals::a_container_that_does_not_go_is_tried_ever_less_often"]),
    ),
    fault(
        "E20",
        "a name stays taken for a moment after its container was removed",
        By(&["faults::replies::a_container_removed_by_hand_again_and_again_has_one_successor_each_time"]),
    ),
    fault(
        "E21",
        "a container goes between the list and the inspect",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "E22",
        "the inspect of one container hangs while lists go on",
        By(&[
            "faults::shim::a_container_whose_shim_hangs_holds_up_nobody_else_and_is_replaced_when_it_wakes",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "E23",
        "a call over many things hangs because of one",
        By(&["tidy::no_call_of_the_engine_is_about_many_things"]),
    ),
    fault(
        "E24",
        "ten thousand containers, and a label of eight megabytes",
        By(&[
            "fuzz::answer::a_label_of_eight_megabytes_is_read_like_any_other",
            "controller::engine::docker::tests::answers::a_list_of_300_containers_is_read_in_milliseconds",
        ]),
    ),
    fault(
        "E25",
        "an answer that is cut off, no JSON, or the page of a proxy",
        By(&[
            "controller::engine::docker::tests::answers::an_answer_of_something_else_leaves_a_change_unknown_and_\
             fails_a_read",
            "controller::engine::docker::tests::answers::a_connection_that_ends_without_an_answer_leaves_the_\
             outcome_unknown",
            "fuzz::any_bytes_that_an_engine_answers_are_a_value_or_a_typed_error",
        ]),
    ),
    fault(
        "E26",
        "an API version that is too new or too old, also after an upgrade under us",
        By(&[
            "controller::engine::docker::tests::answers::an_engine_that_was_exchanged_is_asked_for_its_version_again",
            "controller::engine::docker::tests::answers::an_engine_that_is_too_new_is_named_as_such",
            "controller::engine::docker::tests::workloads::the_api_version_is_agreed_on_again_and_again",
        ]),
    ),
    fault(
        "E27",
        "fields vanish with a newer Engine",
        By(&[
            "controller::engine::docker::tests::observations::the_least_of_an_inspect_is_enough",
            "controller::engine::docker::tests::observations::an_inspect_of_an_old_engine_is_read_without_what_\
             the_engine_added",
        ]),
    ),
    fault(
        "E28",
        "a list that is older than our own last write",
        By(&[
            "faults::replies::a_list_from_before_the_create_makes_no_second_container",
            "simulation::enumeration::every_observation_may_be_one_version_stale",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "E29",
        "a proxy before the Engine forbids a call",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "controller::engine::docker::tests::answers::a_proxy_that_forbids_is_told_from_an_engine_that_refuses",
        ]),
    ),
    fault(
        "E30",
        "the socket is missing, closed to us, or refuses",
        By(&[
            "faults::outage::what_happened_while_the_engine_was_away_is_put_right_when_it_is_back",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault("E31", "the creation of a volume blocks for a driver that is not there", NotYet("volume drivers")),
];
