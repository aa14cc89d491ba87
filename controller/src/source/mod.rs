//! Sources of manifests. Each gives whole readings; what becomes of them is decided elsewhere.

pub mod directory;

use std::fmt;

use async_trait::async_trait;

/// Where manifests come from.
#[async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    /// Reads everything that it holds. What cannot be read is part of the reading, not an error.
    async fn read(&self) -> Reading;

    /// Begins to look out for changes.
    fn watch(&self) -> Box<dyn Watch>;
}

/// A look-out for changes of a source. It ends when it is dropped.
#[async_trait]
pub trait Watch: Send {
    /// Waits until something may have changed, or the time has come to look although nothing was heard.
    async fn changed(&mut self);
}

/// One reading of a source: every file, or why there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The files, in the order of their names.
    pub files: Vec<FileReading>,
    /// Why the source as a whole could not be read; then `files` means nothing.
    pub problem: Option<String>,
}

/// One file of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReading {
    /// Its path relative to the source, as users are shown it.
    pub name: String,
    /// The absolute directory that it lies in, which relative host paths are resolved against.
    pub directory: String,
    /// What it holds, or why that could not be read.
    pub content: Result<Vec<u8>, FileProblem>,
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// It is a link out of the directory, a FIFO, a device, a socket or a directory.
    #[error("not a regular file inside the manifest directory")]
    NotRegular,
    /// Its name is no text, or one that cannot be shown.
    #[error("its name is not UTF-8, or has characters that cannot be shown: rename it")]
    Name,
    /// It changed each time it was read.
    #[error("it keeps changing while it is read")]
    Unstable,
    /// The operating system refused.
    #[error("{0}")]
    Io(String),
    /// Larger than a manifest may be.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
}
