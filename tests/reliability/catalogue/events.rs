//! The stream of events.

use super::Covered::{By, Planned};
use super::{Fault, Ring, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault("V01", "the stream ends", Planned(Ring::Simulation)),
    fault("V02", "the stream stays open and is silent", Planned(Ring::Simulation)),
    fault("V03", "any one event is lost", Planned(Ring::Simulation)),
    fault(
        "V04",
        "every event of one kind is lost to a filter",
        By(&[
            "controller::engine::docker::tests::workloads::events_that_follow_a_subscription_are_all_heard",
            "drift::networks::a_removed_volume_is_made_again_and_the_loss_is_told",
        ]),
    ),
    fault("V05", "more events than the Engine remembers happen while nobody listens", Planned(Ring::Simulation)),
    fault("V06", "an event comes twice", Planned(Ring::Simulation)),
    fault("V07", "events come in another order", Planned(Ring::Simulation)),
    fault("V08", "an event is handled when it is no longer true", Planned(Ring::Simulation)),
    fault("V09", "a flood of events", Planned(Ring::Simulation)),
    fault(
        "V10",
        "an event that cannot be read, of an unknown action, or huge",
        By(&[
            "fuzz::any_bytes_in_a_stream_of_events_are_events_or_a_typed_error",
            "fuzz::event_stream::a_huge_event_is_told_like_any_other",
            "fuzz::event_stream::events_are_the_same_wherever_the_stream_is_cut",
        ]),
    ),
    fault("V11", "an event is about the predecessor of what has the name now", Planned(Ring::Simulation)),
    fault("V12", "the wall clock was set back, so that a question since then finds nothing", Planned(Ring::Simulation)),
    fault("V13", "the controller itself does not read for a minute", Planned(Ring::RealEngine)),
];
