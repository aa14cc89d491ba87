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
    fault(
        "H04",
        "a server behind the gateway dies in the middle of an answer",
        By(&[
            "gateway::hostile::servers::a_server_that_ends_in_the_midst_of_a_line_answers_nothing_with_it",
            "gateway::hostile::remotes::a_server_that_ends_its_stream_early_has_the_rest_fetched_from_there_and_is_called_once",
            "mcp_load::a_server_that_is_killed_takes_only_the_calls_with_it_that_were_under_way_on_it",
        ]),
    ),
    fault(
        "H05",
        "a server behind the gateway never answers",
        By(&[
            "gateway::hostile::servers::a_call_that_is_never_answered_ends_with_its_time",
            "gateway::hostile::remotes::a_server_that_takes_a_notification_and_never_answers_is_told_as_broken",
            "gateway::seeds::no_reply_goes_astray_every_call_ends_and_nothing_is_left",
        ]),
    ),
    fault(
        "H06",
        "a server behind the gateway never ends",
        By(&[
            "gateway::hostile::servers::a_line_without_an_end_ends_its_own_server_alone_which_comes_back",
            "gateway::hostile::servers::pages_without_an_end_and_cursors_in_a_circle_are_followed_for_a_while_only",
            "gateway::hostile::remotes::an_answer_that_never_ends_is_cut_off_at_the_limit_or_at_the_end_of_its_time",
        ]),
    ),
    fault(
        "H07",
        "a server behind the gateway is replaced",
        By(&[
            "mcp_load::no_call_is_lost_while_servers_are_updated",
            "mcp_load::no_call_is_lost_while_servers_are_updated_that_must_stop_first",
            "mcp_isolation::a_session_goes_on_with_another_container_when_its_own_is_updated_or_dies",
        ]),
    ),
    fault(
        "H08",
        "a server behind the gateway changes its tools",
        By(&[
            "gateway::hostile::pins::a_rug_that_is_pulled_is_hidden_though_the_reader_of_its_definition_gives_up",
            "gateway::hostile::pins::instructions_and_prompts_that_are_new_or_changed_are_hidden_until_they_are_approved",
            "gateway::hostile::servers::a_flood_of_changes_logs_and_requests_holds_no_other_server_up",
        ]),
    ),
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
