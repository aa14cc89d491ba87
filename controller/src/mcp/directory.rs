//! Directories of gateways.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes a directory that only its owner may enter; one that is there is left as it is.
fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The same, with an error in a sentence.
pub(super) fn ensure_dir(path: &Path) -> Result<(), String> {
    make_dir(path).map_err(|error| format!("cannot make the directory `{}`: {error}", path.display()))
}
