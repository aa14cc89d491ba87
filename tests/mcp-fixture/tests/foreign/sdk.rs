//! Clients that are made with the SDKs of other languages: each lists, calls, reads and prompts, directly and through the bridge.

use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use crate::program::{evenkeel, is_installed, skip, text_of, tied};
use crate::stage::Stage;

/// Where the Python SDK is, and which.
const PYTHON: [&str; 2] = ["target/clients/python", "mcp==2.3.0"];
/// Where the TypeScript SDK is: `sdk` is its first generation, which knows sessions alone, and `client` the second.
const TYPESCRIPT: [&str; 3] =
    ["target/clients/typescript", "@modelcontextprotocol/client@2.4.0", "@modelcontextprotocol/sdk@1.32.2"];

/// The versions that clients of either era agree on with the hub.
pub(crate) const LEGACY: &str = "2025-11-25";
pub(crate) const MODERN: &str = "2026-07-28";

/// What came of a visit.
#[derive(Debug, Deserialize)]
pub(crate) struct Visit {
    pub(crate) version: String,
    pub(crate) tools: usize,
    pub(crate) tool: String,
    pub(crate) resource: String,
    pub(crate) prompt: String,
}

/// Checks the visits to all places of a stage, the first of which is all servers together.
pub(crate) fn check(visits: &[Visit], version: &str) {
    let alone: usize = visits[1..].iter().map(|visit| visit.tools).sum();
    assert!(alone > 0);
    assert_eq!(visits[0].tools, alone, "all servers together have the tools of each: {visits:?}");
    for visit in visits {
        assert_eq!(visit.version, version);
        assert_eq!(visit.tool, "This is a simple text response for testing.");
        assert_eq!(visit.resource, "This is the content of the static text resource.");
        assert_eq!(visit.prompt, "This is a simple prompt for testing.");
    }
}

fn python(test_name: &str) -> Option<Command> {
    if !is_installed(test_name, "scripts/pip-install.sh", &PYTHON) {
        return None;
    }
    let mut command = tied("KILL", format!("{}/venv/bin/python", PYTHON[0]));
    command.arg("tests/mcp-fixture/clients/python.py");
    Some(command)
}

fn typescript(test_name: &str, package: &str) -> Option<Command> {
    let is_there = is_installed(test_name, "scripts/npm-install.sh", &TYPESCRIPT)
        && is_installed(test_name, "scripts/node.sh", &["--version"]);
    if !is_there {
        return None;
    }
    let mut command = tied("KILL", "scripts/node.sh");
    command.arg("tests/mcp-fixture/clients/typescript.mjs").arg(format!("{}/node_modules", TYPESCRIPT[0])).arg(package);
    Some(command)
}

/// Has a client visit the places, and checks what it tells.
fn visit(mut client: Command, mode: &str, places: &[String], version: &str) {
    let home = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    client.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").arg(mode).args(places);
    let run = client.output().unwrap();
    assert!(run.status.success(), "{client:?}: {}", text_of(&run));
    let told = String::from_utf8(run.stdout).unwrap();
    let visits: Vec<Visit> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(visits.len(), places.len(), "{told}");
    check(&visits, version);
}

fn visit_directly(client: Command, mode: &str, version: &str) {
    let stage = Stage::start();
    visit(client, mode, &stage.places(), version);
}

fn visit_through_the_bridge(test_name: &str, client: Command, mode: &str, version: &str) {
    let Some(evenkeel) = evenkeel() else {
        return skip(test_name, "the program evenkeel has not been built: cargo build");
    };
    let stage = Stage::start();
    visit(client, mode, &stage.bridged_places(&evenkeel), version);
}

#[test]
fn the_python_sdk_reaches_servers_of_both_eras_with_a_session() {
    let Some(client) = python("the_python_sdk_reaches_servers_of_both_eras_with_a_session") else { return };
    visit_directly(client, "legacy", LEGACY);
}

#[test]
fn the_python_sdk_finds_out_that_it_needs_no_session() {
    let Some(client) = python("the_python_sdk_finds_out_that_it_needs_no_session") else { return };
    visit_directly(client, "auto", MODERN);
}

#[test]
fn the_python_sdk_speaks_to_the_bridge_with_a_session() {
    let name = "the_python_sdk_speaks_to_the_bridge_with_a_session";
    let Some(client) = python(name) else { return };
    visit_through_the_bridge(name, client, "legacy", LEGACY);
}

#[test]
fn the_python_sdk_speaks_to_the_bridge_without_a_session() {
    let name = "the_python_sdk_speaks_to_the_bridge_without_a_session";
    let Some(client) = python(name) else { return };
    visit_through_the_bridge(name, client, "auto", MODERN);
}

#[test]
fn the_typescript_sdk_of_the_first_generation_reaches_servers_of_both_eras() {
    let name = "the_typescript_sdk_of_the_first_generation_reaches_servers_of_both_eras";
    let Some(client) = typescript(name, "sdk") else { return };
    visit_directly(client, "legacy", LEGACY);
}

#[test]
fn the_typescript_sdk_reaches_servers_of_both_eras_with_a_session() {
    let Some(client) = typescript("the_typescript_sdk_reaches_servers_of_both_eras_with_a_session", "client") else {
        return;
    };
    visit_directly(client, "legacy", LEGACY);
}

#[test]
fn the_typescript_sdk_finds_out_that_it_needs_no_session() {
    let Some(client) = typescript("the_typescript_sdk_finds_out_that_it_needs_no_session", "client") else { return };
    visit_directly(client, "auto", MODERN);
}

#[test]
fn the_typescript_sdk_of_the_first_generation_speaks_to_the_bridge() {
    let name = "the_typescript_sdk_of_the_first_generation_speaks_to_the_bridge";
    let Some(client) = typescript(name, "sdk") else { return };
    visit_through_the_bridge(name, client, "legacy", LEGACY);
}

#[test]
fn the_typescript_sdk_speaks_to_the_bridge_without_a_session() {
    let name = "the_typescript_sdk_speaks_to_the_bridge_without_a_session";
    let Some(client) = typescript(name, "client") else { return };
    visit_through_the_bridge(name, client, "auto", MODERN);
}
