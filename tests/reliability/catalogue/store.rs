//! The store.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "K01",
        "the disk is full at a write",
        By(&[
            "faults::disk::on_a_full_disk_nothing_is_changed_until_there_is_space_again",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "K02",
        "the disk is full at the opening",
        By(&["faults::disk::a_start_on_a_full_disk_changes_nothing_and_the_next_with_space_goes_on"]),
    ),
    fault(
        "K03",
        "an index that was never finished",
        By(&[
            "controller::store::tests::ladder::an_unfinished_snapshot_is_removed",
            "recovery::a_snapshot_that_was_never_finished_is_removed",
        ]),
    ),
    fault(
        "K04",
        "an index that is empty or damaged",
        By(&[
            "controller::store::tests::ladder::an_emptied_snapshot_is_put_aside",
            "recovery::an_emptied_snapshot_is_put_aside",
        ]),
    ),
    fault(
        "K05",
        "a log that is damaged or cut",
        By(&[
            "controller::store::tests::ladder::a_zeroed_page_anywhere_in_the_log_loses_nothing_that_was_exported",
            "recovery::zeroed_pages_lose_nothing_that_matters",
            "recovery::a_truncated_log_is_recovered",
            "controller::store::codec::tests::every_single_changed_byte_is_found_out",
            "fuzz::any_bytes_under_any_key_of_the_store_are_records_or_reported_damage",
        ]),
    ),
    fault(
        "K06",
        "a log of length zero",
        By(&[
            "controller::store::tests::ladder::a_log_of_length_zero_is_a_lost_store_and_not_a_first_run",
            "recovery::an_emptied_log_is_a_lost_store_and_no_first_run",
        ]),
    ),
    fault(
        "K07",
        "the tail is lost with the power",
        By(&[
            "controller::store::tests::twins::a_crash_of_the_memory_leaves_every_durable_batch_and_a_prefix_of_\
             the_others",
            "store::every_acknowledged_number_outlives_a_kill_at_any_moment",
        ]),
    ),
    fault(
        "K08",
        "another process has the store",
        By(&["conflict::a_second_controller_of_the_same_data_directory_says_who_holds_it_and_exits_with_2"]),
    ),
    fault(
        "K09",
        "history grows",
        By(&[
            "controller::store::tests::typed::events_are_capped_per_object_and_in_all_and_repeats_take_their_old_place",
            "controller::store::tests::typed::archived_manifests_are_capped",
            "controller::store::tests::typed::finished_passes_are_capped",
        ]),
    ),
    fault(
        "K10",
        "the disk fails to keep what it has taken",
        By(&[
            "faults::store::an_error_of_any_system_call_of_the_store_costs_nothing_that_runs",
            "faults::store::death_at_any_system_call_of_the_store_costs_nothing_that_runs",
        ]),
    ),
    fault("K11", "a file system without locks", NotYet("checks of the data directory's file system")),
    fault(
        "K12",
        "a store that was put back from an old copy",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "K13",
        "the disk does not answer",
        By(&["controller::store::tests::typed::a_disk_that_does_not_answer_is_given_up_on"]),
    ),
];
