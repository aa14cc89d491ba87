//! Where a test stands in the sources.

use std::fs;
use std::path::{Path, PathBuf};

use controller::engine::contract::SEQUENCE_FILES;

/// Whether there is a test with this path, as in [`super::catalogue::Covered::By`].
pub(crate) fn has_test(test: &str) -> bool {
    if let Some(title) = test.strip_prefix("contract: ") {
        let heading = format!("== {title}");
        return SEQUENCE_FILES.iter().any(|(_, text)| text.lines().any(|line| line == heading));
    }
    let Some((module, name)) = test.rsplit_once("::") else { return false };
    files_of(module).iter().filter_map(|path| fs::read_to_string(path).ok()).any(|text| defines_test(&text, name))
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The files that a module may stand in; a module `tests` may stand inside its parent.
fn files_of(module: &str) -> Vec<PathBuf> {
    let parts: Vec<&str> = module.split("::").collect();
    let (directories, parts): (&[&str], _) = match parts.split_first() {
        Some((&"controller", rest)) => (&["controller/src"], rest),
        Some((&"planner", rest)) => (&["controller/planner/src"], rest),
        Some((&"crds_schema", rest)) => (&["crds-schema/src"], rest),
        Some((&"manifests", rest)) => (&["crds-schema/tests/manifests"], rest),
        Some((&"gateway", rest)) => (&["gateway/src", "gateway/tests"], rest),
        _ => (&["tests"], parts.as_slice()),
    };
    let files = |parts: &[&str]| {
        let paths = directories.iter().map(|directory| root().join(directory).join(parts.join("/")));
        paths
            .flat_map(|path| [path.with_extension("rs"), path.join("mod.rs"), path.join("main.rs")])
            .collect::<Vec<_>>()
    };
    let mut found = files(parts);
    if let Some((&"tests", parent)) = parts.split_last() {
        found.extend(files(parent));
    }
    found
}

/// Whether a text defines a test of this name.
fn defines_test(text: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ") {
            if is_test && rest.split(['(', '<']).next() == Some(name) {
                return true;
            }
            is_test = false;
        }
    }
    false
}
