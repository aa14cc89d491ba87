//! The daemon and the host.

use super::Covered::{By, Planned};
use super::{Fault, Ring, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault("D01", "the daemon restarts and stops every container", Planned(Ring::RealEngine)),
    fault("D02", "the daemon restarts and the containers run on", Planned(Ring::RealEngine)),
    fault("D03", "running on is switched off with a restart of the daemon", Planned(Ring::RealEngine)),
    fault("D04", "the host loses its power, and boots in any order", Planned(Ring::RealEngine)),
    fault("D05", "the Engine answers pings but no writes", Planned(Ring::Simulation)),
    fault("D06", "the Engine is twenty times slower", Planned(Ring::Simulation)),
    fault("D07", "the Engine comes and goes every five seconds", Planned(Ring::Simulation)),
    fault(
        "D08",
        "the host has no process, descriptor or cgroup left",
        By(&["controller::reconcile::tests::refusals::what_is_refused_is_told_tried_ever_less_often_and_done_at_last"]),
    ),
    fault(
        "D09",
        "another Engine answers at the address",
        By(&[
            "controller::reconcile::tests::another_engine::nothing_is_changed_on_another_engine_whatever_is_asked_for",
        ]),
    ),
    fault(
        "D10",
        "things of other tools with names like ours",
        By(&[
            "conflict::a_stranger_with_the_containers_name_is_told_of_and_left_alone_until_it_goes",
            "drift::orphans::a_container_of_nobody_is_never_touched",
        ]),
    ),
];
