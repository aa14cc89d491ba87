//! What is waited for.

use crds_schema::ObjectKey;

use crate::observed::TimestampMs;

/// What must happen outside the plan first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// A network or volume that the containers refer to is not there, or is being replaced.
    Reference {
        /// The other object.
        key: ObjectKey,
        /// What it lacks, such as `not created yet`.
        lacks: &'static str,
    },
    /// A dependency is not in the condition that was asked for.
    Dependency {
        /// The other object.
        key: ObjectKey,
        /// What it lacks.
        lacks: &'static str,
    },
    /// A container does not serve yet.
    Readiness {
        /// Its name.
        container: String,
        /// What it lacks, such as `health: starting`.
        lacks: String,
    },
    /// The Engine is about to start a container again.
    EngineRestart {
        /// Its name.
        container: String,
        /// Its last exit code.
        exit_code: i64,
    },
    /// Whoever uses a container that is to be stopped has not let go of it yet.
    Release {
        /// Its name.
        container: String,
    },
    /// The Engine is removing a container.
    Removal {
        /// Its name.
        container: String,
    },
    /// A failure is not tried again before this time.
    Backoff {
        /// When.
        until_ms: TimestampMs,
    },
    /// A call ended without an answer; nothing more is changed until its effect has been seen.
    UnknownOutcome {
        /// Until when at least.
        until_ms: TimestampMs,
    },
    /// A stranger has the name.
    NameConflict {
        /// The primitive, such as `network/back`.
        subject: String,
    },
    /// A container of another object has the name, until that object has given it its own back.
    NameInUse {
        /// The primitive, such as `container/web`.
        subject: String,
        /// The other object.
        owner: ObjectKey,
    },
    /// The image is not there, and the policy forbids fetching it.
    ImageAbsent {
        /// The reference.
        reference: String,
    },
    /// The object was removed, and prune holds it back.
    PruneHeld {
        /// Why.
        reason: String,
    },
    /// The object was removed, and its time has not come.
    Tombstone {
        /// When it will.
        until_ms: TimestampMs,
    },
    /// A network cannot be removed while these containers, which are not ours to stop, are in it.
    NetworkInUse {
        /// The network.
        network: String,
        /// Who is in it.
        by: Vec<String>,
    },
    /// A volume cannot be removed while it is in use.
    VolumeInUse {
        /// The volume.
        volume: String,
    },
    /// The object is suspended.
    Suspended,
}
