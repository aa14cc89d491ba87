//! Schemas, reference pages and error pages are generated and committed. With `UPDATE_SCHEMAS=1` the test writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crds_schema::codes::{error_code, error_codes, index_page};
use crds_schema::reference::reference_page;
use crds_schema::schema::{combined_schema, manifest_schema};
use crds_schema::{Kind, explain};

use crate::examples::examples;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Fails unless exactly these files stand in the directory, or makes it so.
fn check_directory(directory: &Path, files: &BTreeMap<String, String>) {
    let is_update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    if is_update {
        fs::create_dir_all(directory).unwrap();
    }
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = directory.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            stale.push(name.clone());
            if is_update {
                fs::write(&path, text).unwrap();
            }
        }
    }
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !files.contains_key(&name) {
            stale.push(name);
            if is_update {
                fs::remove_file(&path).unwrap();
            }
        }
    }
    assert!(
        is_update || stale.is_empty(),
        "stale in {}: {stale:?}; run `UPDATE_SCHEMAS=1 cargo test -p crds-schema --test manifests`",
        directory.display()
    );
}

#[test]
fn schemas_are_fresh() {
    let pretty = |schema| serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let mut files = BTreeMap::from([("evenkeel.json".to_owned(), pretty(combined_schema()))]);
    let mut definitions: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for kind in Kind::ALL {
        for (name, definition) in manifest_schema(*kind)["$defs"].as_object().into_iter().flatten() {
            let earlier = definitions.insert(name.clone(), definition.clone());
            assert!(earlier.is_none_or(|earlier| earlier == *definition), "two definitions are called {name}");
        }
        files.insert(format!("{}.json", kind.as_str().to_lowercase()), pretty(manifest_schema(*kind)));
    }
    check_directory(&root().join("crds-schema/schemas"), &files);
}

#[test]
fn reference_pages_are_fresh() {
    let mut files = BTreeMap::new();
    let mut index = String::from("# Kinds\n\nGenerated from the schemas; do not edit.\n\n");
    for kind in Kind::ALL {
        let is_example = |path: &&PathBuf| path.file_name().is_some_and(|name| name == "example.yaml");
        let good = examples(*kind, "ok");
        let example = fs::read_to_string(good.iter().find(is_example).unwrap());
        let name = kind.as_str().to_lowercase();
        files.insert(format!("{name}.md"), reference_page(*kind, &example.unwrap()));
        writeln!(index, "- [{kind}]({name}.md)").unwrap();
    }
    files.insert("README.md".to_owned(), index);
    check_directory(&root().join("docs/kinds"), &files);
}

#[test]
fn error_pages_are_fresh() {
    let mut files = BTreeMap::from([("README.md".to_owned(), index_page())]);
    for code in error_codes() {
        files.insert(format!("{}.md", code.code), code.page());
    }
    check_directory(&root().join("docs/errors"), &files);
}

#[test]
fn every_code_that_the_sources_use_is_explained() {
    let mut folders = vec![root().join("crds-schema/src"), root().join("controller")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (index, _) in text.match_indices("\"E0") {
                let code: String = text[index + 1..].chars().take_while(|c| *c != '"').collect();
                if code.len() == 5 && code[1..].bytes().all(|byte| byte.is_ascii_digit()) {
                    found += 1;
                    assert!(error_code(&code).is_some(), "{code} of {} has no entry in codes.rs", path.display());
                }
            }
        }
    }
    assert!(found > 100);
    let codes: Vec<&str> = error_codes().map(|entry| entry.code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "codes are unique and in order");
}

#[test]
fn every_field_has_documentation_and_can_be_explained() {
    for kind in Kind::ALL {
        let mut paths = vec![format!("{kind}"), format!("{kind}.metadata"), format!("{kind}.spec")];
        while let Some(path) = paths.pop() {
            let text = explain(&path).unwrap();
            let described = text.split("DESCRIPTION:\n").nth(1).unwrap().lines().next().unwrap();
            assert!(!described.trim().is_empty(), "{path} has no documentation");
            if let Some(fields) = text.split("FIELDS:\n").nth(1)
                && path.contains('.')
            {
                for line in fields.lines() {
                    paths.push(format!("{path}.{}", line.split_whitespace().next().unwrap()));
                }
            }
        }
    }
}
