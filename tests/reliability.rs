//! The catalogue of faults: for each of the two hundred that the design names, the tests that show what becomes of it.
//!
//! It is data, so that nobody has to believe a document: the tests here compare it with the sources, and write the table in
//! `docs/reliability.md`.

mod catalogue;
pub(crate) mod document;
pub(crate) mod sources;

use catalogue::{Covered, Fault, SECTIONS};

/// How many faults the design names under each letter.
const COUNTS: [(char, u32); 14] = [
    ('E', 31),
    ('V', 13),
    ('C', 26),
    ('N', 16),
    ('O', 10),
    ('I', 14),
    ('D', 10),
    ('F', 14),
    ('G', 17),
    ('P', 14),
    ('K', 13),
    ('T', 5),
    ('W', 7),
    ('H', 10),
];

fn faults() -> impl Iterator<Item = &'static Fault> {
    SECTIONS.iter().flat_map(|section| section.faults)
}

#[test]
fn the_catalogue_has_each_of_the_two_hundred_faults_once_and_in_order() {
    let expected: Vec<String> = COUNTS
        .iter()
        .flat_map(|(letter, count)| (1..=*count).map(move |number| format!("{letter}{number:02}")))
        .collect();
    let ids: Vec<&str> = faults().map(|fault| fault.id).collect();
    assert_eq!(ids, expected);
    assert_eq!(ids.len(), 200);
}

#[test]
fn every_fault_is_told_in_one_line_and_shown_by_a_test_or_waits_for_something() {
    for fault in faults() {
        let is_plain = !fault.text.is_empty() && !fault.text.contains(['\n', '|']) && !fault.text.ends_with('.');
        assert!(is_plain && fault.text.chars().count() <= 120, "{}: {}", fault.id, fault.text);
        match fault.covered {
            Covered::By(tests) => assert!(!tests.is_empty(), "{} names no test", fault.id),
            Covered::NotYet(capability) => assert!(!capability.is_empty(), "{} waits for nothing", fault.id),
        }
    }
}

#[test]
fn every_test_that_the_catalogue_names_is_there() {
    let mut missing = Vec::new();
    for fault in faults() {
        if let Covered::By(tests) = fault.covered {
            missing.extend(tests.iter().filter(|test| !sources::has_test(test)).map(|test| (fault.id, *test)));
        }
    }
    assert_eq!(missing, []);
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    for test in [
        "drift::containers::nobody_wrote_this",
        "controller::engine::docker::tests::nobody_wrote_this",
        "nowhere::a_killed_container_comes_back",
        "contract: nobody wrote this",
        // It is there, but no test.
        "fuzz::runner::run",
    ] {
        assert!(!sources::has_test(test), "{test}");
    }
}

#[test]
fn the_table_in_the_document_is_fresh() {
    document::check_part("catalogue", &document::table(SECTIONS));
}
