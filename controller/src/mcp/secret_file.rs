//! Files that hold one secret each.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most bytes of a file that are read.
const MOST_BYTES: u64 = 64 * 1024;

/// Why a secret cannot be used. No message holds any of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Everybody may read it.
    #[error("everybody may read `{}`: run `chmod 600` on it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}

/// What a file holds, without the white space around it.
///
/// # Errors
/// When it cannot be read, is no plain file, or everybody may read it.
pub(super) fn read_secret(path: &Path) -> Result<String, SecretError> {
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    // Asked before it is opened: the opening of a pipe waits for somebody who writes.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is no plain file")));
    }
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o004 != 0 {
        return Err(SecretError::TooOpen { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim().to_owned())
}
