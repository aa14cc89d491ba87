//! Volumes, mounts and disks.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "O01",
        "a volume is not removed since a container has it",
        By(&[
            "drift::combined::a_volume_to_be_deleted_waits_for_the_stranger_that_mounts_it",
            "contract: a volume that a container uses is not removed",
        ]),
    ),
    fault(
        "O02",
        "the Engine removes a volume that is in use, after a restart of the daemon",
        NotYet("engines before 20.10.12, which lose the use of volumes"),
    ),
    fault(
        "O03",
        "a create with other options returns the old volume unchanged",
        By(&[
            "conflict::a_stranger_with_the_volumes_name_is_told_of_and_left_alone_until_it_goes",
            "contract: a volume is created twice with other labels",
        ]),
    ),
    fault(
        "O04",
        "a mount makes the volume that it names, without labels",
        By(&[
            "contract: a container makes the volume that it names",
            "planner::tests::creation::containers_wait_for_the_network_and_volume_that_they_name",
        ]),
    ),
    fault(
        "O05",
        "a mount makes the directory of the host that it names",
        By(&[
            "contract: a host path that is not there is refused",
            "controller::engine::docker::create::tests::a_container_is_asked_for_with_exposed_ports_mounts_and_\
             the_primary_network_by_id",
        ]),
    ),
    fault("O06", "anonymous volumes of images are left behind", NotYet("removal of anonymous volumes")),
    fault(
        "O07",
        "somebody makes a volume anew, empty",
        By(&[
            "drift::networks::a_volume_that_somebody_made_again_by_hand_is_not_taken_for_ours",
            "planner::tests::volume::a_volume_that_a_stranger_made_anew_is_not_ours_to_remove",
        ]),
    ),
    fault(
        "O08",
        "the disk of a volume is full or read-only: the program fails",
        By(&["lifecycle::a_container_that_ends_again_and_again_is_told_as_a_crash_loop_and_mended_by_a_change"]),
    ),
    fault(
        "O09",
        "the disk of the Engine is full",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "O10",
        "mounts come in another order each time",
        By(&[
            "no_false_drift::a_deployment_with_every_field_set_is_left_alone",
            "fuzz::any_bytes_that_an_engine_answers_are_a_value_or_a_typed_error",
        ]),
    ),
];
