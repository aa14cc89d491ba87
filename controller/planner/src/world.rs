//! The world: what is wanted and what is observed, indexed so that planning one object never looks at the others.
//!
//! It is changed by small methods as files and the Engine report, and read by [`crate::decide::plan`]. It holds no clock: every
//! method that needs the time is told it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds_schema::primitive::{Lowered, Primitive};
use crds_schema::{AnyObject, ObjectKey};

use crate::compare::changed_limits;
use crate::hash::{canonical_json, hash_template};
use crate::inventory::{ObservedContainer, ObservedNetwork, ObservedVolume};
use crate::observed::{ContainerDetail, ImageDetail, Limits, NetworkDetail, TimestampMs, VolumeDetail};
use crate::ownership::{Identity, Ownership};
use crate::users::Users;

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
        let template = match &lowered.primitive {
            Primitive::Network(network) => canonical_json(network),
            Primitive::Volume(volume) => canonical_json(volume),
            Primitive::Containers(set) => canonical_json(&set.template),
        };
        let mut desired = DesiredObject {
            hash: Arc::from(hash_template(&template)),
            template: Arc::from(template),
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
        self.forget_desired(&key);
        for target in desired.needs() {
            self.dependents.entry(target.clone()).or_default().insert(key.clone());
        }
        self.removals.remove(&key);
        self.desired.insert(key, desired);
    }

    /// No longer wants an object; what becomes of what it has is said by `removal`.
    pub fn set_removal(&mut self, key: &ObjectKey, removal: Removal) {
        self.forget_desired(key);
        self.ready.remove(key);
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

/// What is remembered between passes.
impl World {
    /// Does nothing for an object for a while; `None` ends that.
    pub fn set_hold(&mut self, key: &ObjectKey, hold: Option<Hold>) {
        match hold {
            Some(hold) => self.holds.insert(key.clone(), hold),
            None => self.holds.remove(key),
        };
    }

    /// Why nothing is done for an object.
    pub fn hold(&self, key: &ObjectKey) -> Option<Hold> {
        self.holds.get(key).copied()
    }

    /// Says whether an object's condition `Ready` is true. Returns whether that is news.
    pub fn set_ready(&mut self, key: &ObjectKey, is_ready: bool) -> bool {
        if is_ready { self.ready.insert(key.clone()) } else { self.ready.remove(key) }
    }

    /// Whether an object's condition `Ready` was true when it was last rolled up.
    pub fn is_ready(&self, key: &ObjectKey) -> bool {
        self.ready.contains(key)
    }

    /// Ids that the store remembers as ours, so that a container that was renamed while nobody watched is recognised.
    pub fn remember_ids(&mut self, ids: impl IntoIterator<Item = String>) {
        self.known_ids.extend(ids.into_iter().map(Arc::from));
    }

    /// Announces that we are about to remove something, by its id (a volume by its name).
    pub fn expect_gone(&mut self, id: &str) {
        self.expected_gone.insert(Arc::from(id));
    }

    /// Takes such an announcement back: the removal failed.
    pub fn no_longer_expect_gone(&mut self, id: &str) {
        self.expected_gone.remove(id);
    }

    /// Notes that something of an object vanished without our doing.
    pub fn note_lost(&mut self, key: &ObjectKey, subject: String) {
        self.lost.entry(key.clone()).or_default().insert(subject);
    }

    /// What of an object vanished without our doing, since it was last taken.
    pub fn lost(&self, key: &ObjectKey) -> impl Iterator<Item = &String> {
        self.lost.get(key).into_iter().flatten()
    }

    /// Forgets what vanished, once it is reported.
    pub fn clear_lost(&mut self, key: &ObjectKey) {
        self.lost.remove(key);
    }
}

/// What is observed.
impl World {
    /// Puts what an inspect told of a container. Returns the owner, whose key is to be planned.
    pub fn observe_container(&mut self, detail: &ContainerDetail, now_ms: TimestampMs) -> Option<ObjectKey> {
        let ownership = self.identity.read(&detail.config.labels);
        let Ownership::Ours(claim) = ownership else {
            self.note_stranger(&detail.id, &detail.name, ownership == Ownership::Unproven);
            return None;
        };
        let is_known = self.containers.contains_key(detail.id.as_str()) || self.known_ids.contains(detail.id.as_str());
        if !is_known && !claim.may_be_named(&detail.name) {
            self.note_stranger(&detail.id, &detail.name, true);
            return None;
        }
        self.strangers.remove(detail.id.as_str());
        let hash: Arc<str> = Arc::from(claim.hash.as_str());
        let label = detail.config.labels.get(crate::ownership::LABEL_TEMPLATE).map_or("", String::as_str);
        let template = Arc::clone(self.templates.entry(Arc::clone(&hash)).or_insert_with(|| Arc::from(label)));
        let id: Arc<str> = Arc::from(detail.id.as_str());
        let before = self.containers.get(&id);
        let container = ObservedContainer::from_detail(detail, &claim, (hash, template), before, now_ms);
        self.owned.entry(claim.owner.clone()).or_default().containers.insert(Arc::clone(&id));
        self.users.update(before, Some(&container));
        self.containers.insert(id, container);
        Some(claim.owner)
    }

    fn note_stranger(&mut self, id: &str, name: &str, is_impostor: bool) {
        self.strangers.insert(Arc::from(id), Stranger { name: name.to_owned(), is_impostor });
    }

    /// A container is gone. Where that was not announced as our doing, it is noted as lost. Returns the owner.
    pub fn container_gone(&mut self, id: &str) -> Option<ObjectKey> {
        let by_us = self.expected_gone.remove(id);
        self.strangers.remove(id);
        let container = self.containers.remove(id)?;
        self.known_ids.remove(id);
        self.users.update(Some(&container), None);
        self.forget_template(&container);
        self.disown(&container.owner, |owned| owned.containers.remove(id));
        if !by_us {
            self.note_lost(&container.owner, format!("container/{}", container.name));
        }
        Some(container.owner)
    }

    /// Forgets a template that no container has any more.
    fn forget_template(&mut self, container: &ObservedContainer) {
        // One in the map, one in the container.
        if Arc::strong_count(&container.template) <= 2 {
            self.templates.remove(&container.hash);
        }
    }

    /// Puts what the list told of a network. Returns the owner.
    pub fn observe_network(&mut self, detail: &NetworkDetail) -> Option<ObjectKey> {
        let id: Arc<str> = Arc::from(detail.id.as_str());
        let network = ObservedNetwork::from_detail(detail, &self.identity);
        self.network_names.entry(Arc::clone(&network.name)).or_default().insert(Arc::clone(&id));
        let owner = network.owner.clone();
        if let Some(owner) = &owner {
            self.owned.entry(owner.clone()).or_default().networks.insert(Arc::clone(&id));
        }
        self.networks.insert(id, network);
        owner
    }

    /// A network is gone. Returns the owner.
    pub fn network_gone(&mut self, id: &str) -> Option<ObjectKey> {
        let by_us = self.expected_gone.remove(id);
        self.foreign_members.remove(id);
        let network = self.networks.remove(id)?;
        if let Some(ids) = self.network_names.get_mut(&network.name) {
            ids.remove(id);
            if ids.is_empty() {
                self.network_names.remove(&network.name);
            }
        }
        let owner = network.owner?;
        self.disown(&owner, |owned| owned.networks.remove(id));
        if !by_us {
            self.note_lost(&owner, format!("network/{}", network.name));
        }
        Some(owner)
    }

    /// Puts what the list told of a volume. Returns the owner.
    pub fn observe_volume(&mut self, detail: &VolumeDetail) -> Option<ObjectKey> {
        let name: Arc<str> = Arc::from(detail.name.as_str());
        let volume = ObservedVolume::from_detail(detail, &self.identity);
        let owner = volume.owner.clone();
        // Somebody may have removed ours and made another of its name while nobody watched.
        let before = self.volumes.get(&name).and_then(|before| before.owner.clone());
        if let Some(before) = before.filter(|before| Some(before) != owner.as_ref()) {
            self.disown(&before, |owned| owned.volumes.remove(&name));
            self.note_lost(&before, format!("volume/{name}"));
        }
        if let Some(owner) = &owner {
            self.owned.entry(owner.clone()).or_default().volumes.insert(Arc::clone(&name));
        }
        self.volumes.insert(name, volume);
        owner
    }

    /// A volume is gone. Returns the owner.
    pub fn volume_gone(&mut self, name: &str) -> Option<ObjectKey> {
        let by_us = self.expected_gone.remove(name);
        let owner = self.volumes.remove(name)?.owner?;
        self.disown(&owner, |owned| owned.volumes.remove(name));
        if !by_us {
            self.note_lost(&owner, format!("volume/{name}"));
        }
        Some(owner)
    }

    fn disown(&mut self, owner: &ObjectKey, remove: impl FnOnce(&mut OwnedIds) -> bool) {
        if let Some(owned) = self.owned.get_mut(owner) {
            remove(owned);
            if owned.is_empty() {
                self.owned.remove(owner);
            }
        }
    }

    /// Puts whether the Engine has an image.
    pub fn observe_image(&mut self, reference: &str, image: Option<ImageDetail>) {
        let state = image.map_or(ImageState::Absent, |image| ImageState::Present(Arc::new(image)));
        self.images.insert(reference.to_owned(), state);
    }

    /// Forgets what is known of images, so that it is asked again.
    pub fn forget_images(&mut self) {
        self.images.clear();
    }

    /// Whether the Engine has an image; `None` when it was not asked yet.
    pub fn image(&self, reference: &str) -> Option<&ImageState> {
        self.images.get(reference)
    }

    /// The image references that the wanted objects need, each once.
    pub fn needed_images(&self) -> BTreeSet<&str> {
        self.desired.values().filter_map(DesiredObject::image).collect()
    }

    /// The objects that need an image.
    pub fn users_of_image(&self, reference: &str) -> Vec<ObjectKey> {
        let is_user = |(_, object): &(&ObjectKey, &DesiredObject)| object.image() == Some(reference);
        self.desired.iter().filter(is_user).map(|(key, _)| key.clone()).collect()
    }

    /// One container of ours.
    pub fn container(&self, id: &str) -> Option<&ObservedContainer> {
        self.containers.get(id)
    }

    /// The container of ours that has a name. Looks at every container, so it is for what happens rarely.
    pub fn container_named(&self, name: &str) -> Option<&ObservedContainer> {
        self.containers.values().find(|container| *container.name == *name)
    }

    /// One container of ours, to be changed.
    pub fn container_mut(&mut self, id: &str) -> Option<&mut ObservedContainer> {
        self.containers.get_mut(id)
    }

    /// Every container of ours.
    pub fn containers(&self) -> impl Iterator<Item = &ObservedContainer> {
        self.containers.values()
    }

    /// The containers of one object, in the order of their ids.
    pub fn containers_of(&self, key: &ObjectKey) -> impl Iterator<Item = &ObservedContainer> {
        let ids = self.owned.get(key).map(|owned| &owned.containers).into_iter().flatten();
        ids.filter_map(|id| self.containers.get(id))
    }

    /// Our containers that have an endpoint in a network, in the order of their ids.
    pub fn members_of(&self, network_id: &str) -> impl Iterator<Item = &ObservedContainer> {
        self.users.of_network(network_id).filter_map(|id| self.containers.get(id))
    }

    /// Our containers that mount a volume, in whatever state, in the order of their ids.
    pub fn users_of_volume(&self, name: &str) -> impl Iterator<Item = &ObservedContainer> {
        self.users.of_volume(name).filter_map(|id| self.containers.get(id))
    }

    /// Puts the names of the containers that run in a network and are not ours. Ours do not leave a network that is to be replaced
    /// while somebody else keeps it from going.
    pub fn set_foreign_members(&mut self, network_id: &str, names: Vec<String>) {
        if names.is_empty() {
            self.foreign_members.remove(network_id);
        } else {
            self.foreign_members.insert(Arc::from(network_id), names);
        }
    }

    /// The ids of the networks in which containers run that are not ours, as far as they were told.
    pub fn networks_kept_by_strangers(&self) -> Vec<String> {
        self.foreign_members.keys().map(ToString::to_string).collect()
    }

    /// The names of the containers that run in a network and are not ours, as far as they were told.
    pub fn foreign_members(&self, network_id: &str) -> &[String] {
        self.foreign_members.get(network_id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The networks of one object: one, unless something went wrong.
    pub fn networks_of(&self, key: &ObjectKey) -> impl Iterator<Item = &ObservedNetwork> {
        let ids = self.owned.get(key).map(|owned| &owned.networks).into_iter().flatten();
        ids.filter_map(|id| self.networks.get(id))
    }

    /// The volumes of one object: one, unless its name was changed.
    pub fn volumes_of(&self, key: &ObjectKey) -> impl Iterator<Item = &ObservedVolume> {
        let names = self.owned.get(key).map(|owned| &owned.volumes).into_iter().flatten();
        names.filter_map(|name| self.volumes.get(name))
    }

    /// One network, whoever owns it.
    pub fn network(&self, id: &str) -> Option<&ObservedNetwork> {
        self.networks.get(id)
    }

    /// Every network, whoever owns it.
    pub fn networks(&self) -> impl Iterator<Item = &ObservedNetwork> {
        self.networks.values()
    }

    /// The networks of a name, whoever owns them.
    pub fn networks_named(&self, name: &str) -> impl Iterator<Item = &ObservedNetwork> {
        let ids = self.network_names.get(name).into_iter().flatten();
        ids.filter_map(|id| self.networks.get(id))
    }

    /// One volume, whoever owns it.
    pub fn volume(&self, name: &str) -> Option<&ObservedVolume> {
        self.volumes.get(name)
    }

    /// Every volume, whoever owns it.
    pub fn volumes(&self) -> impl Iterator<Item = &ObservedVolume> {
        self.volumes.values()
    }

    /// Whether a container bears our label but is not proved ours.
    pub fn is_impostor(&self, id: &str) -> bool {
        self.strangers.get(id).is_some_and(|stranger| stranger.is_impostor)
    }

    /// Containers that bear our label but are not proved ours.
    pub fn impostors(&self) -> impl Iterator<Item = (&Arc<str>, &Stranger)> {
        self.strangers.iter().filter(|(_, stranger)| stranger.is_impostor)
    }
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
            Primitive::Network(_) | Primitive::Volume(_) => None,
        }
    }

    /// The ports of the host that its containers publish.
    pub fn published_ports(&self) -> Vec<u16> {
        match &self.lowered.primitive {
            Primitive::Containers(set) => {
                set.template.ports.iter().filter_map(|port| port.publish).map(|host| host.port).collect()
            }
            Primitive::Network(_) | Primitive::Volume(_) => Vec::new(),
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
            Primitive::Network(_) | Primitive::Volume(_) => None,
        }
    }
}
