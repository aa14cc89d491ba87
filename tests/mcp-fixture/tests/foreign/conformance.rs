//! The official conformance suite, both frozen sets, check by check: alone and behind the hub.

use tempfile::TempDir;

use crate::program::{CANNOT_BE_HAD, FIXTURE, hub, skip, text_of, tied};

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
    assert_eq!(told.lines().last(), Some("conformance: 4 runs, 0 checks lost"), "{told}");
}
