//! Volumes of the simulated Engine.

use std::collections::BTreeMap;

use planner::observed::VolumeDetail;
use planner::plan::VolumeCreate;

use super::refusal::{Answer, Refusal};
use super::state::State;

/// One volume. Its name is its key.
#[derive(Debug)]
pub(super) struct Volume {
    driver: String,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    created_ms: u64,
}

impl Volume {
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

impl State {
    pub(super) fn list_volumes(&self) -> Vec<VolumeDetail> {
        self.volumes.iter().map(|(name, volume)| self.volume_detail(name, volume)).collect()
    }

    fn volume_detail(&self, name: &str, volume: &Volume) -> VolumeDetail {
        VolumeDetail {
            name: name.to_owned(),
            driver: volume.driver.clone(),
            options: volume.options.clone(),
            labels: volume.labels.clone(),
            // The Engine tells whole seconds.
            created_ms: self.timestamp(volume.created_ms) / 1000 * 1000,
        }
    }

    /// Creates a volume, or gives the one that has the name, whatever its options; either way there is an event.
    pub(super) fn create_volume(&mut self, create: &VolumeCreate) -> Answer<VolumeDetail> {
        let existing = self.volumes.get(create.name.as_str()).map(|volume| volume.driver.as_str());
        let driver = if create.driver.is_empty() { existing.unwrap_or("local") } else { &create.driver };
        if driver != "local" {
            let text = format!(
                "create {}: error looking up volume plugin {driver}: plugin \"{driver}\" not found",
                create.name
            );
            return Err(Refusal::new(404, text));
        }
        if existing.is_none() {
            if !is_volume_name(&create.name) {
                let text = format!(
                    "create {0}: \"{0}\" includes invalid characters for a local volume name, only \
                     \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path",
                    create.name
                );
                return Err(Refusal::new(400, text));
            }
            let volume = Volume {
                driver: driver.to_owned(),
                options: create.options.clone(),
                labels: create.labels.clone(),
                created_ms: self.now_ms,
            };
            self.volumes.insert(create.name.as_str().into(), volume);
        }
        self.events.volume(&create.name, "create");
        let volume = self.volumes.get(create.name.as_str()).map(|volume| self.volume_detail(&create.name, volume));
        volume.ok_or_else(|| Refusal::new(500, "the volume is gone"))
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Answer<()> {
        if !self.volumes.contains_key(name) {
            return Err(Refusal::new(404, format!("get {name}: no such volume")));
        }
        let users: Vec<&str> = self
            .containers
            .values()
            .filter(|container| container.volume_names().any(|used| used == name))
            .map(|container| &*container.id)
            .collect();
        if !users.is_empty() {
            let users = users.join(", ");
            return Err(Refusal::new(409, format!("remove {name}: volume is in use - [{users}]")));
        }
        self.volumes.remove(name);
        self.events.volume(name, "destroy");
        Ok(())
    }
}

fn is_volume_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && name.len() >= 2
        && chars.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
