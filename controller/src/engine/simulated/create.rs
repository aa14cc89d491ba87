//! Creating a container: what is checked then, and what the image gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use planner::observed::{ContainerConfig, ContainerState, Health, Limits, MountKind};
use planner::plan::{ContainerCreate, VolumeCreate};

use super::container::{Attachment, Container, SharedPairs};
use super::image::ImageConfig;
use super::refusal::{Answer, Refusal};
use super::state::State;
use crate::engine::CreatedContainer;

/// How many configs of the last creates are looked at for one to share.
const RECENT_CONFIGS: usize = 32;
/// What the Engine refuses to go below.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;

impl State {
    pub(super) fn create_container(&mut self, create: ContainerCreate) -> Answer<CreatedContainer> {
        check_limits(&create.limits)?;
        self.check_paths(&create.config)?;
        let Some(image) = self.find_image(&create.config.image).cloned() else {
            let reference = &create.config.image;
            let tagged = if reference.contains(':') { reference.clone() } else { format!("{reference}:latest") };
            return Err(Refusal::new(404, format!("No such image: {tagged}")));
        };
        let ContainerCreate { name, config, limits, primary_endpoint, volume_labels } = create;
        let (config, labels) = merge_image(config, &image.config);
        if config.entrypoint.as_ref().is_none_or(Vec::is_empty) && config.cmd.as_ref().is_none_or(Vec::is_empty) {
            return Err(Refusal::new(400, "No command specified"));
        }
        let id: Arc<str> = self.next_id().into();
        self.reserve_name(&name, &name, &id)?;
        let attachment = match (primary_endpoint, config.network_mode.as_str()) {
            (Some(endpoint), _) => {
                let found = self.find_network(&endpoint.network_id).map(|network| Arc::clone(&network.name));
                let name = found.unwrap_or_else(|_| endpoint.network_id.as_str().into());
                let aliases = self.interner.intern_all(&endpoint.aliases);
                Attachment { aliases, fixed_ipv4: endpoint.ipv4, ..Attachment::to(&name) }
            }
            (None, "" | "default") => Attachment::to(&self.interner.intern("bridge")),
            (None, mode) => {
                let found = self.find_network(mode).map(|network| Arc::clone(&network.name));
                Attachment::to(&found.unwrap_or_else(|_| mode.into()))
            }
        };
        let anonymous_volumes = self.add_volumes(&config, &image.config, &volume_labels)?;
        let container = Container {
            name: name.as_str().into(),
            image_id: Arc::clone(&image.id),
            config: self.share_config(config),
            labels: labels
                .iter()
                .map(|(key, value)| (self.interner.intern(key), self.interner.intern(value)))
                .collect(),
            anonymous_volumes,
            limits: fill_limits(limits),
            attachments: vec![attachment],
            program: Arc::clone(&image.program),
            check: image.check.clone(),
            created_ms: self.now_ms,
            state: ContainerState::Created,
            run: 0,
            started_ms: None,
            finished_ms: None,
            exit_code: 0,
            is_oom_killed: false,
            error: None,
            health: Health::None,
            failing_streak: 0,
            restart_count: 0,
            restart_delay_ms: 0,
            is_disarmed: false,
            pending_stops: 0,
            frozen_exit: None,
            id: Arc::clone(&id),
        };
        self.containers.insert(Arc::clone(&id), container);
        self.events.container(&id, &name, "create", None);
        Ok(CreatedContainer { id: id.to_string(), warnings: Vec::new() })
    }

    /// Gives a name to a container, or says who has it. An invalid one is shown as `shown`.
    pub(super) fn reserve_name(&mut self, name: &str, shown: &str, id: &Arc<str>) -> Answer<()> {
        if !is_container_name(name) {
            let text = format!("Invalid container name ({shown}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
            return Err(Refusal::new(400, text));
        }
        if let Some(holder) = self.names.get(name) {
            let text = format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove \
                 (or rename) that container to be able to reuse that name."
            );
            return Err(Refusal::new(409, text));
        }
        self.names.insert(name.into(), Arc::clone(id));
        Ok(())
    }

    fn check_paths(&self, config: &ContainerConfig) -> Answer<()> {
        for mount in &config.mounts {
            if let MountKind::Bind(path) = &mount.kind
                && self.missing_paths.contains(path)
            {
                let text = format!("invalid mount config for type \"bind\": bind source path does not exist: {path}");
                return Err(Refusal::new(400, text));
            }
        }
        Ok(())
    }

    /// Makes the volumes that are named and not there, and the anonymous ones that the image declares.
    fn add_volumes(
        &mut self,
        config: &ContainerConfig,
        image: &ImageConfig,
        labels: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Answer<SharedPairs> {
        for mount in &config.mounts {
            // One that exists is created again, which changes nothing and makes an event.
            if let MountKind::Volume(name) = &mount.kind {
                let labels = labels.get(name).cloned().unwrap_or_default();
                self.create_volume(&VolumeCreate { name: name.clone(), labels, ..VolumeCreate::default() })?;
            }
        }
        let mut anonymous = Vec::new();
        for path in &image.volumes {
            if config.mounts.iter().all(|mount| mount.destination != *path) {
                let name = self.next_id();
                self.create_volume(&VolumeCreate { name: name.clone(), ..VolumeCreate::default() })?;
                anonymous.push((self.interner.intern(path), name.into()));
            }
        }
        Ok(anonymous.into())
    }

    fn share_config(&mut self, config: ContainerConfig) -> Arc<ContainerConfig> {
        if let Some(shared) = self.recent_configs.iter().find(|recent| ***recent == config) {
            return Arc::clone(shared);
        }
        let shared = Arc::new(config);
        if self.recent_configs.len() == RECENT_CONFIGS {
            self.recent_configs.pop_front();
        }
        self.recent_configs.push_back(Arc::clone(&shared));
        shared
    }
}

/// The size of `/dev/shm` when nothing is asked.
const DEFAULT_SHM_BYTES: u64 = 64 * 1024 * 1024;

/// What limits the Engine refuses, at create and at update.
pub(super) fn check_limits(limits: &Limits) -> Answer<()> {
    if limits.memory > 0 && limits.memory < LEAST_MEMORY {
        return Err(Refusal::new(400, "Minimum memory limit allowed is 6MB"));
    }
    if limits.memory > 0 && limits.memory_swap > 0 && limits.memory_swap < limits.memory {
        let text = "Minimum memoryswap limit should be larger than memory limit, see usage";
        return Err(Refusal::new(400, text));
    }
    if limits.memory == 0 && limits.memory_swap > 0 {
        let text = "You should always set the Memory limit when using Memoryswap limit, see usage";
        return Err(Refusal::new(400, text));
    }
    match limits.restart.as_str() {
        "" | "no" | "always" | "unless-stopped" | "on-failure" => Ok(()),
        other => Err(Refusal::new(400, format!("invalid restart policy '{other}'"))),
    }
}

fn fill_limits(mut limits: Limits) -> Limits {
    if limits.memory > 0 && limits.memory_swap == 0 {
        limits.memory_swap = 2 * limits.memory;
    }
    if limits.restart.is_empty() {
        "no".clone_into(&mut limits.restart);
    }
    limits
}

/// What inspect will say: the config with the image's share, and the labels of both.
fn merge_image(mut config: ContainerConfig, image: &ImageConfig) -> (ContainerConfig, BTreeMap<String, String>) {
    if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) && !image.cmd.is_empty() {
            config.cmd = Some(image.cmd.clone());
        }
        if config.entrypoint.is_none() && !image.entrypoint.is_empty() {
            config.entrypoint = Some(image.entrypoint.clone());
        }
    }
    for (ours, theirs) in [
        (&mut config.working_dir, &image.working_dir),
        (&mut config.user, &image.user),
        (&mut config.stop_signal, &image.stop_signal),
    ] {
        if ours.is_empty() {
            ours.clone_from(theirs);
        }
    }
    for (ours, default) in [
        (&mut config.network_mode, "default"),
        (&mut config.ipc_mode, "private"),
        (&mut config.log_driver, "json-file"),
    ] {
        if ours.is_empty() {
            default.clone_into(ours);
        }
    }
    if config.shm_bytes == 0 {
        config.shm_bytes = DEFAULT_SHM_BYTES;
    }
    let key = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let set: Vec<String> = config.env.iter().map(|variable| key(variable)).collect();
    config.env.extend(image.env.iter().filter(|variable| !set.contains(&key(variable))).cloned());
    config.exposed_ports.extend(image.exposed_ports.iter().cloned());
    // Our calls expose what they publish.
    config.exposed_ports.extend(config.port_bindings.keys().cloned());
    config.exposed_ports.sort();
    config.exposed_ports.dedup();
    config.mounts.sort();
    let mut labels = image.labels.clone();
    labels.append(&mut config.labels);
    (config, labels)
}

fn is_container_name(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() >= 2
        && chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
