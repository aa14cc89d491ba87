//! Manifests in a directory.

use super::Covered::By;
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "F01",
        "a file is read while it is written",
        By(&[
            "files::a_half_written_file_changes_nothing_and_the_whole_one_is_taken",
            "files::an_emptied_file_holds_its_objects",
        ]),
    ),
    fault(
        "F02",
        "a file is replaced by renaming, and editors leave theirs beside it",
        By(&["files::a_file_replaced_by_renaming_is_seen", "files::temporary_files_of_editors_and_tools_are_ignored"]),
    ),
    fault("F03", "a link is swapped for another tree", By(&["files::a_swapped_symlink_is_seen"])),
    fault("F04", "the directory itself is replaced", By(&["files::a_directory_replaced_by_another_is_noticed"])),
    fault(
        "F05",
        "the queue of file events overflows",
        By(&["controller::source::directory::tests::lost_events_and_errors_ask_for_a_look_and_reading_does_not"]),
    ),
    fault(
        "F06",
        "no watch can be had",
        By(&["controller::source::directory::tests::where_nothing_can_be_watched_the_poll_goes_on"]),
    ),
    fault(
        "F07",
        "the directory is gone or empty",
        By(&[
            "files::a_vanished_directory_removes_nothing_and_is_reported",
            "files::an_emptied_directory_removes_nothing_until_it_is_confirmed",
        ]),
    ),
    fault(
        "F08",
        "one file may not be read",
        By(&["controller::source::directory::tests::a_file_that_cannot_be_read_is_reported_beside_those_that_can"]),
    ),
    fault("F09", "a file is renamed", By(&["files::a_renamed_file_moves_nothing"])),
    fault(
        "F10",
        "two files define one object",
        By(&["files::two_files_that_define_one_object_are_both_named_and_change_nothing"]),
    ),
    fault(
        "F11",
        "a link out of the tree, a circle, a pipe, a device, a huge file",
        By(&[
            "files::what_is_no_regular_file_is_reported_and_changes_nothing",
            "files::a_file_that_becomes_a_symlink_out_keeps_its_objects",
            "controller::source::directory::tests::links_may_lead_about_inside_but_not_out",
        ]),
    ),
    fault(
        "F12",
        "a change of many files is seen half done",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "F13",
        "another content with the same time of change",
        By(&["controller::source::directory::tests::a_file_of_the_same_time_and_size_with_another_content_is_read"]),
    ),
    fault(
        "F14",
        "names that are no UTF-8, or drive a terminal",
        By(&["controller::source::directory::tests::a_name_that_is_no_text_is_refused_and_hides_no_other_file"]),
    ),
];
