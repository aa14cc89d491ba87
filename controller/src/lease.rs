//! The lease: one controller for one engine and instance, held in the engine itself.
//!
//! The lock on the data directory does not reach a second controller with another data directory, or on another host with a remote
//! engine. The engine's only atomic create is that of a container's name, so the lease is a container that is never started, whose labels say
//! who holds it. It is made from an empty image of our own, and its labels are not those of a workload, so that nothing takes it for one.
//!
//! There is no expiry: clocks of two hosts are not compared. A holder that can be seen to have ended is followed at once, any other one
//! only by `--take-over`. Taking over removes the container, so that a holder that was only asleep finds its lease gone: see [`Lease::check`].

use std::collections::BTreeMap;

use crds_schema::Name;
use planner::observed::ContainerDetail;
use planner::observed::{ContainerConfig, Limits};
use planner::plan::ContainerCreate;

use crate::engine::{Engine, EngineError, ErrorKind};
use crate::holder::{Holder, Liveness};

/// The image of every lease: empty, since nothing of it ever runs.
pub const LEASE_IMAGE: &str = "evenkeel.dev/lease:1";
const LABEL_HOLDER: &str = "evenkeel.dev/lease-holder";
const LABEL_DATA_DIR: &str = "evenkeel.dev/lease-data-dir";
const LABEL_EPOCH: &str = "evenkeel.dev/lease-epoch";
/// How often a lease that comes and goes under our hands is looked at anew.
const TRIES: u32 = 3;

/// What a controller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// This process. It holds the lock on its data directory.
    pub me: Holder,
    /// The id of its data directory.
    pub data_dir_id: String,
    /// The highest epoch that its store remembers; 0 for none.
    pub last_epoch: u64,
    /// Whether the user says that the present holder is to be followed although it may live.
    pub take_over: bool,
}

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The full id of its container.
    pub container_id: String,
    /// Grows with every change of holder. To be kept in the store, for the next request.
    pub epoch: u64,
    /// Whom it was taken over from, where it was.
    pub taken_from: Option<Box<Holder>>,
    name: String,
}

/// What a lease's container says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it.
    pub holder: Holder,
    /// The id of the holder's data directory.
    pub data_dir_id: String,
    /// Its epoch.
    pub epoch: u64,
}

/// What a second look at a lease shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseCheck {
    /// It is held.
    Held,
    /// Its container was removed, and there is no other: it may be acquired again.
    Vanished,
    /// Somebody else holds it: nothing may be changed any more.
    TakenBy(Box<Holder>),
}

/// Why a lease is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another controller has it.
    #[error("this engine's instance `{}` is run by {holder}, since epoch {epoch}", holder.instance)]
    Held {
        /// Who.
        holder: Box<Holder>,
        /// Its epoch.
        epoch: u64,
    },
    /// A container has the lease's name, but is none.
    #[error("a container that is no lease has the name `{name}`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Others were quicker every time.
    #[error("the lease `{name}` changes hands faster than it can be acquired")]
    Contested {
        /// The name.
        name: String,
    },
    /// What was written into the lease cannot be encoded.
    #[error("cannot write the lease `{name}`: {text}")]
    Encode {
        /// The name.
        name: String,
        /// Why.
        text: String,
    },
    /// The engine fails.
    #[error("cannot acquire, check or release the lease `{name}`")]
    Engine {
        /// The name.
        name: String,
        /// What it says.
        source: EngineError,
    },
}

impl LeaseError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Held { .. } => "end that controller, or give this one another `--instance`; if it is surely gone, \
                                  run once with `--take-over`"
                .into(),
            Self::NameTaken { name } => format!("look at it with `docker inspect {name}`, and rename or remove it"),
            Self::Contested { .. } => "see which other controllers are being started for this engine".into(),
            Self::Encode { .. } => "report this as a fault of Evenkeel".into(),
            Self::Engine { .. } => "see that the engine is reachable and has space, then try again".into(),
        }
    }
}

/// What to do about a lease that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseDecision {
    /// Put one of ours in its place, with this epoch.
    Replace {
        /// The epoch.
        epoch: u64,
    },
    /// Leave it to its holder.
    Refuse,
}

/// Decides about a lease that is there. Pure: what is known of its holder is an argument.
///
/// Our own data directory's lease is ours, since we hold the lock on the directory, unless its holder can be seen to live: then one
/// of the two directories is a copy of the other.
pub fn decide(found: &LeaseRecord, request: &LeaseRequest, liveness: Liveness) -> LeaseDecision {
    let is_our_data_dir = found.data_dir_id == request.data_dir_id;
    let is_free = match liveness {
        Liveness::Myself | Liveness::Gone => true,
        Liveness::Alive => request.take_over,
        Liveness::OutOfSight => is_our_data_dir || request.take_over,
    };
    let epoch = found.epoch.max(request.last_epoch) + 1;
    if is_free { LeaseDecision::Replace { epoch } } else { LeaseDecision::Refuse }
}

/// Acquires the lease of the request's instance.
///
/// # Errors
/// [`LeaseError::Held`] when another controller has it. After an engine's error whose outcome is unknown, the lease may be ours:
/// asking again finds out.
pub async fn acquire(engine: &dyn Engine, request: &LeaseRequest) -> Result<Lease, LeaseError> {
    let name = lease_name(&request.me.instance);
    let failed = |source| LeaseError::Engine { name: name.clone(), source };
    ensure_image(engine).await.map_err(failed)?;
    let mut epoch = request.last_epoch + 1;
    let mut taken_from = None;
    for _ in 0..TRIES {
        let create = container_of(request, epoch)?;
        match engine.create_container(&create).await {
            Ok(created) => return Ok(Lease { container_id: created.id, epoch, taken_from, name }),
            Err(error) if error.kind == ErrorKind::NameConflict => {}
            // Another controller is just making it anew: the name goes over from one image to the next.
            Err(error) if error.kind == ErrorKind::ImageNotFound => {
                ensure_image(engine).await.map_err(failed)?;
                continue;
            }
            Err(error) => return Err(failed(error)),
        }
        // It may have been released since.
        let Some(found) = engine.inspect_container(&name).await.map_err(failed)? else { continue };
        let record = read_record(&found).ok_or_else(|| LeaseError::NameTaken { name: name.clone() })?;
        match decide(&record, request, request.me.judge(&record.holder)) {
            LeaseDecision::Refuse => {
                return Err(LeaseError::Held { holder: Box::new(record.holder), epoch: record.epoch });
            }
            LeaseDecision::Replace { epoch: next } => {
                // By its full id: what somebody else has put in its place meanwhile stays.
                engine.remove_container(&found.id).await.map_err(failed)?;
                epoch = next;
                taken_from = Some(Box::new(record.holder));
            }
        }
    }
    Err(LeaseError::Contested { name })
}

/// Makes the image of leases where it is missing. When two controllers make it at once, an Engine with the containerd image store
/// tells one of them that the name is taken: then it is there.
async fn ensure_image(engine: &dyn Engine) -> Result<(), EngineError> {
    if engine.inspect_image(LEASE_IMAGE).await?.is_some() {
        return Ok(());
    }
    match engine.import_image(LEASE_IMAGE, empty_tar(), &[r#"CMD ["/lease"]"#]).await {
        Err(error) if error.kind == ErrorKind::NameConflict => Ok(()),
        imported => imported,
    }
}

impl Lease {
    /// Looks whether the lease is still held. A controller that slept long, or lost the engine for a while, looks before it changes anything.
    ///
    /// # Errors
    /// When the engine cannot be asked: then nothing is known.
    pub async fn check(&self, engine: &dyn Engine) -> Result<LeaseCheck, LeaseError> {
        let failed = |source| LeaseError::Engine { name: self.name.clone(), source };
        let Some(found) = engine.inspect_container(&self.name).await.map_err(failed)? else {
            return Ok(LeaseCheck::Vanished);
        };
        if found.id == self.container_id {
            return Ok(LeaseCheck::Held);
        }
        let record = read_record(&found).ok_or_else(|| LeaseError::NameTaken { name: self.name.clone() })?;
        Ok(LeaseCheck::TakenBy(Box::new(record.holder)))
    }

    /// Gives the lease up, at a clean end. By its full id, so that one that was taken over stays.
    ///
    /// # Errors
    /// When the engine fails. The next controller on this host sees that its holder has ended.
    pub async fn release(&self, engine: &dyn Engine) -> Result<(), LeaseError> {
        let failed = |source| LeaseError::Engine { name: self.name.clone(), source };
        engine.remove_container(&self.container_id).await.map_err(failed)
    }
}

/// The name of the lease's container.
pub fn lease_name(instance: &Name) -> String {
    format!("evenkeel-lease-{instance}")
}

fn container_of(request: &LeaseRequest, epoch: u64) -> Result<ContainerCreate, LeaseError> {
    let name = lease_name(&request.me.instance);
    let holder = match serde_json::to_string(&request.me) {
        Ok(holder) => holder,
        Err(error) => return Err(LeaseError::Encode { name, text: error.to_string() }),
    };
    let labels = BTreeMap::from([
        (LABEL_HOLDER.to_owned(), holder),
        (LABEL_DATA_DIR.to_owned(), request.data_dir_id.clone()),
        (LABEL_EPOCH.to_owned(), epoch.to_string()),
    ]);
    let config = ContainerConfig {
        image: LEASE_IMAGE.to_owned(),
        network_mode: "none".to_owned(),
        labels,
        ..ContainerConfig::default()
    };
    let limits = Limits { restart: "no".to_owned(), ..Limits::default() };
    Ok(ContainerCreate { name, config, limits, ..ContainerCreate::default() })
}

/// What a container says as a lease; `None` when it is none.
fn read_record(container: &ContainerDetail) -> Option<LeaseRecord> {
    let labels = &container.config.labels;
    Some(LeaseRecord {
        holder: serde_json::from_str(labels.get(LABEL_HOLDER)?).ok()?,
        data_dir_id: labels.get(LABEL_DATA_DIR)?.clone(),
        epoch: labels.get(LABEL_EPOCH)?.parse().ok()?,
    })
}

/// A tar archive of nothing: two blocks of zeros.
fn empty_tar() -> Vec<u8> {
    vec![0; 1024]
}

#[cfg(test)]
mod tests;
