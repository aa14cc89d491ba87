//! Every example of every kind: those in `ok/` load without a word, those in `bad/` give the faults written beside them.

use std::fs;
use std::path::PathBuf;

use crds_schema::{Diagnostic, Kind, Loader, ManifestFile};

/// The examples of a kind in one of its two folders, sorted.
pub(crate) fn examples(kind: Kind, folder: &str) -> Vec<PathBuf> {
    let kinds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/kinds");
    let directory = kinds.join(folder_name(kind)).join("examples").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{kind} has no {folder} examples");
    files
}

/// The name of a kind's folder: `mcp_server` for `McpServer`.
fn folder_name(kind: Kind) -> String {
    let mut name = String::new();
    for (index, character) in kind.as_str().char_indices() {
        if character.is_ascii_uppercase() && index > 0 {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

#[test]
fn good_examples_load_without_a_word_but_on_what_has_no_effect_yet() {
    let loader = Loader::new();
    for kind in Kind::ALL {
        for path in examples(*kind, "ok") {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = loader.load(&ManifestFile { name, directory: "/srv/app", bytes: &bytes });
            let is_news = |diagnostic: &&Diagnostic| diagnostic.code != "E0251" || diagnostic.is_error();
            assert_eq!(file.diagnostics.iter().find(is_news), None, "{}", path.display());
            assert_eq!(file.objects.len(), file.declared.len());
            assert!(file.objects.iter().all(|object| object.spec.kind() == *kind));
        }
    }
}

#[test]
fn bad_examples_give_the_faults_written_beside_them() {
    let loader = Loader::new();
    for kind in Kind::ALL {
        for path in examples(*kind, "bad") {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = loader.load(&ManifestFile { name, directory: "/srv/app", bytes: &bytes });
            let mut text = String::new();
            for diagnostic in &file.diagnostics {
                text.push_str(&diagnostic.one_line());
                text.push('\n');
            }
            expect_test::expect_file![path.with_extension("txt")].assert_eq(&text);
        }
    }
}
