//! `docs/security.md` says what is true: the tests that it names are there, and every row has one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the repository, as its path from the root and its text.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let tops = ["crds-schema", "controller", "gateway", "tests"];
    let mut folders: Vec<PathBuf> = tops.iter().map(|top| root.join(top)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

fn document() -> String {
    fs::read_to_string(root().join("docs/security.md")).unwrap()
}

/// The names of the tests of one file.
fn tests_of(text: &str) -> BTreeSet<&str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_mark = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    let name = |line: &&'_ str| line.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).is_some();
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| is_mark(line))
        .filter_map(|(at, _)| lines.iter().skip(at).find(|line| name(line)))
        .filter_map(|line| line.split_once("fn ")?.1.split_once('('))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn every_test_that_the_document_names_is_there_and_every_hostile_one_is_named() {
    let (sources, document) = (sources(), document());
    let named: BTreeSet<(&str, &str)> = document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.split_once("::"))
        .filter(|(file, _)| file.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect();
    assert!(named.len() > 80, "{named:?}");
    let is_in = |path: &str, file: &str| path.ends_with(&format!("/{file}.rs")) || path.contains(&format!("/{file}/"));
    let is_there = |(file, name): &(&str, &str)| {
        sources.iter().any(|(path, text)| is_in(&format!("/{path}"), file) && tests_of(text).contains(name))
    };
    let missing: Vec<_> = named.iter().filter(|test| !is_there(test)).collect();
    assert!(missing.is_empty(), "docs/security.md names what is not there: {missing:?}");
    let mut unnamed = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| path.starts_with("gateway/tests/hostile/")) {
        let file = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap();
        unnamed.extend(tests_of(text).into_iter().filter(|name| !named.contains(&(file, name))));
    }
    assert!(unnamed.is_empty(), "docs/security.md does not name {unnamed:?}");
}

#[test]
fn every_row_of_the_plan_has_one_in_the_document() {
    let document = document();
    let first: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).collect();
    let has = |row: &str| first.contains(row);
    let requests = (76..=110).filter(|row| !(101..=103).contains(row)).map(|row: u32| row.to_string());
    let defects = (1..=15).map(|number: u32| format!("P{number}"));
    let threats = [19, 20, 22, 23, 33, 34, 35, 36, 37, 38, 39, 40].map(|number: u32| format!("TH{number}"));
    let missing: Vec<String> = requests.chain(defects).chain(threats).filter(|row| !has(row)).collect();
    assert!(missing.is_empty() && has("101 to 103"), "{missing:?}");
}

#[test]
fn no_source_names_the_settings_of_a_client() {
    // Put together here, so that this file does not find itself.
    let words = [
        concat!("claude_desktop", "_config"),
        concat!(".claude", "/"),
        concat!(".cursor", "/"),
        concat!("mcp", "Servers"),
    ];
    for (path, text) in sources() {
        if !path.contains("/tests/") && !path.starts_with("tests/") {
            let word = words.iter().find(|word| text.contains(**word));
            assert!(word.is_none(), "{path} names {}", word.unwrap_or(&""));
        }
    }
}
