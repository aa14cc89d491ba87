//! The world: what is wanted and what is observed, indexed so that planning one object never looks at the others.
//!
//! It is changed by small methods as files and the Engine report, and read by [`crate::decide::plan`]. It holds no clock: every
//! method that needs the time is told it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds_schema::primitive::{Lowered, Primitive, Readiness};
use crds_schema::{AnyObject, ObjectKey};

use crate::compare::changed_limits;
use crate::hash::{canonical_json, hash_template};
use crate::inventory::{ObservedContainer, ObservedNetwork, ObservedVolume};
use crate::observed::{ImageDetail, Limits, TimestampMs};
use crate::ownership::Identity;
use crate::rollup::Statement;
use crate::users::Users;

mod demand;
mod leaving;
mod memory;
mod observation;
mod report;
mod trial;

pub use demand::Demand;
use leaving::Leaving;
pub use report::{Report, ReportStatus};
pub use trial::Completed;

/// What is wanted and what is observed.
#[derive(Debug, Clone)]
pub struct World {
    identity: Identity,
    desired: BTreeMap<ObjectKey, DesiredObject>,
    removals: BTreeMap<ObjectKey, Removal>,
    dependents: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
    containers: BTreeMap<Arc<str>, ObservedContainer>,
    networks: BTreeMap<Arc<str>, ObservedNetwork>,
    volumes: BTreeMap<Arc<str>, ObservedVolume>,
    images: BTreeMap<String, ImageState>,
    owned: BTreeMap<ObjectKey, OwnedIds>,
    network_names: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    strangers: BTreeMap<Arc<str>, Stranger>,
    /// Ids of containers that the store remembers as ours.
    known_ids: BTreeSet<Arc<str>>,
    /// Ids (of volumes: names) that we are removing: their going is no loss.
    expected_gone: BTreeSet<Arc<str>>,
    /// Containers of ours by what they use: ids of networks and names of volumes.
    users: Users,
    /// Names of containers that are not ours, by the id of the network that they run in.
    foreign_members: BTreeMap<Arc<str>, Vec<String>>,
    /// Templates of containers, by hash: many containers share one.
    templates: BTreeMap<Arc<str>, Arc<str>>,
    holds: BTreeMap<ObjectKey, Hold>,
    ready: BTreeSet<ObjectKey>,
    lost: BTreeMap<ObjectKey, BTreeSet<String>>,
    /// What is told of objects by whoever does outside the Engine what they ask for.
    reports: BTreeMap<ObjectKey, Report>,
    /// Which containers are needed of objects that leave it to their users.
    demands: BTreeMap<ObjectKey, Demand>,
    /// One more condition of objects, by whoever sees more of them than the Engine does.
    notices: BTreeMap<ObjectKey, Statement>,
    /// Containers that are to be given nothing new to do, by id.
    leaving: BTreeMap<Arc<str>, Leaving>,
    /// Containers that were started and have not served for long enough, by id, and since when that is known.
    tried: BTreeMap<Arc<str>, TimestampMs>,
    /// Since when the spec of each object is in force.
    in_force_since: BTreeMap<ObjectKey, TimestampMs>,
    /// The last spec of each object whose rollout was completed.
    completed: BTreeMap<ObjectKey, Completed>,
    /// Why what is wanted of objects is not what their users want.
    rolled_back: BTreeMap<ObjectKey, String>,
}

/// One object as it is wanted.
#[derive(Debug, Clone)]
pub struct DesiredObject {
    /// What it means in primitives.
    pub lowered: Lowered,
    /// The template of its primitive as canonical JSON, and the hash of that.
    pub template: Arc<str>,
    /// See [`hash_template`].
    pub hash: Arc<str>,
    /// The hash of the whole spec, as this release writes it.
    pub spec_hash: Arc<str>,
    /// Never pruned.
    pub protected: bool,
    /// The limits that it had before it was last changed, to tell a change of the spec from drift.
    pub previous_limits: Option<Limits>,
}

/// An object that is no longer wanted, or never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Held back for a reason that a user must resolve.
    Held(String),
    /// Its time has not come.
    Tombstone(TimestampMs),
    /// What it has in the Engine is removed.
    Approved {
        /// Volumes too, because the object said so.
        delete_volumes: bool,
    },
}

/// Why nothing is done for an object for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// After a failure, until then.
    Backoff(TimestampMs),
    /// After a call without an answer, until its effect has been observed then or later.
    UnknownOutcome(TimestampMs),
}

/// Whether the Engine has an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// It has.
    Present(Arc<ImageDetail>),
    /// It has not.
    Absent,
}

/// Something that bears our label or a name that we need, and is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Its name in the Engine.
    pub name: String,
    /// Whether it bears our instance's label without its proof.
    pub is_impostor: bool,
}

/// What one object has in the Engine.
#[derive(Debug, Clone, Default)]
struct OwnedIds {
    containers: BTreeSet<Arc<str>>,
    networks: BTreeSet<Arc<str>>,
    volumes: BTreeSet<Arc<str>>,
}

impl OwnedIds {
    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }
}

impl World {
    /// An empty world of one controller.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            desired: BTreeMap::new(),
            removals: BTreeMap::new(),
            dependents: BTreeMap::new(),
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            owned: BTreeMap::new(),
            network_names: BTreeMap::new(),
            strangers: BTreeMap::new(),
            known_ids: BTreeSet::new(),
            expected_gone: BTreeSet::new(),
            users: Users::default(),
            foreign_members: BTreeMap::new(),
            templates: BTreeMap::new(),
            holds: BTreeMap::new(),
            ready: BTreeSet::new(),
            lost: BTreeMap::new(),
            reports: BTreeMap::new(),
            demands: BTreeMap::new(),
            notices: BTreeMap::new(),
            leaving: BTreeMap::new(),
            tried: BTreeMap::new(),
            in_force_since: BTreeMap::new(),
            completed: BTreeMap::new(),
            rolled_back: BTreeMap::new(),
        }
    }

    /// Who this controller is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// What is wanted.
impl World {
    /// Wants an object, or wants it differently.
    pub fn set_desired(&mut self, object: &AnyObject) {
        let key = object.key();
        let lowered = object.spec.lower(&object.metadata);
        let template = template_of(object, &lowered.primitive);
        let mut desired = DesiredObject {
            hash: Arc::from(hash_template(&template)),
            template: Arc::from(template),
            spec_hash: spec_hash(object),
            protected: object.is_protected(),
            previous_limits: None,
            lowered,
        };
        let before = self.desired.get(&key);
        let limits_before = before.and_then(DesiredObject::limits);
        // The same again, as when its file is read again, does not hide from what it was changed.
        desired.previous_limits = if limits_before == desired.limits() {
            before.and_then(|before| before.previous_limits.clone())
        } else {
            limits_before
        };
        let is_nothing = matches!(desired.lowered.primitive, Primitive::Nothing);
        if is_nothing && before.is_none_or(|before| before.template != desired.template) {
            // What was reported of it was of what it said before.
            self.reports.remove(&key);
        }
        self.forget_desired(&key);
        for target in desired.needs() {
            self.dependents.entry(target.clone()).or_default().insert(key.clone());
        }
        self.removals.remove(&key);
        let (readiness, release_ms) = (desired.readiness(), desired.release_ms());
        self.desired.insert(key.clone(), desired);
        self.set_readiness(&key, readiness);
        self.set_release(&key, release_ms);
    }

    /// No longer wants an object; what becomes of what it has is said by `removal`.
    pub fn set_removal(&mut self, key: &ObjectKey, removal: Removal) {
        self.forget_desired(key);
        self.ready.remove(key);
        self.reports.remove(key);
        self.demands.remove(key);
        self.notices.remove(key);
        self.in_force_since.remove(key);
        self.completed.remove(key);
        self.rolled_back.remove(key);
        self.removals.insert(key.clone(), removal);
    }

    /// Forgets a removal that is done.
    pub fn clear_removal(&mut self, key: &ObjectKey) {
        self.removals.remove(key);
        self.holds.remove(key);
        self.ready.remove(key);
        self.lost.remove(key);
    }

    fn forget_desired(&mut self, key: &ObjectKey) {
        let Some(old) = self.desired.remove(key) else { return };
        for target in old.needs() {
            if let Some(keys) = self.dependents.get_mut(target) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(target);
                }
            }
        }
    }

    /// One object as it is wanted.
    pub fn desired(&self, key: &ObjectKey) -> Option<&DesiredObject> {
        self.desired.get(key)
    }

    /// Every object that is wanted.
    pub fn desired_keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.desired.keys()
    }

    /// What is decided about an object that is not wanted.
    pub fn removal(&self, key: &ObjectKey) -> Option<&Removal> {
        self.removals.get(key)
    }

    /// The objects whose network is to have a name in the Engine.
    pub fn wanting_network(&self, name: &str) -> Vec<ObjectKey> {
        self.wanting(|primitive| matches!(primitive, Primitive::Network(network) if network.engine_name == name))
    }

    /// The objects whose volume is to have a name in the Engine.
    pub fn wanting_volume(&self, name: &str) -> Vec<ObjectKey> {
        self.wanting(|primitive| matches!(primitive, Primitive::Volume(volume) if volume.engine_name == name))
    }

    /// Looks at every object, so it is for what happens rarely.
    fn wanting(&self, is_it: impl Fn(&Primitive) -> bool) -> Vec<ObjectKey> {
        let wanting = self.desired.iter().filter(|(_, object)| is_it(&object.lowered.primitive));
        wanting.map(|(key, _)| key.clone()).collect()
    }

    /// The objects that refer to this one, or depend on it.
    pub fn dependents_of(&self, key: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        self.dependents.get(key).into_iter().flatten()
    }

    /// Objects that have containers or networks and are not wanted. One that has only volumes is no orphan: they were kept for it.
    pub fn orphans(&self) -> Vec<ObjectKey> {
        let is_orphan = |(key, owned): &(&ObjectKey, &OwnedIds)| {
            let has_more_than_volumes = !owned.containers.is_empty() || !owned.networks.is_empty();
            has_more_than_volumes && !self.desired.contains_key(*key)
        };
        self.owned.iter().filter(is_orphan).map(|(key, _)| key.clone()).collect()
    }

    /// Whether anything that an object has in the Engine was made to be never pruned.
    pub fn is_protected(&self, key: &ObjectKey) -> bool {
        self.containers_of(key).any(|container| container.is_protected)
            || self.networks_of(key).any(|network| network.is_protected)
    }

    /// How many objects have something in the Engine.
    pub fn owner_count(&self) -> usize {
        self.owned.len()
    }

    /// Every key that may have something to do: wanted, being removed, or owning something.
    pub fn all_keys(&self) -> BTreeSet<ObjectKey> {
        self.desired.keys().chain(self.removals.keys()).chain(self.owned.keys()).cloned().collect()
    }
}

/// The template of an object, as canonical JSON.
fn template_of(object: &AnyObject, primitive: &Primitive) -> String {
    match primitive {
        Primitive::Network(network) => canonical_json(network),
        Primitive::Volume(volume) => canonical_json(volume),
        Primitive::Containers(set) => canonical_json(&set.template),
        // Nothing carries its label; it tells one spec from the next.
        Primitive::Nothing => canonical_json(&object.to_json()),
    }
}

/// What tells one spec of an object from another.
pub fn spec_hash(object: &AnyObject) -> Arc<str> {
    let manifest = object.to_json();
    Arc::from(hash_template(&canonical_json(manifest.get("spec").unwrap_or(&serde_json::Value::Null))))
}

impl DesiredObject {
    /// The objects that this one refers to or depends on.
    fn needs(&self) -> Vec<&ObjectKey> {
        let mut keys = self.lowered.references();
        keys.extend(self.lowered.depends_on.iter().map(|dependency| &dependency.key));
        keys
    }

    /// The image that its containers are made from.
    pub fn image(&self) -> Option<&str> {
        match &self.lowered.primitive {
            Primitive::Containers(set) => Some(&set.template.image),
            Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => None,
        }
    }

    /// The ports of the host that its containers publish.
    pub fn published_ports(&self) -> Vec<u16> {
        match &self.lowered.primitive {
            Primitive::Containers(set) => {
                set.template.ports.iter().filter_map(|port| port.publish).map(|host| host.port).collect()
            }
            Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => Vec::new(),
        }
    }

    /// Who says whether its containers serve.
    pub(crate) fn readiness(&self) -> Readiness {
        match &self.lowered.primitive {
            Primitive::Containers(set) => set.readiness,
            Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => Readiness::Engine,
        }
    }

    /// For how long at most users of its containers are waited for; nothing where it is to have none, and what it had before counts.
    pub(crate) fn release_ms(&self) -> Option<i64> {
        match &self.lowered.primitive {
            Primitive::Containers(set) => Some(set.release_ms),
            Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => None,
        }
    }

    /// Whether these are the limits that it had before it was last changed, so that the change is the user's and not drift.
    pub(crate) fn had_limits(&self, limits: &Limits) -> bool {
        self.previous_limits.as_ref().is_some_and(|previous| changed_limits(limits, previous).fields.is_empty())
    }

    /// The limits that its containers are to have.
    pub fn limits(&self) -> Option<Limits> {
        match &self.lowered.primitive {
            Primitive::Containers(set) => Some(crate::materialise::limits_of(set)),
            Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => None,
        }
    }
}
