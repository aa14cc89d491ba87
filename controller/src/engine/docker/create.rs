//! From what is asked for to the bodies of the calls that make it.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigLogConfig, Ipam, IpamConfig, Mount, MountTmpfsOptions, MountType, MountVolumeOptions,
    NetworkConnectRequest, NetworkCreateRequest, NetworkingConfig, PortBinding, PortMap, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use planner::observed::{Limits, MountConfig, MountKind};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};

/// The body of a container's create.
///
/// What is empty or 0 is left out, so that the image or the Engine decides. Every published port is also exposed, since the
/// Engine stores a binding without an exposed port and publishes nothing. The primary network is named by its id, in the
/// mode and in the endpoint alike: names are not unique.
pub(super) fn container_body(container: &ContainerCreate) -> ContainerCreateBody {
    let config = &container.config;
    let mut exposed_ports = config.exposed_ports.clone();
    exposed_ports.extend(config.port_bindings.keys().cloned());
    exposed_ports.sort();
    exposed_ports.dedup();
    let networking_config = container.primary_endpoint.as_ref().map(|endpoint| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(config.network_mode.clone(), endpoint_settings(endpoint))])),
    });
    ContainerCreateBody {
        image: Some(config.image.clone()),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        working_dir: some_text(&config.working_dir),
        user: some_text(&config.user),
        hostname: some_text(&config.hostname),
        env: some_list(&config.env),
        labels: some_map(&config.labels),
        exposed_ports: some_list(&exposed_ports),
        stop_signal: some_text(&config.stop_signal),
        stop_timeout: config.stop_timeout_secs.map(i64::from),
        // Open, and not closed when the first who attached leaves; without a terminal, which would mix output and errors.
        open_stdin: config.open_stdin.then_some(true),
        stdin_once: config.open_stdin.then_some(false),
        attach_stdin: config.open_stdin.then_some(false),
        tty: config.open_stdin.then_some(false),
        host_config: Some(host_config(container)),
        networking_config,
        ..Default::default()
    }
}

fn host_config(container: &ContainerCreate) -> HostConfig {
    let ContainerCreate { config, limits, .. } = container;
    HostConfig {
        network_mode: some_text(&config.network_mode),
        port_bindings: (!config.port_bindings.is_empty()).then(|| port_map(&config.port_bindings)),
        mounts: some_mapped(&config.mounts, |config| mount(config, &container.volume_labels)),
        shm_size: (config.shm_bytes != 0).then(|| i64::try_from(config.shm_bytes).unwrap_or(i64::MAX)),
        privileged: config.privileged.then_some(true),
        readonly_rootfs: config.read_only_root.then_some(true),
        cap_add: some_list(&config.cap_add),
        cap_drop: some_list(&config.cap_drop),
        security_opt: some_list(&config.security_opt),
        pid_mode: some_text(&config.pid_mode),
        ipc_mode: some_text(&config.ipc_mode),
        init: config.init.then_some(true),
        ulimits: some_mapped(&config.ulimits, |(name, soft, hard)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(*soft),
            hard: Some(*hard),
        }),
        sysctls: some_map(&config.sysctls),
        devices: some_mapped(&config.devices, |(host_path, path, permissions)| DeviceMapping {
            path_on_host: Some(host_path.clone()),
            path_in_container: Some(path.clone()),
            cgroup_permissions: Some(permissions.clone()),
        }),
        log_config: (!config.log_driver.is_empty()).then(|| HostConfigLogConfig {
            typ: Some(config.log_driver.clone()),
            config: Some(config.log_options.clone().into_iter().collect()),
        }),
        dns: some_list(&config.dns),
        dns_search: some_list(&config.dns_search),
        dns_options: some_list(&config.dns_options),
        extra_hosts: some_list(&config.extra_hosts),
        nano_cpus: some_number(limits.nano_cpus),
        memory: some_number(limits.memory),
        memory_swap: some_number(limits.memory_swap),
        pids_limit: some_number(limits.pids),
        restart_policy: restart_policy(&limits.restart),
        ..Default::default()
    }
}

/// One mount. Always of the mounts API: `Binds` would make a missing directory of the host in silence.
///
/// A host path that is to be made when missing is the loader's matter: the Engine can make it only from API 1.44 on
/// (`CreateMountpoint`), and then as root with the mode of its choice.
fn mount(mount: &MountConfig, volume_labels: &BTreeMap<String, BTreeMap<String, String>>) -> Mount {
    let labels = match &mount.kind {
        MountKind::Volume(name) => volume_labels.get(name),
        MountKind::Bind(_) | MountKind::Tmpfs(_) => None,
    };
    let volume_options = labels
        .map(|labels| MountVolumeOptions { labels: Some(labels.clone().into_iter().collect()), ..Default::default() });
    let (typ, source, tmpfs_options) = match &mount.kind {
        MountKind::Volume(name) => (MountType::VOLUME, Some(name.clone()), None),
        MountKind::Bind(path) => (MountType::BIND, Some(path.clone()), None),
        MountKind::Tmpfs(0) => (MountType::TMPFS, None, None),
        MountKind::Tmpfs(bytes) => {
            let size_bytes = Some(i64::try_from(*bytes).unwrap_or(i64::MAX));
            (MountType::TMPFS, None, Some(MountTmpfsOptions { size_bytes, ..Default::default() }))
        }
    };
    Mount {
        target: Some(mount.destination.clone()),
        typ: Some(typ),
        source,
        read_only: mount.read_only.then_some(true),
        tmpfs_options,
        volume_options,
        ..Default::default()
    }
}

/// The body of an update: a 0 is left as it is, memory and swap go together.
pub(super) fn update_body(limits: &Limits) -> ContainerUpdateBody {
    ContainerUpdateBody {
        nano_cpus: some_number(limits.nano_cpus),
        memory: some_number(limits.memory),
        // The Engine refuses memory above the swap limit in force, so its default of twice the memory is said aloud.
        memory_swap: some_number(limits.memory_swap).or_else(|| some_number(limits.memory.saturating_mul(2))),
        pids_limit: some_number(limits.pids),
        restart_policy: restart_policy(&limits.restart),
        ..Default::default()
    }
}

/// The body of a network's create.
pub(super) fn network_body(network: &NetworkCreate) -> NetworkCreateRequest {
    let ipam = some_mapped(&network.subnets, |(subnet, gateway, range)| IpamConfig {
        subnet: some_text(subnet),
        gateway: some_text(gateway),
        ip_range: some_text(range),
        ..Default::default()
    });
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: some_text(&network.driver),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: Some(network.ipv6),
        ipam: ipam.map(|config| Ipam { config: Some(config), ..Default::default() }),
        options: some_map(&network.options),
        labels: some_map(&network.labels),
        ..Default::default()
    }
}

/// The body of a volume's create.
pub(super) fn volume_body(volume: &VolumeCreate) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: some_text(&volume.driver),
        driver_opts: some_map(&volume.options),
        labels: some_map(&volume.labels),
        ..Default::default()
    }
}

/// The body of a connect.
pub(super) fn connect_body(container_id: &str, endpoint: &EndpointCreate) -> NetworkConnectRequest {
    NetworkConnectRequest { container: container_id.to_owned(), endpoint_config: Some(endpoint_settings(endpoint)) }
}

fn endpoint_settings(endpoint: &EndpointCreate) -> EndpointSettings {
    EndpointSettings {
        aliases: some_list(&endpoint.aliases),
        ipam_config: endpoint
            .ipv4
            .map(|ipv4| EndpointIpamConfig { ipv4_address: Some(ipv4.to_string()), ..Default::default() }),
        ..Default::default()
    }
}

fn port_map(bindings: &BTreeMap<String, Vec<String>>) -> PortMap {
    let binding = |address: &String| {
        let (ip, port) = address.rsplit_once(':').unwrap_or(("", address));
        PortBinding { host_ip: some_text(ip.trim_matches(['[', ']'])), host_port: Some(port.to_owned()) }
    };
    let entry =
        |(port, addresses): (&String, &Vec<String>)| (port.clone(), Some(addresses.iter().map(binding).collect()));
    bindings.iter().map(entry).collect()
}

/// `None` leaves it as it is, or to the Engine.
fn restart_policy(name: &str) -> Option<RestartPolicy> {
    let name: RestartPolicyNameEnum = if name.is_empty() { None } else { name.parse().ok() }?;
    Some(RestartPolicy { name: Some(name), maximum_retry_count: None })
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn some_list(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn some_mapped<T, U>(list: &[T], map: impl Fn(&T) -> U) -> Option<Vec<U>> {
    (!list.is_empty()).then(|| list.iter().map(map).collect())
}

fn some_map(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

fn some_number(number: i64) -> Option<i64> {
    (number != 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use planner::observed::{ContainerConfig, Limits, MountConfig, MountKind};
    use planner::plan::{ContainerCreate, EndpointCreate};
    use serde_json::json;

    use super::{container_body, update_body};

    #[test]
    fn a_container_is_asked_for_with_exposed_ports_mounts_and_the_primary_network_by_id() {
        let container = ContainerCreate {
            config: ContainerConfig {
                image: "web:1".into(),
                port_bindings: [("80/tcp".to_owned(), vec!["127.0.0.1:8080".to_owned(), "[::1]:8080".to_owned()])]
                    .into(),
                network_mode: "0123".into(),
                mounts: vec![
                    MountConfig {
                        destination: "/data".into(),
                        kind: MountKind::Volume("data".into()),
                        read_only: false,
                    },
                    MountConfig { destination: "/tmp".into(), kind: MountKind::Tmpfs(1024), read_only: true },
                ],
                ..Default::default()
            },
            limits: Limits { memory: 64 << 20, restart: "unless-stopped".into(), ..Default::default() },
            primary_endpoint: Some(EndpointCreate {
                network_id: "0123".into(),
                aliases: vec!["web".into()],
                ipv4: Some([10, 0, 0, 2].into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let body = serde_json::to_value(container_body(&container)).unwrap();
        assert_eq!(body["ExposedPorts"], json!({ "80/tcp": {} }));
        let bindings = json!([{ "HostIp": "127.0.0.1", "HostPort": "8080" }, { "HostIp": "::1", "HostPort": "8080" }]);
        assert_eq!(body["HostConfig"]["PortBindings"], json!({ "80/tcp": bindings }));
        assert_eq!(body["HostConfig"]["RestartPolicy"], json!({ "Name": "unless-stopped" }));
        assert_eq!(body["HostConfig"]["NetworkMode"], json!("0123"));
        assert_eq!(body["NetworkingConfig"]["EndpointsConfig"]["0123"]["Aliases"], json!(["web"]));
        assert_eq!(body["HostConfig"]["Mounts"][0], json!({ "Target": "/data", "Source": "data", "Type": "volume" }));
        assert_eq!(body["HostConfig"]["Mounts"][1]["TmpfsOptions"], json!({ "SizeBytes": 1024 }));
        for absent in ["Binds", "MemorySwap", "Init", "LogConfig", "Privileged"] {
            assert!(body["HostConfig"].get(absent).is_none(), "{absent}");
        }
        assert!(body.get("Env").is_none() && body.get("Volumes").is_none());
    }

    #[test]
    fn standard_input_is_held_open_without_a_terminal_where_it_is_asked_for_and_else_not_mentioned() {
        let body = |open_stdin| {
            let config = ContainerConfig { open_stdin, ..Default::default() };
            serde_json::to_value(container_body(&ContainerCreate { config, ..Default::default() })).unwrap()
        };
        let (open, closed) = (body(true), body(false));
        for (field, value) in [("OpenStdin", true), ("StdinOnce", false), ("AttachStdin", false), ("Tty", false)] {
            assert_eq!(open[field], json!(value), "{field}");
            assert!(closed.get(field).is_none(), "{field}");
        }
    }

    #[test]
    fn a_volume_that_a_create_would_make_anew_gets_its_labels() {
        let mount = |name: &str| MountConfig {
            destination: format!("/{name}"),
            kind: MountKind::Volume(name.to_owned()),
            read_only: false,
        };
        let labels = [("evenkeel.dev/instance".to_owned(), "main".to_owned())];
        let container = ContainerCreate {
            config: ContainerConfig { mounts: vec![mount("ours"), mount("anybodys")], ..Default::default() },
            volume_labels: [("ours".to_owned(), labels.into())].into(),
            ..Default::default()
        };
        let body = serde_json::to_value(container_body(&container)).unwrap();
        let mounts = &body["HostConfig"]["Mounts"];
        assert_eq!(mounts[0]["VolumeOptions"], json!({ "Labels": { "evenkeel.dev/instance": "main" } }));
        assert!(mounts[1].get("VolumeOptions").is_none());
    }

    #[test]
    fn an_update_leaves_out_what_is_zero_and_sends_memory_with_swap() {
        let body = |limits: Limits| serde_json::to_value(update_body(&limits)).unwrap();
        assert_eq!(body(Limits::default()), json!({}));
        let memory = Limits { memory: 8 << 20, ..Default::default() };
        assert_eq!(body(memory), json!({ "Memory": 8 << 20, "MemorySwap": 16 << 20 }));
        let swap = Limits { memory: 8 << 20, memory_swap: -1, restart: "no".into(), ..Default::default() };
        let expected = json!({ "Memory": 8 << 20, "MemorySwap": -1, "RestartPolicy": { "Name": "no" } });
        assert_eq!(body(swap), expected);
    }
}
