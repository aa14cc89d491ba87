//! From the Engine's answers to our own words. Every field may be missing.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    self, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummaryStateEnum, EndpointSettings,
    HealthStatusEnum, HostConfig, ImageInspect, MountPoint, MountType, Network, PortMap, Volume,
};
use planner::observed::{
    ContainerConfig, ContainerDetail, ContainerState, ContainerStatus, ContainerSummary, Endpoint, Health, ImageDetail,
    Limits, MountConfig, MountKind, NetworkDetail, TimestampMs, VolumeDetail,
};

/// One entry of the container list; `None` for one in a state that is not known, or without an id.
pub(super) fn container_summary(summary: models::ContainerSummary) -> Option<ContainerSummary> {
    let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut addresses: Vec<std::net::IpAddr> =
        networks.values().filter_map(|endpoint| endpoint.ip_address.as_deref()?.parse().ok()).collect();
    addresses.sort_unstable();
    let mut network_ids: Vec<String> =
        networks.into_values().filter_map(|endpoint| endpoint.network_id).filter(|id| !id.is_empty()).collect();
    network_ids.sort();
    network_ids.dedup();
    Some(ContainerSummary {
        id: summary.id?,
        name: own_name(&summary.names.unwrap_or_default()),
        state: summary_state(summary.state?)?,
        health: health_of_status(&summary.status.unwrap_or_default()),
        labels: sorted(summary.labels),
        network_ids,
        addresses,
        image_id: summary.image_id.unwrap_or_default(),
        created_ms: summary.created.unwrap_or_default().saturating_mul(1000),
    })
}

/// An answer to a container's inspect; `None` for one in a state that is not known, or without an id.
pub(super) fn container_detail(inspect: ContainerInspectResponse) -> Option<ContainerDetail> {
    let id = inspect.id?;
    let host = inspect.host_config.unwrap_or_default();
    let networks = inspect.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    Some(ContainerDetail {
        name: inspect.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        created_ms: inspect.created.as_deref().and_then(timestamp_ms).unwrap_or_default(),
        image_id: inspect.image.unwrap_or_default(),
        status: container_status(inspect.state?)?,
        limits: limits(&host),
        config: container_config(inspect.config.unwrap_or_default(), host, inspect.mounts.unwrap_or_default()),
        endpoints: networks.into_iter().map(|(name, settings)| (name, endpoint(&id, settings))).collect(),
        restart_count: u32::try_from(inspect.restart_count.unwrap_or_default()).unwrap_or_default(),
        id,
    })
}

fn container_status(state: models::ContainerState) -> Option<ContainerStatus> {
    Some(ContainerStatus {
        state: inspect_state(state.status?)?,
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        health: state.health.and_then(|health| health.status).map_or(Health::None, health),
        started_ms: state.started_at.as_deref().and_then(timestamp_ms),
        finished_ms: state.finished_at.as_deref().and_then(timestamp_ms),
    })
}

fn container_config(config: models::ContainerConfig, host: HostConfig, points: Vec<MountPoint>) -> ContainerConfig {
    let mut exposed_ports = config.exposed_ports.unwrap_or_default();
    exposed_ports.sort();
    let log = host.log_config.unwrap_or_default();
    let mut ulimits: Vec<(String, i64, i64)> = host
        .ulimits
        .unwrap_or_default()
        .into_iter()
        .map(|limit| (limit.name.unwrap_or_default(), limit.soft.unwrap_or_default(), limit.hard.unwrap_or_default()))
        .collect();
    ulimits.sort();
    let mut devices: Vec<(String, String, String)> = host
        .devices
        .unwrap_or_default()
        .into_iter()
        .map(|device| {
            let path = device.path_in_container.unwrap_or_default();
            (device.path_on_host.unwrap_or_default(), path, device.cgroup_permissions.unwrap_or_default())
        })
        .collect();
    devices.sort();
    ContainerConfig {
        image: config.image.unwrap_or_default(),
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        working_dir: config.working_dir.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        hostname: config.hostname.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        labels: sorted(config.labels),
        exposed_ports,
        port_bindings: port_bindings(host.port_bindings.unwrap_or_default()),
        network_mode: host.network_mode.unwrap_or_default(),
        mounts: mounts(host.mounts.unwrap_or_default(), points),
        shm_bytes: u64::try_from(host.shm_size.unwrap_or_default()).unwrap_or_default(),
        privileged: host.privileged.unwrap_or_default(),
        read_only_root: host.readonly_rootfs.unwrap_or_default(),
        cap_add: host.cap_add.unwrap_or_default(),
        cap_drop: host.cap_drop.unwrap_or_default(),
        security_opt: host.security_opt.unwrap_or_default(),
        pid_mode: host.pid_mode.unwrap_or_default(),
        ipc_mode: host.ipc_mode.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
        stop_timeout_secs: config.stop_timeout.and_then(|secs| u32::try_from(secs).ok()),
        init: host.init.unwrap_or_default(),
        ulimits,
        sysctls: sorted(host.sysctls),
        devices,
        log_driver: log.typ.unwrap_or_default(),
        log_options: sorted(log.config),
        dns: host.dns.unwrap_or_default(),
        dns_search: host.dns_search.unwrap_or_default(),
        dns_options: host.dns_options.unwrap_or_default(),
        extra_hosts: host.extra_hosts.unwrap_or_default(),
        open_stdin: config.open_stdin.unwrap_or_default(),
    }
}

/// What is mounted, by destination. The mount points tell what is there, anonymous volumes included, in another order each
/// time; only what was asked for tells the size of a tmpfs.
fn mounts(asked: Vec<models::Mount>, points: Vec<MountPoint>) -> Vec<MountConfig> {
    let asked = asked.into_iter().filter_map(asked_mount);
    let mut by_destination: BTreeMap<String, MountConfig> =
        asked.map(|mount| (mount.destination.clone(), mount)).collect();
    for point in points {
        let Some(found) = mount_point(point) else { continue };
        by_destination.insert(found.destination.clone(), found);
    }
    by_destination.into_values().collect()
}

fn asked_mount(mount: models::Mount) -> Option<MountConfig> {
    let source = mount.source.unwrap_or_default();
    let size = mount.tmpfs_options.and_then(|options| options.size_bytes).unwrap_or_default();
    let kind = match mount.typ? {
        MountType::BIND => MountKind::Bind(source),
        MountType::VOLUME | MountType::CLUSTER => MountKind::Volume(source),
        MountType::TMPFS => MountKind::Tmpfs(u64::try_from(size).unwrap_or_default()),
        MountType::IMAGE | MountType::NPIPE => return None,
    };
    let destination = clean_path(&mount.target?);
    Some(MountConfig { destination, kind, read_only: mount.read_only.unwrap_or_default() })
}

/// One mount point; `None` for kinds that we never ask for, and for a tmpfs, which what was asked for tells better.
fn mount_point(point: MountPoint) -> Option<MountConfig> {
    let kind = match point.typ?.as_str() {
        "bind" => MountKind::Bind(point.source.unwrap_or_default()),
        "volume" | "cluster" => MountKind::Volume(point.name.unwrap_or_default()),
        _ => return None,
    };
    let destination = clean_path(&point.destination?);
    Some(MountConfig { destination, kind, read_only: point.rw == Some(false) })
}

fn limits(host: &HostConfig) -> Limits {
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name).map(|name| name.to_string());
    Limits {
        nano_cpus: host.nano_cpus.unwrap_or_default(),
        memory: host.memory.unwrap_or_default(),
        memory_swap: host.memory_swap.unwrap_or_default(),
        // The Engine writes no limit as null, 0 or -1.
        pids: host.pids_limit.unwrap_or_default().max(0),
        restart: restart.filter(|name| !name.is_empty()).unwrap_or_else(|| "no".to_owned()),
    }
}

/// One endpoint, without the short id that the Engine adds to the aliases before API 1.45.
fn endpoint(container_id: &str, settings: EndpointSettings) -> Endpoint {
    let short_id = container_id.get(..12).unwrap_or(container_id);
    let mut aliases = settings.aliases.unwrap_or_default();
    aliases.retain(|alias| alias != short_id);
    let ipam = settings.ipam_config.unwrap_or_default();
    let address = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Endpoint {
        network_id: settings.network_id.unwrap_or_default(),
        aliases,
        fixed_ipv4: ipam.ipv4_address.and_then(|text| text.parse().ok()),
        address: address(settings.ip_address).or_else(|| address(settings.global_ipv6_address)),
    }
}

fn port_bindings(ports: PortMap) -> BTreeMap<String, Vec<String>> {
    let address = |binding: models::PortBinding| {
        let (ip, port) = (binding.host_ip.unwrap_or_default(), binding.host_port.unwrap_or_default());
        if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
    };
    let entry = |(port, bindings): (String, Option<Vec<models::PortBinding>>)| {
        (port, bindings.unwrap_or_default().into_iter().map(address).collect())
    };
    ports.into_iter().map(entry).collect()
}

/// One network, from the list or from inspect; `None` without an id.
pub(super) fn network_detail(network: Network) -> Option<NetworkDetail> {
    let subnet = |config: models::IpamConfig| {
        (config.subnet.unwrap_or_default(), config.gateway.unwrap_or_default(), config.ip_range.unwrap_or_default())
    };
    let subnets = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    Some(NetworkDetail {
        id: network.id?,
        name: network.name.unwrap_or_default(),
        driver: network.driver.unwrap_or_default(),
        internal: network.internal.unwrap_or_default(),
        attachable: network.attachable.unwrap_or_default(),
        ipv6: network.enable_ipv6.unwrap_or_default(),
        subnets: subnets.into_iter().map(subnet).collect(),
        options: sorted(network.options),
        labels: sorted(network.labels),
        created_ms: network.created.as_deref().and_then(timestamp_ms).unwrap_or_default(),
    })
}

/// One volume, from the list or from create.
pub(super) fn volume_detail(volume: Volume) -> VolumeDetail {
    VolumeDetail {
        name: volume.name,
        driver: volume.driver,
        options: volume.options.into_iter().collect(),
        labels: volume.labels.into_iter().collect(),
        created_ms: volume.created_at.as_deref().and_then(timestamp_ms).unwrap_or_default(),
    }
}

/// One image; `None` without an id.
pub(super) fn image_detail(image: ImageInspect) -> Option<ImageDetail> {
    let config = image.config.unwrap_or_default();
    let test = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
    let mut volumes = config.volumes.unwrap_or_default();
    volumes.sort();
    Some(ImageDetail {
        id: image.id?,
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        volumes,
        has_healthcheck: test.first().is_some_and(|first| !first.is_empty() && first != "NONE"),
        labels: sorted(config.labels),
    })
}

/// The name of the container itself: an old-style link adds names of the form `/other/alias`.
pub(super) fn own_name(names: &[String]) -> String {
    let bare = names.iter().map(|name| name.trim_start_matches('/'));
    bare.filter(|name| !name.contains('/')).min().unwrap_or_default().to_owned()
}

/// Health as the list's status tells it, such as `Up 2 minutes (healthy)`.
fn health_of_status(status: &str) -> Health {
    match () {
        () if status.ends_with("(healthy)") => Health::Healthy,
        () if status.ends_with("(unhealthy)") => Health::Unhealthy,
        () if status.ends_with("(health: starting)") => Health::Starting,
        () => Health::None,
    }
}

fn health(status: HealthStatusEnum) -> Health {
    match status {
        HealthStatusEnum::EMPTY | HealthStatusEnum::NONE => Health::None,
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::UNHEALTHY => Health::Unhealthy,
    }
}

fn summary_state(state: ContainerSummaryStateEnum) -> Option<ContainerState> {
    match state {
        ContainerSummaryStateEnum::EMPTY => None,
        ContainerSummaryStateEnum::CREATED => Some(ContainerState::Created),
        // It still runs; what it will be is seen when it is.
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => Some(ContainerState::Running),
        ContainerSummaryStateEnum::PAUSED => Some(ContainerState::Paused),
        ContainerSummaryStateEnum::RESTARTING => Some(ContainerState::Restarting),
        ContainerSummaryStateEnum::EXITED => Some(ContainerState::Exited),
        ContainerSummaryStateEnum::REMOVING => Some(ContainerState::Removing),
        ContainerSummaryStateEnum::DEAD => Some(ContainerState::Dead),
    }
}

fn inspect_state(state: ContainerStateStatusEnum) -> Option<ContainerState> {
    match state {
        ContainerStateStatusEnum::EMPTY => None,
        ContainerStateStatusEnum::CREATED => Some(ContainerState::Created),
        // It still runs; what it will be is seen when it is.
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING => Some(ContainerState::Running),
        ContainerStateStatusEnum::PAUSED => Some(ContainerState::Paused),
        ContainerStateStatusEnum::RESTARTING => Some(ContainerState::Restarting),
        ContainerStateStatusEnum::REMOVING => Some(ContainerState::Removing),
        ContainerStateStatusEnum::EXITED => Some(ContainerState::Exited),
        ContainerStateStatusEnum::DEAD => Some(ContainerState::Dead),
    }
}

/// Milliseconds since the epoch; `None` for the Engine's zero time, year 1, and for what is no time.
fn timestamp_ms(text: &str) -> Option<TimestampMs> {
    let time: jiff::Timestamp = text.parse().ok()?;
    (time.as_second() > 0).then(|| time.as_millisecond())
}

/// Without a trailing or doubled slash.
fn clean_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

fn sorted(map: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().collect()
}
