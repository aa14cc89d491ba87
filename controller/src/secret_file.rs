//! Files that hold one secret each.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The most bytes of a file that are read.
const MOST_BYTES: u64 = 64 * 1024;

/// Why a secret cannot be used. No message holds any of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Everybody may read it.
    #[error("everybody may read `{}`: run `chmod 600` on it", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}

/// Looks at a file without opening it.
///
/// # Errors
/// When it is not there, is no plain file, is empty, or everybody may read it.
pub(crate) fn check_secret(path: &Path) -> Result<(), SecretError> {
    let metadata = plain_file(path)?;
    if metadata.len() == 0 {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    refuse_open(path, &metadata)
}

/// What a file holds, without the white space around it.
///
/// # Errors
/// When it cannot be read, is no plain file, or everybody may read it.
pub(crate) fn read_secret(path: &Path) -> Result<String, SecretError> {
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    // Asked before it is opened: the opening of a pipe waits for somebody who writes.
    plain_file(path)?;
    let file = File::open(path).map_err(failed)?;
    refuse_open(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim().to_owned())
}

fn plain_file(path: &Path) -> Result<Metadata, SecretError> {
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_file() { Ok(metadata) } else { Err(failed(io::Error::other("it is no plain file"))) }
}

fn refuse_open(path: &Path, metadata: &Metadata) -> Result<(), SecretError> {
    let is_open = metadata.permissions().mode() & 0o004 != 0;
    if is_open { Err(SecretError::TooOpen { path: path.to_owned() }) } else { Ok(()) }
}
