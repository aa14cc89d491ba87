//! The rules of dependency and of form, as tests: what `docs/architecture.md` says is absent is absent.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// An outside crate as the code names it, and where it may be named.
const ADAPTERS: &[(&str, &[&str])] = &[
    ("bollard", &["controller/src/engine/docker"]),
    ("sled", &["controller/src/store/sled"]),
    ("backoff", &["controller/src/backoff.rs"]),
    ("notify_debouncer_full", &["controller/src/source/directory.rs"]),
    ("axum", &["controller/src/http/"]),
    ("gateway", &["controller/src/mcp", "controller/src/cli/mcp", "controller/src/cli/audit"]),
    ("hyper_rustls", &["gateway/src/upstream/client.rs"]),
    ("rustls", &["gateway/src/upstream/client.rs"]),
    ("granit_parser", &["crds-schema/src/document.rs"]),
    ("serde_saphyr", &["crds-schema/src/"]),
    ("indicatif", &["controller/src/cli/"]),
    ("comfy_table", &["controller/src/cli/"]),
    ("clap", &["controller/src/cli/"]),
    ("clap_complete", &["controller/src/cli/"]),
];

/// Methods of the Engine that change something, and who may call them beside the engine itself.
const CHANGING_CALLS: &[&str] = &[
    ".pull_image(",
    ".create_network(",
    ".remove_network(",
    ".create_volume(",
    ".remove_volume(",
    ".create_container(",
    ".start_container(",
    ".stop_container(",
    ".unpause_container(",
    ".rename_container(",
    ".update_container(",
    ".remove_container(",
    ".connect_network(",
    ".disconnect_network(",
];
const MAY_CHANGE: &[&str] =
    &["controller/src/engine/", "controller/src/executor.rs", "controller/src/lease", "controller/src/cli/demo.rs"];
/// Files that may list the Engine's things beside the engine itself.
const MAY_LIST: &[&str] = &["controller/src/engine/", "controller/src/reflector", "controller/src/cli/demo.rs"];

/// Files that may attach to a container beside the engine itself: who holds its input speaks to its program.
const MAY_ATTACH: &[&str] = &["controller/src/engine/", "controller/src/mcp/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The Rust files below some folders, with their paths from the root and their text.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn code() -> Vec<(String, String)> {
    sources(&["crds-schema/src", "controller/src", "controller/planner/src", "gateway/src"])
}

/// Whether a line names a crate in a path.
fn names_crate(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with("//") {
        return false;
    }
    let path = format!("{name}::");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        // In a text it names nothing.
        before.is_none_or(|before| !before.is_alphanumeric() && !"_:\"".contains(before))
    })
}

#[test]
fn each_outside_crate_is_named_in_its_adapter_only() {
    let mut faults = Vec::new();
    for (file, text) in code() {
        for (name, allowed) in ADAPTERS {
            let is_allowed = allowed.iter().any(|allowed| file.starts_with(allowed));
            if !is_allowed && text.lines().any(|line| names_crate(line, name)) {
                faults.push(format!("{file} names {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_executor_changes_the_engine_only_the_reflector_lists_it_and_only_the_hub_attaches() {
    let mut faults = Vec::new();
    for (file, text) in sources(&["controller/src"]) {
        if file.contains("/tests") {
            continue;
        }
        let names = |calls: &[&str]| calls.iter().find(|call| text.contains(*call)).map(|call| (*call).to_owned());
        if !MAY_CHANGE.iter().any(|allowed| file.starts_with(allowed))
            && let Some(call) = names(CHANGING_CALLS)
        {
            faults.push(format!("{file} calls {call}"));
        }
        let lists = ["engine.list_containers(", "engine.list_networks(", "engine.list_volumes("];
        if !MAY_LIST.iter().any(|allowed| file.starts_with(allowed))
            && let Some(call) = names(&lists)
        {
            faults.push(format!("{file} calls {call}"));
        }
        if !MAY_ATTACH.iter().any(|allowed| file.starts_with(allowed))
            && let Some(call) = names(&[".attach_container("])
        {
            faults.push(format!("{file} calls {call}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_call_of_the_engine_is_about_many_things() {
    // They remove what is not ours, and hang where one thing does.
    let bulk = ["prune_containers(", "prune_networks(", "prune_volumes(", "prune_images(", "prune_build("];
    for (file, text) in sources(&["controller/src"]) {
        let call = bulk.iter().find(|call| text.contains(**call));
        assert!(call.is_none(), "{file} calls {}", call.unwrap_or(&""));
    }
}

#[test]
fn the_pure_crates_depend_on_nothing_that_waits() {
    let pure: &[&str] = &["tokio", "bollard", "sled", "notify", "axum", "evenkeel"];
    // The gateway waits, but knows neither the Engine nor the controller.
    let gateway: &[&str] = &["bollard", "sled", "notify", "axum", "evenkeel", "planner", "rmcp"];
    for (manifest, absent) in
        [("crds-schema/Cargo.toml", pure), ("controller/planner/Cargo.toml", pure), ("gateway/Cargo.toml", gateway)]
    {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        for name in absent {
            let has = text.lines().any(|line| line.starts_with(name));
            assert!(!has, "{manifest} depends on {name}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let without: Vec<String> =
        code().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(without.is_empty(), "no module documentation: {}", without.join(", "));
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    // Put together here, so that this file does not find itself.
    let words = [concat!("#[ig", "nore"), concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("TO", "DO")];
    let mut faults = Vec::new();
    let folders = ["crds-schema", "controller/src", "controller/planner/src", "gateway", "tests", "benches"];
    for (file, text) in sources(&folders) {
        for word in words.iter().filter(|word| text.contains(**word)) {
            faults.push(format!("{file} has {word}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_trailing_spaces_and_every_file_ends_with_a_line() {
    let mut faults = Vec::new();
    for (file, text) in code() {
        if text.lines().any(|line| line.ends_with(' ') || line.ends_with('\t')) {
            faults.push(format!("{file} has trailing spaces"));
        }
        if !text.ends_with('\n') {
            faults.push(format!("{file} does not end with a line"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let words: BTreeSet<&str> = text.split(|c: char| c.is_whitespace() || "`,()|;".contains(c)).collect();
    let is_path = |word: &&&str| {
        word.contains('/')
            && word.rsplit_once('.').is_some_and(|(_, end)| end == "rs")
            && !word.contains(['<', '*', '{'])
    };
    let prefixes = ["", "controller/src/", "crds-schema/src/", "controller/planner/src/", "gateway/src/"];
    let missing: Vec<&&str> = words
        .iter()
        .filter(is_path)
        .filter(|word| !prefixes.iter().any(|prefix| root().join(prefix).join(word).exists()))
        .collect();
    assert!(missing.is_empty(), "docs/architecture.md names what is not there: {missing:?}");
}

#[test]
fn every_error_code_has_a_page() {
    let mut without = BTreeSet::new();
    for (_, text) in code() {
        for (at, _) in text.match_indices("\"E0") {
            let code: String = text[at + 1..].chars().take(5).collect();
            let is_code = code[1..].bytes().all(|byte| byte.is_ascii_digit()) && text[at + 6..].starts_with('"');
            if is_code && !root().join(format!("docs/errors/{code}.md")).exists() {
                without.insert(code);
            }
        }
    }
    assert!(without.is_empty(), "no page in docs/errors: {without:?}");
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut faults = Vec::new();
    for document in ["README.md", "docs/architecture.md", "docs/operations.md", "docs/security.md"] {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !target.is_empty() && !target.contains("://") && !path.parent().unwrap().join(target).exists() {
                faults.push(format!("{document} links to {target}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_profile_of_the_release_is_of_this_version_and_of_what_is_built() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (cargo, made_with) = (read("Cargo.toml"), read("benches/profile/made-with.txt"));
    let section = |name: &str| {
        let lines = cargo.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('[')).filter(|line| line.contains(" = "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let package = section("workspace.package");
    let version = package.iter().find(|line| line.starts_with("version = ")).unwrap().replace('"', "");
    let rust = package.iter().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().replace('"', "");
    let made_with: Vec<&str> = made_with.lines().collect();
    // What it is made by has no features that the program has not: names hold hashes of these as well.
    let bare_hub = read("tests/bare-hub/Cargo.toml");
    let of_bare_hub = bare_hub.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let of_bare_hub: Vec<&str> = of_bare_hub.take_while(|line| !line.is_empty()).collect();
    assert!(
        !of_bare_hub.is_empty() && of_bare_hub.iter().all(|line| line.ends_with(".workspace = true")),
        "{bare_hub}"
    );
    let is_current = made_with.contains(&version.as_str())
        && made_with.iter().any(|line| line.starts_with(&format!("release = {rust}.")))
        && section("profile.release").iter().all(|line| made_with.contains(&line.as_str()));
    assert!(
        is_current,
        "names hold hashes of these, by which nothing of it is found any more: `make profile` makes it anew"
    );
}
