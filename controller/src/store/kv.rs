//! The least that the store needs of a database: sorted text keys, atomic batches, and a word on what survives.
//!
//! Two databases answer to it: [`super::sled`] on disk and [`super::memory`], its twin for tests and simulation. The same
//! property tests run on both.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A stored value; cheap to clone.
pub type Value = Arc<[u8]>;

/// Changes that happen together or not at all: `Some` puts, `None` removes.
pub type Batch = BTreeMap<String, Option<Value>>;

/// A database. Every method may wait for the disk, so nothing but the committer's thread calls the writing ones.
pub trait Kv: Send + Sync + fmt::Debug {
    /// One value.
    ///
    /// # Errors
    /// When the database cannot be read; absence is `Ok(None)`.
    fn get(&self, key: &str) -> Result<Option<Value>, KvError>;

    /// Visits every entry whose key begins with `prefix`, in the order of the keys. An empty prefix visits everything,
    /// which is what an export does.
    ///
    /// # Errors
    /// When the database cannot be read to the end; what was visited until then is good.
    fn scan_prefix(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), KvError>;

    /// Applies a batch.
    ///
    /// # Errors
    /// When the batch, or an earlier one that it would make durable, may not survive. The database takes no more
    /// batches after that until [`Kv::reopen`] succeeds.
    fn commit(&self, batch: &Batch, mode: CommitMode) -> Result<(), KvError>;

    /// Opens the database again after a failed write: a handle that met a full disk stays broken when there is space again.
    ///
    /// # Errors
    /// When it still cannot be opened.
    fn reopen(&self) -> Result<(), KvError>;

    /// Lets go of the files. Nothing can be read after that.
    fn close(&self);
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// Nothing: a crash may take it back, together with everything that was committed after it.
    Lazy,
    /// Until it survives what [`Durability`] says, with everything that was committed before it.
    Durable,
}

/// What a durable commit survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: about 3 ms a commit on an ordinary disk.
    #[default]
    PowerCut,
    /// The death of the process, but not of the host: about 0.3 ms a commit.
    Process,
}

/// A database that cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation}: {text}")]
pub struct KvError {
    /// What was tried, such as `commit 3 changes`.
    pub operation: String,
    /// What it means.
    pub kind: KvErrorKind,
    /// What the database or the system says.
    pub text: String,
}

/// What a [`KvError`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvErrorKind {
    /// The files are not what the database wrote: only this sends recovery down its ladder.
    Damaged,
    /// Somebody else has the database open.
    Busy,
    /// The disk is full.
    NoSpace,
    /// The system fails otherwise, or refuses access.
    Io,
}
