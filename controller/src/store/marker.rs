//! The marker: a small file beside the database that says that there was one, and how much it held at least.
//!
//! A database whose file was emptied opens as a new one without a word. The marker tells a lost store from a first run, and
//! a store that lost its tail from one that did not.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable_file::write_durably;

/// What the marker says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// How many commits the database held at least when this was written.
    pub(super) commits: u64,
}

impl Marker {
    /// Reads a marker; `None` where there is none. One that cannot be understood still says that there was a store.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the marker in place of an older one.
    pub(super) fn write(self, path: &Path) -> io::Result<()> {
        write_durably(path, |writer| writeln!(writer, r#"{{"commits":{}}}"#, self.commits))
    }
}
