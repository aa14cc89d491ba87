//! What is listed beside the containers: networks, who is in them, volumes and images.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crds_schema::ObjectKey;

use super::{Reflector, SECOND_LOOK_TIME};
use crate::engine::EngineError;

impl Reflector {
    pub(super) fn network_gone(&self, id: &str) {
        let woken: Vec<ObjectKey> = {
            let mut world = self.core.world();
            let name = world.network(id).map(|network| Arc::clone(&network.name));
            match (world.network_gone(id), name) {
                (Some(owner), _) => vec![owner],
                // A stranger's: somebody may have waited for its name.
                (None, Some(name)) => world.wanting_network(&name),
                (None, None) => Vec::new(),
            }
        };
        for key in &woken {
            self.core.wake_with_dependents(key);
        }
    }

    pub(super) async fn list_networks(&self) -> Result<(), EngineError> {
        let before: Vec<String> = self.core.world().networks().map(|network| network.id.to_string()).collect();
        let mut listed = self.core.engine.list_networks().await?;
        if self.takes_networks_away(&listed) {
            // The list may be older than the network, which would then be made twice: names are not unique.
            tokio::time::sleep(SECOND_LOOK_TIME).await;
            listed = self.core.engine.list_networks().await?;
        }
        for id in before.iter().filter(|id| !listed.iter().any(|network| network.id == **id)) {
            self.network_gone(id);
        }
        let mut news: Vec<ObjectKey> = Vec::new();
        {
            let mut world = self.core.world();
            for network in &listed {
                let before = world.network(&network.id).cloned();
                let owner = world.observe_network(network);
                let is_news = before.as_ref() != world.network(&network.id);
                news.extend(owner.filter(|_| is_news));
            }
        }
        for owner in &news {
            self.core.wake_with_dependents(owner);
        }
        self.look_at_foreign_members().await;
        Ok(())
    }

    /// Asks again who is in the networks that strangers keep from going.
    async fn look_at_foreign_members(&self) {
        let kept = self.core.world().networks_kept_by_strangers();
        for network_id in &kept {
            if let Err(error) = self.note_foreign_members(network_id).await {
                tracing::debug!(error = %error, "who is in a network cannot be asked; the next list repeats it");
            }
        }
    }

    /// Asks who is in a network and is not ours; where that is news, the network's owner looks again whether it can go. Returns
    /// whether anybody is.
    ///
    /// # Errors
    /// When the Engine cannot be asked.
    pub async fn note_foreign_members(&self, network_id: &str) -> Result<bool, EngineError> {
        let members = self.core.engine.network_members(network_id).await?;
        let mut world = self.core.world();
        let is_stranger = |(id, _): &(String, String)| world.container(id).is_none();
        let names: Vec<String> = members.into_iter().filter(is_stranger).map(|(_, name)| name).collect();
        let is_news = world.foreign_members(network_id) != names;
        let (has_any, owner) = (!names.is_empty(), world.network(network_id).and_then(|network| network.owner.clone()));
        world.set_foreign_members(network_id, names);
        drop(world);
        if let Some(owner) = owner.filter(|_| is_news) {
            self.core.wake_with_dependents(&owner);
        }
        Ok(has_any)
    }

    /// Whether a list lacks a network of ours.
    fn takes_networks_away(&self, listed: &[planner::observed::NetworkDetail]) -> bool {
        let world = self.core.world();
        let mut ours = world.networks().filter(|network| network.owner.is_some());
        ours.any(|network| !listed.iter().any(|other| *other.id == *network.id))
    }

    /// Whether a list says that a volume of ours is not ours.
    fn takes_volumes_away(&self, listed: &[planner::observed::VolumeDetail]) -> bool {
        let world = self.core.world();
        listed.iter().any(|volume| {
            let is_ours = world.volume(&volume.name).is_some_and(|known| known.owner.is_some());
            is_ours && !matches!(world.identity().read(&volume.labels), planner::Ownership::Ours(_))
        })
    }

    pub(super) async fn list_volumes(&self) -> Result<(), EngineError> {
        let before: Vec<String> = self.core.world().volumes().map(|volume| volume.name.to_string()).collect();
        let mut listed = self.core.engine.list_volumes().await?;
        if self.takes_volumes_away(&listed) {
            // A list taken while a volume was being created shows it without its labels: it is asked for once more.
            tokio::time::sleep(SECOND_LOOK_TIME).await;
            listed = self.core.engine.list_volumes().await?;
        }
        let mut woken: Vec<ObjectKey> = Vec::new();
        {
            let mut world = self.core.world();
            for name in before.iter().filter(|name| !listed.iter().any(|volume| volume.name == **name)) {
                match world.volume_gone(name) {
                    Some(owner) => woken.push(owner),
                    // A stranger's: somebody may have waited for its name.
                    None => woken.extend(world.wanting_volume(name)),
                }
            }
            for volume in &listed {
                let is_news = world.volume(&volume.name).is_none();
                let owner = world.observe_volume(volume);
                woken.extend(owner.filter(|_| is_news));
            }
            self.has_volumes.store(world.volumes().any(|volume| volume.owner.is_some()), Ordering::Relaxed);
        }
        for owner in &woken {
            self.core.wake_with_dependents(owner);
        }
        Ok(())
    }

    /// Asks for the images that are needed and not known yet, and wakes who needs them.
    pub async fn inspect_images(&self) {
        let unknown: Vec<String> = {
            let world = self.core.world();
            world
                .needed_images()
                .into_iter()
                .filter(|reference| world.image(reference).is_none())
                .map(str::to_owned)
                .collect()
        };
        for reference in unknown {
            match self.core.engine.inspect_image(&reference).await {
                Ok(image) => {
                    let users = {
                        let mut world = self.core.world();
                        world.observe_image(&reference, image);
                        world.users_of_image(&reference)
                    };
                    for user in &users {
                        self.core.wake(user);
                    }
                }
                Err(error) => tracing::debug!(error = %error, "an image cannot be inspected; the pull will tell"),
            }
        }
    }
}
