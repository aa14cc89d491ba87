//! Opening the store, whatever state it is in, and saying what was found.
//!
//! # Flow
//! The ladder, one rung at a time: open and scan everything; without an unfinished snapshot; without any snapshot; at last move the
//! directory aside, start empty and import the newest export that can be read.
//!
//! # Guarantees
//! A damaged store never keeps the controller from starting, and never panics. Nothing that was found damaged is deleted but
//! snapshots, which hold nothing of their own; of the directories moved aside, the newest three are kept. After anything but an
//! intact store the first pass deletes nothing.
//!
//! # Assumptions
//! The caller holds the lock on the data directory.
//!
//! # Errors
//! What a person must see to: a full disk, missing rights, another process, a newer release's store. None of these is damage, so none
//! goes down the ladder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::codec::CodecError;
use super::committer::Pace;
use super::home::{Climb, Home, io_failed};
use super::kv::{Durability, KvError, KvErrorKind};
use super::marker::Marker;
use super::sled::LOG_FILE;
use super::{LAZY_DELAY, Store, StoreError};

/// How many damaged directories are kept.
pub const DAMAGED_KEPT: usize = 3;
/// Where the store is, and how careful it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The data directory; the store is in `store` in it, its exports in `exports`.
    pub data_dir: PathBuf,
    /// What a durable commit survives.
    pub durability: Durability,
    /// How long lazy changes are gathered at most.
    pub lazy_delay: Duration,
}

impl StoreConfig {
    /// The default settings for a data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), durability: Durability::default(), lazy_delay: LAZY_DELAY }
    }
}

/// A store, and what was found when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What was found.
    pub recovery: Recovery,
}

/// What was found when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// There was none, and no trace of one: a first run.
    Fresh,
    /// It is as it was left.
    Intact,
    /// It is there, but something had to be done to it.
    Repaired {
        /// What, for people.
        what: String,
    },
    /// It was lost, and another stands in its place.
    Rebuilt {
        /// Whether an export was there to fill it.
        from_export: bool,
        /// What was wrong and what was done, for people.
        what: String,
    },
}

impl Recovery {
    /// Whether the store may know less than it once did, so that the first pass must delete nothing.
    pub const fn is_first_pass_restricted(&self) -> bool {
        match self {
            Self::Fresh | Self::Repaired { .. } | Self::Rebuilt { .. } => true,
            Self::Intact => false,
        }
    }

    /// What to tell people, where there is something to tell.
    pub fn report(&self) -> Option<&str> {
        match self {
            Self::Fresh | Self::Intact => None,
            Self::Repaired { what } | Self::Rebuilt { what, .. } => Some(what),
        }
    }
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses something that is no damage.
    #[error("cannot {operation} `{}`", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The database cannot be opened, for a reason that is no damage.
    #[error("cannot open the store in `{}`", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// Why.
        source: KvError,
    },
    /// A newer release wrote it.
    #[error("the store in `{}` was written by a newer release", path.display())]
    Newer {
        /// Where.
        path: PathBuf,
        /// The record that says so.
        source: CodecError,
    },
    /// It is open, but cannot be read or run.
    #[error("cannot start the store in `{}`", path.display())]
    Store {
        /// Where.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

impl OpenError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Database { source: KvError { kind: KvErrorKind::NoSpace, .. }, .. } => {
                "free some space on the disk of the data directory"
            }
            Self::Database { source: KvError { kind: KvErrorKind::Busy, .. }, .. } => {
                "another process has the store open: end it first"
            }
            Self::Newer { .. } => "run the release that wrote it, or name another `--data-dir`",
            Self::Io { .. } | Self::Database { .. } | Self::Store { .. } => {
                "see that the data directory is there, is a local disk, and belongs to this user"
            }
        }
    }
}

/// Opens the store in a data directory. Waits for the disk: call it before the runtime matters, or on a blocking thread.
///
/// # Errors
/// See the module: damage is never one.
pub fn open(config: &StoreConfig) -> Result<Opened, OpenError> {
    let home = Home::new(&config.data_dir);
    fs::create_dir_all(&config.data_dir).map_err(io_failed("create", &config.data_dir))?;
    home.finish_replacing()?;
    let marker = Marker::read(&home.marker).map_err(io_failed("read", &home.marker))?;
    let log_bytes = fs::metadata(home.database.join(LOG_FILE)).map_or(0, |metadata| metadata.len());
    let has_trace = marker.is_some() || !home.exports()?.is_empty();
    let least_commits = marker.map_or(0, |marker| marker.commits);
    let (kv, recovery) = match first_rung(log_bytes, has_trace) {
        FirstRung::Create => (home.create(config.durability, 0)?, Recovery::Fresh),
        FirstRung::Rebuild => home.rebuild(config.durability, least_commits, "its file was missing or empty")?,
        FirstRung::Open => match home.climb(config.durability, least_commits)? {
            // The first run was ended before it wrote the marker.
            Climb::Opened { kv, what } if what.is_empty() && !has_trace => (kv, Recovery::Fresh),
            Climb::Opened { kv, what } if what.is_empty() => (kv, Recovery::Intact),
            Climb::Opened { kv, what } => (kv, Recovery::Repaired { what: what.join("; ") }),
            Climb::Lost { why } => home.rebuild(config.durability, least_commits, &why)?,
        },
    };
    let pace = Pace::Thread { lazy_delay: config.lazy_delay };
    let store_failed = |source| OpenError::Store { path: home.database.clone(), source };
    let store = Store::over(Arc::new(kv), pace, Some(home.clone())).map_err(store_failed)?;
    store.mark().map_err(io_failed("write", &home.marker))?;
    Ok(Opened { store, recovery })
}

/// Where the ladder begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstRung {
    /// No store, and no trace of one.
    Create,
    /// A store.
    Open,
    /// Traces of a store, but no content: sled would open it as a new one without a word.
    Rebuild,
}

const fn first_rung(log_bytes: u64, has_trace: bool) -> FirstRung {
    match (log_bytes, has_trace) {
        (0, false) => FirstRung::Create,
        (0, true) => FirstRung::Rebuild,
        (_, _) => FirstRung::Open,
    }
}
