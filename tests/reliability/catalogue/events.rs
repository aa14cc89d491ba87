//! The stream of events.

use super::Covered::By;
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "V01",
        "the stream ends",
        By(&[
            "faults::events::a_stream_that_ends_is_followed_by_another_and_what_happened_between_is_found",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "V02",
        "the stream stays open and is silent",
        By(&[
            "faults::events::behind_a_stream_that_is_open_and_silent_drift_is_still_put_right",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "V03",
        "any one event is lost",
        By(&["simulation::enumeration::every_event_may_be_lost", "faults::events::any_one_kind_of_event_may_be_lost"]),
    ),
    fault(
        "V04",
        "every event of one kind is lost to a filter",
        By(&[
            "controller::engine::docker::tests::workloads::events_that_follow_a_subscription_are_all_heard",
            "drift::networks::a_removed_volume_is_made_again_and_the_loss_is_told",
        ]),
    ),
    fault(
        "V05",
        "more events than the Engine remembers happen while nobody listens",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "V06",
        "an event comes twice",
        By(&[
            "faults::events::an_event_that_comes_twice_is_acted_on_and_told_of_once",
            "simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed",
        ]),
    ),
    fault(
        "V07",
        "events come in another order",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "V08",
        "an event is handled when it is no longer true",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "V09",
        "a flood of events",
        By(&["controller::reconcile::tests::own_faults::a_flood_of_events_loses_nothing_that_matters"]),
    ),
    fault(
        "V10",
        "an event that cannot be read, of an unknown action, or huge",
        By(&[
            "fuzz::any_bytes_in_a_stream_of_events_are_events_or_a_typed_error",
            "fuzz::event_stream::a_huge_event_is_told_like_any_other",
            "fuzz::event_stream::events_are_the_same_wherever_the_stream_is_cut",
        ]),
    ),
    fault(
        "V11",
        "an event is about the predecessor of what has the name now",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "V12",
        "the wall clock was set back, so that a question since then finds nothing",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "V13",
        "the controller itself does not read for a minute",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
];
