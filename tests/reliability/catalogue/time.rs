//! Time.

use super::Covered::{By, NotYet, Planned};
use super::{Fault, Ring, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault("T01", "the wall clock jumps", Planned(Ring::Simulation)),
    fault("T02", "the host sleeps", Planned(Ring::Simulation)),
    fault("T03", "the clock of the Engine is another", Planned(Ring::Simulation)),
    fault(
        "T04",
        "times that are zero, backwards or nonsense",
        By(&[
            "fuzz::any_bytes_that_an_engine_answers_are_a_value_or_a_typed_error",
            "controller::engine::docker::tests::observations::networks_volumes_and_images_with_nulls_are_read",
        ]),
    ),
    fault("T05", "a certificate or token expires", NotYet("TLS and tokens that expire")),
];
