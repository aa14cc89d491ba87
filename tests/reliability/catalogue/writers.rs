//! Other writers.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "W01",
        "two controllers with one data directory",
        By(&[
            "conflict::a_second_controller_of_the_same_data_directory_says_who_holds_it_and_exits_with_2",
            "controller::lock::tests::a_second_opener_is_told_who_has_the_directory_until_it_is_let_go",
        ]),
    ),
    fault(
        "W02",
        "two controllers with one instance on one Engine",
        By(&[
            "conflict::a_second_controller_of_the_same_instance_says_who_holds_it_and_exits_with_2",
            "controller::lease::tests::a_second_controller_is_told_who_holds_the_lease_until_it_is_released",
        ]),
    ),
    fault(
        "W03",
        "a holder of the lease that sleeps beyond its time and goes on",
        By(&["simulation::controllers::a_controller_that_was_followed_while_it_slept_changes_nothing_when_it_wakes"]),
    ),
    fault("W04", "somebody changes again and again what is put right", NotYet("damping of contested fields")),
    fault(
        "W05",
        "another tool makes our container anew, labels and all",
        By(&["drift::orphans::a_second_container_with_copied_labels_is_a_stranger_and_stays"]),
    ),
    fault("W06", "an object moves from one instance of ours to another", NotYet("adoption")),
    fault(
        "W07",
        "an image bears our labels",
        By(&[
            "conflict::an_image_that_bears_our_labels_makes_no_container_ours",
            "conflict::a_deployment_of_an_image_that_bears_our_labels_is_still_ours",
        ]),
    ),
];
