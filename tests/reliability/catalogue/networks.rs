//! Networks and ports.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "N01",
        "a port that another container has",
        By(&[
            "conflict::a_port_that_a_strangers_container_has_names_the_holder_and_is_taken_when_it_is_free",
            "rollout::a_published_port_is_free_before_the_new_container_starts",
        ]),
    ),
    fault(
        "N02",
        "a port that a process of the host has",
        By(&["conflict::a_port_that_a_process_of_the_host_has_is_taken_when_it_is_free"]),
    ),
    fault(
        "N03",
        "a port that a leaked proxy of the Engine has",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "N04",
        "an address that the host does not have",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault("N05", "a port that the Engine chooses changes with each start", NotYet("ports chosen by the Engine")),
    fault(
        "N06",
        "a network is not removed since somebody is in it",
        By(&[
            "drift::combined::a_network_to_be_pruned_waits_for_the_stranger_in_it_and_names_it",
            "drift::combined::a_stranger_in_our_network_is_left_there",
        ]),
    ),
    fault("N07", "a network is not removed since somebody was in it", NotYet("forced disconnects")),
    fault(
        "N08",
        "a network was removed under a stopped container, which never starts again",
        By(&[
            "drift::networks::a_removed_network_is_made_again_and_its_stopped_containers_with_it",
            "contract: a container does not find its network made anew",
        ]),
    ),
    fault(
        "N09",
        "somebody disconnects a container that runs",
        By(&["drift::networks::a_disconnected_container_is_reconnected_with_its_aliases"]),
    ),
    fault(
        "N10",
        "two networks of one name",
        By(&[
            "planner::tests::network::of_two_networks_the_one_that_is_used_stays_and_nobody_moves",
            "contract: two networks of one name",
        ]),
    ),
    fault(
        "N11",
        "an address range that overlaps with another",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "controller::engine::docker::tests::networks::addresses_that_are_taken_or_used_up_are_a_conflict",
        ]),
    ),
    fault(
        "N12",
        "no address range is left",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "N13",
        "no address is left in a range",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "contract: no address is left",
        ]),
    ),
    fault(
        "N14",
        "a connect to where the container is already",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "contract: a running container is connected twice",
        ]),
    ),
    fault(
        "N15",
        "a create with two networks at once, which an old API refuses",
        By(&[
            "planner::tests::creation::a_second_network_is_connected_before_the_container_is_compared_and_started",
            "controller::engine::docker::create::tests::a_container_is_asked_for_with_exposed_ports_mounts_and_\
             the_primary_network_by_id",
        ]),
    ),
    fault(
        "N16",
        "the name of a predefined network",
        By(&[
            "manifests::loading::the_names_of_the_engines_own_networks_are_refused",
            "contract: a network with the name of a predefined one",
        ]),
    ),
];
