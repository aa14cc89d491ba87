//! The observed half of the world: put as the Engine reports, read by the planner.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds_schema::ObjectKey;

use super::{DesiredObject, ImageState, OwnedIds, Stranger, World};
use crate::inventory::{ObservedContainer, ObservedNetwork, ObservedVolume};
use crate::observed::{ContainerDetail, ImageDetail, NetworkDetail, TimestampMs, VolumeDetail};
use crate::ownership::Ownership;

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
        let mut container = ObservedContainer::from_detail(detail, &claim, (hash, template), before, now_ms);
        if let Some(desired) = self.desired.get(&claim.owner) {
            container.set_readiness(desired.readiness());
            container.release_ms = desired.release_ms().unwrap_or(container.release_ms);
        }
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
        self.leaving.remove(id);
        self.tried.remove(id);
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
