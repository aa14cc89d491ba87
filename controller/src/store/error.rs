//! What the store cannot do.

use std::sync::Arc;

use super::COMMIT_DEADLINE;
use super::export::ExportError;
use super::kv::KvError;

/// What the store cannot do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A write failed. No change to the Engine can be recorded, so none may be made until [`super::Store::reopen`] succeeds.
    #[error("cannot write the store")]
    Failed {
        /// What the database says.
        source: KvError,
    },
    /// A read failed.
    #[error("cannot read `{key}` from the store")]
    Read {
        /// The record, or the beginning that the records share.
        key: String,
        /// What the database says.
        source: KvError,
    },
    /// A record cannot be written as JSON.
    #[error("cannot encode `{key}`: {text}")]
    Encode {
        /// The record.
        key: String,
        /// Why.
        text: String,
    },
    /// The store is closed, or is closing.
    #[error("the store is closed")]
    Closed,
    /// An export could not be written.
    #[error("cannot export the store")]
    Export {
        /// Why.
        source: Arc<ExportError>,
    },
    /// The disk did not answer in time. The changes are still held, and may yet be written.
    #[error("cannot write the store within {} s", COMMIT_DEADLINE.as_secs())]
    TimedOut,
    /// The system gives no thread.
    #[error("cannot start the store's thread: {text}")]
    Thread {
        /// What the system says.
        text: String,
    },
}
