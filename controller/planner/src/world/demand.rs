//! How many containers an object whose users say so is to have, and which of them are used up.

use std::collections::BTreeSet;

use crds_schema::ObjectKey;
use crds_schema::primitive::ContainerSet;

use super::World;
use crate::inventory::ObservedContainer;

/// Which containers an object is to have now, as whoever uses them says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// The ordinals.
    pub ordinals: BTreeSet<u32>,
    /// Ids of containers that nobody may use any more: they are removed, whatever their ordinal.
    pub used_up: BTreeSet<String>,
}

/// What is told by those who use containers.
impl World {
    /// Says which containers an object is to have. Counts only where its spec leaves that to its users. Returns whether that is news.
    pub fn set_demand(&mut self, key: &ObjectKey, demand: Demand) -> bool {
        if self.demands.get(key) == Some(&demand) {
            return false;
        }
        self.demands.insert(key.clone(), demand);
        true
    }

    /// The ordinals of the containers that an object is to have, ascending. Where its users have not said yet which they need, they keep
    /// what is there, and where there is less than the least, that.
    pub(crate) fn wanted_ordinals(&self, key: &ObjectKey, set: &ContainerSet) -> Vec<u32> {
        if !set.is_elastic {
            return (0..set.replicas).collect();
        }
        if let Some(demand) = self.demands.get(key) {
            return demand.ordinals.iter().copied().collect();
        }
        let mut ordinals: BTreeSet<u32> = self.containers_of(key).map(|container| container.ordinal).collect();
        let least = usize::try_from(set.replicas).unwrap_or(usize::MAX);
        for ordinal in 0..set.replicas {
            if ordinals.len() >= least {
                break;
            }
            ordinals.insert(ordinal);
        }
        ordinals.into_iter().collect()
    }

    /// Whether nobody may use a container any more.
    pub fn is_used_up(&self, container: &ObservedContainer) -> bool {
        self.demands.get(&container.owner).is_some_and(|demand| demand.used_up.contains(&*container.id))
    }
}
