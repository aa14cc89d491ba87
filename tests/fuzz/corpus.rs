//! The committed inputs: small files in `corpus/`, and the manifests that are in the repository anyway.

use std::path::{Path, PathBuf};

/// The inputs of a target, by name.
pub(super) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut directories = vec![root.join("tests/fuzz/corpus").join(target)];
    if target == "manifest" {
        directories.push(root.join("manifests"));
        directories.push(root.join("crds-schema/src/kinds"));
    }
    let mut files = Vec::new();
    for directory in &directories {
        collect(directory, &mut files);
    }
    let is_wanted = |path: &PathBuf| {
        path.starts_with(&directories[0]) || path.extension().is_some_and(|extension| extension == "yaml")
    };
    files.retain(is_wanted);
    files.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        (name, std::fs::read(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// A committed input of a target.
pub(super) fn input(target: &str, name: &str) -> Vec<u8> {
    let inputs = corpus(target);
    let found = inputs.into_iter().find(|(path, _)| path.ends_with(&format!("/{name}")));
    found.unwrap_or_else(|| panic!("there is no `{name}` in the corpus of `{target}`")).1
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
