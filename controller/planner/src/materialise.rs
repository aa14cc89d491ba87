//! From a template to the bodies of the create calls.

use std::collections::BTreeMap;

use crds_schema::ObjectKey;
use crds_schema::primitive::{
    ContainerSet, ContainerSpec, LiveSpec, MountSource, NetworkAttachment, NetworkMode, NetworkSpec, Primitive,
    RestartPolicy, RunState, VolumeSpec,
};

use crate::observed::{ContainerConfig, Limits, MountConfig, MountKind};
use crate::ownership::{Claim, Identity};
use crate::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};
use crate::world::{DesiredObject, World};

/// The limits and the restart policy that the containers of a set are to have.
pub(crate) fn limits_of(set: &ContainerSet) -> Limits {
    Limits { restart: engine_restart(set).to_owned(), ..limits_of_live(&set.live) }
}

fn limits_of_live(live: &LiveSpec) -> Limits {
    let memory = live.memory_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    Limits {
        nano_cpus: live.cpu_millis.map_or(0, |millis| i64::from(millis) * 1_000_000),
        memory,
        memory_swap: live.memory_swap_bytes.unwrap_or_else(|| memory.saturating_mul(2)),
        pids: live.pids.unwrap_or(0),
        restart: String::new(),
    }
}

/// What the Engine is to do by itself when the process ends. Nothing, where the controller wants it stopped.
fn engine_restart(set: &ContainerSet) -> &'static str {
    match (set.run, set.live.restart) {
        (RunState::Stopped, _) | (RunState::Running, RestartPolicy::Never) => "no",
        (RunState::Running, RestartPolicy::Always) => "unless-stopped",
        (RunState::Running, RestartPolicy::OnFailure) => "on-failure",
    }
}

/// Where a container is to be connected: the network's id, or why there is none.
pub(crate) fn endpoint_of(world: &World, attachment: &NetworkAttachment, with_aliases: bool) -> Option<EndpointCreate> {
    let network = crate::networks::selected(world, &attachment.network)?;
    Some(EndpointCreate {
        network_id: network.id.to_string(),
        network_name: network.name.to_string(),
        aliases: if with_aliases { attachment.aliases.clone() } else { Vec::new() },
        ipv4: attachment.ipv4,
    })
}

/// The body of a container's create call. The references must have been found.
pub(crate) fn container_create(
    world: &World,
    key: &ObjectKey,
    desired: &DesiredObject,
    set: &ContainerSet,
    (ordinal, name, with_aliases): (u32, &str, bool),
) -> ContainerCreate {
    let template = &set.template;
    let engine_name = set.template.exact_name.clone().unwrap_or_else(|| name.to_owned());
    let claim = Claim {
        owner: key.clone(),
        engine_name,
        ordinal,
        hash: desired.hash.to_string(),
        protected: desired.protected,
    };
    let primary = template.networks.attachments().first();
    let primary_endpoint = primary.and_then(|attachment| endpoint_of(world, attachment, with_aliases));
    let network_mode = match &template.networks {
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Joined(_) => {
            primary_endpoint.as_ref().map(|endpoint| endpoint.network_id.clone()).unwrap_or_default()
        }
    };
    let labels = world.identity().labels_for(&claim, &desired.template, &template.labels);
    ContainerCreate {
        name: name.to_owned(),
        config: ContainerConfig { labels, network_mode, ..config_of(world, template, set.stop_grace_secs) },
        limits: limits_of(set),
        primary_endpoint,
        volume_labels: volume_labels_of(world, template),
    }
}

fn volume_labels_of(world: &World, template: &ContainerSpec) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for mount in &template.mounts {
        let MountSource::Volume(key) = &mount.source else { continue };
        let Some(desired) = world.desired(key) else { continue };
        let Primitive::Volume(volume) = &desired.lowered.primitive else { continue };
        let create = volume_create(world.identity(), key, desired, volume);
        labels.insert(create.name, create.labels);
    }
    labels
}

fn config_of(world: &World, template: &ContainerSpec, stop_grace_secs: u32) -> ContainerConfig {
    let security = &template.security;
    let mut security_opt = Vec::new();
    if security.no_new_privileges {
        security_opt.push("no-new-privileges:true".to_owned());
    }
    if security.seccomp_unconfined {
        security_opt.push("seccomp=unconfined".to_owned());
    }
    let port_key = |port: &crds_schema::primitive::PortSpec| format!("{}/{}", port.port, port.protocol.as_str());
    let mut config = ContainerConfig {
        image: template.image.clone(),
        entrypoint: template.entrypoint.clone(),
        cmd: template.args.clone(),
        working_dir: template.working_dir.clone().unwrap_or_default(),
        user: template.user.clone().unwrap_or_default(),
        hostname: template.hostname.clone().unwrap_or_default(),
        env: template.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        exposed_ports: template.ports.iter().map(port_key).collect(),
        mounts: mounts_of(world, template),
        shm_bytes: template.shm_bytes.unwrap_or(0),
        privileged: security.privileged,
        read_only_root: security.read_only_root,
        cap_add: security.cap_add.clone(),
        cap_drop: security.cap_drop.clone(),
        security_opt,
        pid_mode: if security.host_pid { "host".to_owned() } else { String::new() },
        ipc_mode: if security.host_ipc { "host".to_owned() } else { String::new() },
        stop_signal: template.stop_signal.clone(),
        stop_timeout_secs: Some(stop_grace_secs),
        init: template.init,
        ulimits: template.ulimits.iter().map(|limit| (limit.name.clone(), limit.soft, limit.hard)).collect(),
        sysctls: template.sysctls.clone(),
        devices: template
            .devices
            .iter()
            .map(|device| (device.host_path.clone(), device.path.clone(), device.permissions.clone()))
            .collect(),
        log_driver: template.logging.as_ref().map(|logging| logging.driver.clone()).unwrap_or_default(),
        log_options: template.logging.as_ref().map(|logging| logging.options.clone()).unwrap_or_default(),
        dns: template.dns.servers.iter().map(ToString::to_string).collect(),
        dns_search: template.dns.searches.clone(),
        dns_options: template.dns.options.clone(),
        extra_hosts: template.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect(),
        open_stdin: template.open_stdin,
        ..ContainerConfig::default()
    };
    for port in &template.ports {
        if let Some(host) = port.publish {
            let address = std::net::SocketAddr::new(host.ip, host.port).to_string();
            config.port_bindings.entry(port_key(port)).or_default().push(address);
        }
    }
    config.exposed_ports.dedup();
    config
}

fn mounts_of(world: &World, template: &ContainerSpec) -> Vec<MountConfig> {
    let kind_of = |source: &MountSource| match source {
        MountSource::Volume(key) => MountKind::Volume(crate::volumes::engine_name(world, key)),
        MountSource::Host { path, .. } => MountKind::Bind(path.clone()),
        MountSource::Tmpfs(bytes) => MountKind::Tmpfs(*bytes),
    };
    template
        .mounts
        .iter()
        .map(|mount| MountConfig {
            destination: mount.path.clone(),
            kind: kind_of(&mount.source),
            read_only: mount.read_only,
        })
        .collect()
}

/// The body of a network's create call.
pub(crate) fn network_create(
    identity: &Identity,
    key: &ObjectKey,
    desired: &DesiredObject,
    network: &NetworkSpec,
) -> NetworkCreate {
    let claim = single_claim(key, desired, &network.engine_name);
    NetworkCreate {
        name: network.engine_name.clone(),
        driver: network.driver.clone(),
        internal: network.internal,
        attachable: network.attachable,
        ipv6: network.ipv6,
        subnets: network
            .subnets
            .iter()
            .map(|subnet| {
                let (gateway, range) = (subnet.gateway.clone(), subnet.range.clone());
                (subnet.subnet.clone(), gateway.unwrap_or_default(), range.unwrap_or_default())
            })
            .collect(),
        options: network.options.clone(),
        labels: identity.labels_for(&claim, &desired.template, &network.labels),
    }
}

/// The body of a volume's create call.
pub(crate) fn volume_create(
    identity: &Identity,
    key: &ObjectKey,
    desired: &DesiredObject,
    volume: &VolumeSpec,
) -> VolumeCreate {
    let claim = single_claim(key, desired, &volume.engine_name);
    VolumeCreate {
        name: volume.engine_name.clone(),
        driver: volume.driver.clone(),
        options: volume.driver_options.clone(),
        labels: identity.labels_for(&claim, &desired.template, &volume.labels),
    }
}

fn single_claim(key: &ObjectKey, desired: &DesiredObject, engine_name: &str) -> Claim {
    Claim {
        owner: key.clone(),
        engine_name: engine_name.to_owned(),
        ordinal: 0,
        hash: desired.hash.to_string(),
        protected: desired.protected,
    }
}
