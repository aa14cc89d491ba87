//! Clients and servers that mean harm, or are merely broken: what a whole hub answers them. `docs/security.md` names the test of each row.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

mod hostile {
    mod audit;
    mod clients;
    mod document;
    mod framing;
    mod http_server;
    mod http_sessions;
    mod pins;
    mod remotes;
    mod secrets;
    mod servers;
    mod sessions;
    mod slow;
    mod stage;
    mod tap;
    mod wire;
}
