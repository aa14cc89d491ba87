//! The API and the gateway.

use super::Covered::{By, NotYet};
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault(
        "H01",
        "clients that send slowly, or never",
        By(&[
            "controller::http::tests::a_head_that_is_not_finished_in_five_seconds_is_not_waited_for",
            "controller::http::tests::a_body_that_is_never_sent_is_answered_after_thirty_seconds",
            "controller::http::tests::connections_above_the_cap_are_closed_and_the_others_go_on",
        ]),
    ),
    fault("H02", "ten thousand requests a second", NotYet("rate limits")),
    fault(
        "H03",
        "requests of a page in a browser",
        By(&[
            "controller::http::tests::hosts_and_origins_that_are_not_ours_are_refused",
            "controller::config::tests::other_hosts_are_let_in_only_on_request",
        ]),
    ),
    fault("H04", "a server behind the gateway dies in the middle of an answer", NotYet("MCP gateway")),
    fault("H05", "a server behind the gateway never answers", NotYet("MCP gateway")),
    fault("H06", "a server behind the gateway never ends", NotYet("MCP gateway")),
    fault("H07", "a server behind the gateway is replaced", NotYet("MCP gateway")),
    fault("H08", "a server behind the gateway changes its tools", NotYet("MCP gateway")),
    fault(
        "H09",
        "a request that two readers read differently",
        By(&[
            "controller::http::tests::a_request_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed",
            "controller::http::strict::tests::what_two_readers_could_read_differently_is_told",
        ]),
    ),
    fault("H10", "secrets and paths in the text of errors", NotYet("secrets")),
];
