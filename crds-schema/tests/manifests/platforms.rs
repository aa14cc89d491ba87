//! The manifests that this repository has for its users: each folder is one host, and there is nothing to say against any of it.

use std::fs;
use std::path::{Path, PathBuf};

use crds_schema::{AnyObject, Diagnostic, Loader, ManifestFile, crosscheck};

/// What is in a folder, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_manifests_of_each_folder_load_and_agree_without_a_word() {
    let loader = Loader::new();
    let folders = entries(&Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("manifests"));
    assert!(!folders.is_empty());
    for folder in folders {
        let mut objects: Vec<AnyObject> = Vec::new();
        let is_manifest = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
        for path in entries(&folder).into_iter().filter(is_manifest) {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let file = loader.load(&ManifestFile { name, directory: "/srv/app", bytes: &bytes });
            assert_eq!(file.diagnostics, Vec::<Diagnostic>::new(), "{}", path.display());
            objects.extend(file.objects);
        }
        assert!(!objects.is_empty(), "{}", folder.display());
        let references: Vec<&AnyObject> = objects.iter().collect();
        assert_eq!(crosscheck(&references), Vec::<Diagnostic>::new(), "{}", folder.display());
    }
}
