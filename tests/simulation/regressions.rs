//! Seeds that failed once, by what was wrong. They are few of what a change of the random runs leaves as they were: the cheap rings hold
//! the exact cases, and `docs/reliability.md` lists all.

use super::random_run::run_seed;

fn check(seed: u64) {
    let report = run_seed(seed, true);
    assert!(report.failures.is_empty(), "seed {seed}: {:?}\n{}", report.failures, report.trace);
}

#[test]
fn seed_29_an_address_that_changed_while_nobody_listened_is_told() {
    check(29);
}

#[test]
fn seed_34_never_more_than_two_generations_run_at_once() {
    check(34);
}

#[test]
fn seed_72_a_container_renamed_before_its_id_was_durable_does_no_harm() {
    check(72);
}

#[test]
fn seed_143_a_tombstone_does_not_wait_for_a_wall_clock_that_was_set_back() {
    check(143);
}

#[test]
fn seed_331_a_lease_whose_create_hangs_does_not_keep_the_controller_from_ending() {
    check(331);
}

#[test]
fn seed_337_a_replacement_that_died_unheard_replaces_nothing() {
    check(337);
}

#[test]
fn seed_403_a_container_connected_to_a_network_as_it_went_is_made_anew() {
    check(403);
}

#[test]
fn seed_520_nothing_is_decided_by_what_was_seen_before_our_own_change() {
    check(520);
}

#[test]
fn seed_569_of_several_old_containers_the_one_that_serves_stays() {
    check(569);
}

#[test]
fn seed_597_a_volume_that_a_create_makes_anew_is_ours() {
    check(597);
}

#[test]
fn seed_672_a_rename_between_create_and_verify_is_no_fault_of_the_engine() {
    check(672);
}

#[test]
fn seed_954_a_start_that_a_killed_controller_asked_for_finds_no_container() {
    check(954);
}

#[test]
fn seed_1109_what_is_told_of_and_nowhere_else_goes() {
    check(1109);
}

#[test]
fn seed_1197_the_first_pass_after_a_lost_store_ends() {
    check(1197);
}

#[test]
fn seed_1530_a_name_is_handed_over_to_a_free_one() {
    check(1530);
}

#[test]
fn seed_1628_what_came_of_an_earlier_version_does_not_hold_back_the_next() {
    check(1628);
}

#[test]
fn seed_1654_what_one_list_lacks_is_asked_for() {
    check(1654);
}

#[test]
fn seed_2219_what_cannot_be_inspected_at_the_start_is_not_forgotten() {
    check(2219);
}

#[test]
fn seed_4802_a_damaged_record_takes_no_generation_back() {
    check(4802);
}

#[test]
fn seed_8959_nor_does_one_whose_object_changed_meanwhile() {
    check(8959);
}

#[test]
fn seed_9987_a_stop_that_comes_late_is_judged_by_when_it_was_sent() {
    check(9987);
}

#[test]
fn seed_33442_a_container_renamed_before_the_store_was_lost_is_nobodys_third() {
    check(33_442);
}

#[test]
fn seed_41409_a_start_that_nobody_waits_for_any_more_is_nobodys_start() {
    check(41_409);
}

#[test]
fn seed_42308_what_has_ended_as_it_may_is_what_others_waited_for() {
    check(42_308);
}

#[test]
fn seed_49943_what_was_read_while_the_disk_was_full_is_forgotten() {
    check(49_943);
}

#[test]
fn seed_62346_a_volume_that_came_with_a_container_is_there() {
    check(62_346);
}

#[test]
fn seed_79715_what_depends_on_what_waits_for_nobodys_volume_waits_too() {
    check(79_715);
}

#[test]
fn seed_92138_what_began_to_serve_after_its_stop_was_sent_was_not_serving() {
    check(92_138);
}

#[test]
fn seed_96978_a_replacement_that_has_ended_as_it_may_replaces() {
    check(96_978);
}

#[test]
fn seed_125001_a_step_that_waited_for_the_lease_is_not_taken_for_a_manifest_that_has_changed() {
    check(125_001);
}

#[test]
fn seed_131009_nor_was_what_nobody_waited_for_relied_on() {
    check(131_009);
}

#[test]
fn seed_132126_what_waits_to_be_put_right_is_told_once() {
    check(132_126);
}

#[test]
fn seed_199224_what_may_have_been_created_outlives_its_object() {
    check(199_224);
}

#[test]
fn seed_234727_what_runs_in_a_duplicate_network_leaves_it() {
    check(234_727);
}
