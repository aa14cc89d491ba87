//! Users: which of our containers use a network or a volume, kept up to date so that nobody has to look at them all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::inventory::ObservedContainer;

/// Ids of containers by what they use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Users {
    networks: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
    volumes: BTreeMap<Box<str>, BTreeSet<Arc<str>>>,
}

impl Users {
    /// Notes that a container was one thing and is another; `None` where it is not there.
    pub(crate) fn update(&mut self, before: Option<&ObservedContainer>, after: Option<&ObservedContainer>) {
        if let Some((before, after)) = before.zip(after)
            && before.endpoints == after.endpoints
            && before.volumes == after.volumes
        {
            return;
        }
        if let Some(container) = before {
            for network_id in network_ids(container) {
                remove(&mut self.networks, network_id, &container.id);
            }
            for volume in &container.volumes {
                remove(&mut self.volumes, volume, &container.id);
            }
        }
        if let Some(container) = after {
            for network_id in network_ids(container) {
                self.networks.entry(network_id.into()).or_default().insert(Arc::clone(&container.id));
            }
            for volume in &container.volumes {
                self.volumes.entry(volume.clone()).or_default().insert(Arc::clone(&container.id));
            }
        }
    }

    /// The ids of the containers with an endpoint in a network.
    pub(crate) fn of_network(&self, network_id: &str) -> impl Iterator<Item = &Arc<str>> {
        self.networks.get(network_id).into_iter().flatten()
    }

    /// The ids of the containers that mount a volume.
    pub(crate) fn of_volume(&self, name: &str) -> impl Iterator<Item = &Arc<str>> {
        self.volumes.get(name).into_iter().flatten()
    }
}

fn network_ids(container: &ObservedContainer) -> impl Iterator<Item = &str> {
    let ids = container.endpoints.iter().map(|(_, endpoint)| endpoint.network_id.as_str());
    ids.filter(|network_id| !network_id.is_empty())
}

fn remove(users: &mut BTreeMap<Box<str>, BTreeSet<Arc<str>>>, used: &str, id: &Arc<str>) {
    if let Some(ids) = users.get_mut(used) {
        ids.remove(id);
        if ids.is_empty() {
            users.remove(used);
        }
    }
}
