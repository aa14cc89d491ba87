//! What a user says to a controller that runs, beside his manifests.

use crds_schema::ObjectKey;

/// A user's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserWord {
    /// What prune holds back under this token may go.
    ConfirmPrune(String),
    /// The spec of this object is to be tried again, whatever became of it.
    RetryRollout(ObjectKey),
}
