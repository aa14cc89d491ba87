//! Images and registries.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "I01",
        "a registry wants credentials",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "controller::engine::docker::tests::workloads::registries_that_fail_are_told_apart",
        ]),
    ),
    fault(
        "I02",
        "a registry refuses ours",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "I03",
        "a registry does not have the image",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "lifecycle::an_image_that_cannot_be_had_is_told_backed_off_and_taken_once_it_is_there",
        ]),
    ),
    fault(
        "I04",
        "a registry asks to be left alone for a while",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "I05",
        "a registry fails or cannot be reached",
        By(&[
            "controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last",
            "controller::engine::docker::tests::workloads::registries_that_fail_are_told_apart",
        ]),
    ),
    fault(
        "I06",
        "a registry hangs",
        By(&["controller::engine::docker::image::tests::a_pull_without_progress_is_given_up"]),
    ),
    fault(
        "I07",
        "a good answer whose stream carries an error",
        By(&["controller::engine::docker::tests::answers::an_error_inside_a_good_answer_fails_a_pull"]),
    ),
    fault(
        "I08",
        "the stream of a pull is cut off",
        By(&["controller::engine::docker::tests::answers::a_pull_that_is_cut_off_is_no_success"]),
    ),
    fault("I09", "a tag moves between pull and create", NotYet("images pinned by digest")),
    fault(
        "I10",
        "a tag of the Engine points to another image than before",
        By(&["no_false_drift::a_tag_that_moves_replaces_nothing"]),
    ),
    fault(
        "I11",
        "an image is removed by force",
        By(&["controller::reconcile::tests::refusals::an_image_that_went_before_the_create_is_fetched_again"]),
    ),
    fault(
        "I12",
        "an image for another architecture",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "I13",
        "an image brings defaults of its own",
        By(&[
            "no_false_drift::a_container_of_an_image_with_every_default_is_left_alone",
            "planner::verify::tests::what_the_image_and_the_engine_add_is_no_difference",
        ]),
    ),
    fault("I14", "a signature that is missing, invalid or expired", NotYet("image policy and signatures")),
];
