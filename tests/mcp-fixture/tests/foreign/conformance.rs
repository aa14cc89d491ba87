//! The official conformance suite, both frozen sets, check by check: of servers, alone and behind the hub, and of clients, which the hub is
//! to its servers and the bridge to its gateway.

use tempfile::TempDir;

use crate::program::{CANNOT_BE_HAD, FIXTURE, evenkeel, hub, skip, text_of, tied};

#[test]
fn no_check_of_the_conformance_suite_is_lost_behind_the_hub() {
    let scratch = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut suite = tied("TERM", "scripts/conformance-hub.sh");
    suite.env("EVENKEEL_FIXTURE", FIXTURE).env("EVENKEEL_HUB", hub()).env("TMPDIR", scratch.path());
    let run = suite.output().unwrap();
    if run.status.code() == Some(CANNOT_BE_HAD) {
        return skip("no_check_of_the_conformance_suite_is_lost_behind_the_hub", "npm or its registry cannot be had");
    }
    assert!(run.status.success(), "{}", text_of(&run));
    let told = String::from_utf8_lossy(&run.stdout);
    assert_eq!(told.lines().last(), Some("conformance: 5 runs, 0 checks lost"), "{told}");
}

#[test]
fn the_hub_is_to_its_servers_and_the_bridge_to_its_gateway_what_the_conformance_suite_wants_of_clients() {
    let name = "the_hub_is_to_its_servers_and_the_bridge_to_its_gateway_what_the_conformance_suite_wants_of_clients";
    let scratch = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut suite = tied("TERM", "scripts/conformance-client.sh");
    suite.env("EVENKEEL_HUB", hub()).env("TMPDIR", scratch.path()).env_remove("EVENKEEL");
    match evenkeel() {
        Some(program) => drop(suite.env("EVENKEEL", program)),
        None => skip(name, "the bridge: the program evenkeel has not been built: cargo build"),
    }
    let run = suite.output().unwrap();
    if run.status.code() == Some(CANNOT_BE_HAD) {
        return skip(name, "npm or its registry cannot be had");
    }
    assert!(run.status.success(), "{}", text_of(&run));
    let told = String::from_utf8_lossy(&run.stdout);
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with("conformance-client: ") && last.ends_with(" runs, 0 checks failed"), "{told}");
}
