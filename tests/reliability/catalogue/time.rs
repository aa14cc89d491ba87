//! Time.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "T01",
        "the wall clock jumps",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "T02",
        "the host sleeps",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
    fault(
        "T03",
        "the clock of the Engine is another",
        By(&["simulation::seeds::random_runs_do_nothing_that_is_not_allowed_and_converge_when_healed"]),
    ),
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
