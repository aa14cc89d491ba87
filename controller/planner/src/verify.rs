//! What the Engine made of what it was asked for: one pure comparison, field by field.
//!
//! The Engine drops, rewrites and adds things without a word: it stores a port binding that it will not publish, merges the
//! image's environment and labels in, fills in defaults, and keeps lists in an order of its own. So every field that we set is
//! compared in the form that both sides mean, and nothing that we did not set is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::observed::{ContainerConfig, ContainerDetail, Endpoint, Limits, MountConfig, MountKind};
use crate::plan::{ContainerCreate, EndpointCreate, FieldChange};

/// The fields in which a container differs from what was asked for: what is there as `old`, what is wanted as `new`.
///
/// # Guarantees
/// Empty for a container that was made as asked, whatever its image brings along, before its first start and after.
///
/// # Caveats
/// The name is not compared: the Engine gives the one that was asked for or none, and another one means that somebody has renamed the
/// container since, which is put right by a rename.
///
/// A swap limit that the host's kernel cannot enforce is reported by the Engine as none, and is taken as it is: a create's
/// warning says so, and refusing the container would help nobody.
pub fn compare(expected: &ContainerCreate, actual: &ContainerDetail) -> Vec<FieldChange> {
    let mut changes = Changes::default();
    compare_process(&mut changes, &expected.config, &actual.config);
    compare_security(&mut changes, &expected.config, &actual.config);
    compare_ports(&mut changes, &expected.config, &actual.config);
    compare_mounts(&mut changes, &expected.config.mounts, &actual.config.mounts);
    compare_host(&mut changes, &expected.config, &actual.config);
    compare_limits(&mut changes, &expected.limits, &actual.limits);
    compare_network_mode(&mut changes, expected, actual);
    if let Some(endpoint) = &expected.primary_endpoint {
        compare_endpoint(&mut changes, endpoint, actual);
    }
    changes.fields
}

fn compare_process(changes: &mut Changes, expected: &ContainerConfig, actual: &ContainerConfig) {
    changes.differ("image", &actual.image, &expected.image);
    if let Some(entrypoint) = &expected.entrypoint {
        changes.differ_list("entrypoint", actual.entrypoint.as_deref().unwrap_or_default(), entrypoint);
    }
    // An empty list means the image's to the Engine.
    if let Some(cmd) = expected.cmd.as_ref().filter(|cmd| !cmd.is_empty()) {
        changes.differ_list("args", actual.cmd.as_deref().unwrap_or_default(), cmd);
    }
    if !expected.working_dir.is_empty() {
        changes.differ("workingDir", &clean_path(&actual.working_dir), &clean_path(&expected.working_dir));
    }
    changes.differ_if_set("user", &actual.user, &expected.user);
    changes.differ_if_set("hostname", &actual.hostname, &expected.hostname);
    let there = split_env(&actual.env);
    for (key, value) in split_env(&expected.env) {
        // A value may be a secret, so neither is shown.
        if there.get(key) != Some(&value) {
            let old = if there.contains_key(key) { "another value" } else { "" };
            changes.push(&format!("env.{key}"), old, "as asked");
        }
    }
    changes.differ_entries("labels", &actual.labels, &expected.labels);
    if !expected.stop_signal.is_empty() {
        let normal = |signal: &str| signal.to_ascii_uppercase().trim_start_matches("SIG").to_owned();
        if normal(&actual.stop_signal) != normal(&expected.stop_signal) {
            changes.push("stop.signal", &actual.stop_signal, &expected.stop_signal);
        }
    }
    if let Some(secs) = expected.stop_timeout_secs
        && actual.stop_timeout_secs != Some(secs)
    {
        let old = actual.stop_timeout_secs.map(|secs| format!("{secs}s")).unwrap_or_default();
        changes.push("stop.grace", &old, &format!("{secs}s"));
    }
    if expected.init {
        changes.differ_flag("init", actual.init, expected.init);
    }
    changes.differ_flag("openStdin", actual.open_stdin, expected.open_stdin);
}

/// The fields that decide what the processes may do are compared both ways: more than was asked for is as wrong as less.
fn compare_security(changes: &mut Changes, expected: &ContainerConfig, actual: &ContainerConfig) {
    changes.differ_flag("security.privileged", actual.privileged, expected.privileged);
    changes.differ_flag("security.readOnlyRoot", actual.read_only_root, expected.read_only_root);
    changes.differ_set("security.capAdd", &capabilities(&actual.cap_add), &capabilities(&expected.cap_add));
    changes.differ_set("security.capDrop", &capabilities(&actual.cap_drop), &capabilities(&expected.cap_drop));
    // The Engine adds options of its own, such as labels of SELinux for a privileged container.
    let options = |list: &[String]| list.iter().map(|option| normal_option(option)).collect::<BTreeSet<_>>();
    changes.lack("security.options", &options(&actual.security_opt), &options(&expected.security_opt));
    changes.differ("security.hostPid", namespace(&actual.pid_mode), namespace(&expected.pid_mode));
    changes.differ("security.hostIpc", namespace(&actual.ipc_mode), namespace(&expected.ipc_mode));
}

fn compare_ports(changes: &mut Changes, expected: &ContainerConfig, actual: &ContainerConfig) {
    let exposed = |ports: &[String]| ports.iter().map(|port| normal_port(port)).collect::<BTreeSet<_>>();
    let mut wanted = exposed(&expected.exposed_ports);
    wanted.extend(expected.port_bindings.keys().map(|port| normal_port(port)));
    // A binding without its exposed port is stored and never published.
    changes.lack("ports", &exposed(&actual.exposed_ports), &wanted);
    changes.differ_set("ports.publish", &published(&actual.port_bindings), &published(&expected.port_bindings));
    // What is no literal address is stored as it is and published on all of them.
    for address in expected.port_bindings.values().flatten().filter(|address| parse_address(address).is_none()) {
        changes.push("ports.publish", "every address of the host", address);
    }
    let is_unpublishable = matches!(expected.network_mode.as_str(), "host" | "none");
    if is_unpublishable && !expected.port_bindings.is_empty() {
        let new = published(&expected.port_bindings).into_iter().collect::<Vec<_>>().join(", ");
        changes.push("ports.publish", &format!("nothing, in network mode {}", expected.network_mode), &new);
    }
}

fn compare_mounts(changes: &mut Changes, expected: &[MountConfig], actual: &[MountConfig]) {
    let there: BTreeMap<String, &MountConfig> =
        actual.iter().map(|mount| (clean_path(&mount.destination), mount)).collect();
    for mount in expected {
        let destination = clean_path(&mount.destination);
        let old = there.get(&destination).map(|mount| show_mount(mount)).unwrap_or_default();
        changes.differ(&format!("mounts.{destination}"), &old, &show_mount(mount));
    }
}

fn compare_host(changes: &mut Changes, expected: &ContainerConfig, actual: &ContainerConfig) {
    if expected.shm_bytes != 0 && actual.shm_bytes != expected.shm_bytes {
        changes.push("resources.shm", &actual.shm_bytes.to_string(), &expected.shm_bytes.to_string());
    }
    let ulimits = |list: &[(String, i64, i64)]| {
        list.iter().map(|(name, soft, hard)| format!("{name}={soft}:{hard}")).collect::<BTreeSet<_>>()
    };
    changes.lack("ulimits", &ulimits(&actual.ulimits), &ulimits(&expected.ulimits));
    changes.differ_entries("sysctls", &actual.sysctls, &expected.sysctls);
    let devices = |list: &[(String, String, String)]| {
        list.iter().map(|(host, path, rights)| format!("{host}:{path}:{rights}")).collect::<BTreeSet<_>>()
    };
    changes.lack("devices", &devices(&actual.devices), &devices(&expected.devices));
    changes.differ_if_set("logging.driver", &actual.log_driver, &expected.log_driver);
    changes.differ_entries("logging.options", &actual.log_options, &expected.log_options);
    for (field, actual, expected) in [
        ("dns.servers", &actual.dns, &expected.dns),
        ("dns.searches", &actual.dns_search, &expected.dns_search),
        ("dns.options", &actual.dns_options, &expected.dns_options),
    ] {
        // The order of name servers and search domains has a meaning.
        if !expected.is_empty() {
            changes.differ_list(field, actual, expected);
        }
    }
    let hosts = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    changes.lack("extraHosts", &hosts(&actual.extra_hosts), &hosts(&expected.extra_hosts));
}

/// A limit that was not asked for is left alone: what the Engine fills in is its own.
fn compare_limits(changes: &mut Changes, expected: &Limits, actual: &Limits) {
    for (field, actual, expected) in [
        ("resources.cpu", actual.nano_cpus, expected.nano_cpus),
        ("resources.memory", actual.memory, expected.memory),
        ("resources.pids", actual.pids, expected.pids),
    ] {
        if expected != 0 && actual != expected {
            changes.push(field, &actual.to_string(), &expected.to_string());
        }
    }
    // -1 is also what a kernel without swap limits makes of any value.
    let wanted_swap = if expected.memory_swap == 0 { expected.memory.saturating_mul(2) } else { expected.memory_swap };
    if wanted_swap != 0 && actual.memory_swap != wanted_swap && actual.memory_swap != -1 {
        changes.push("resources.memorySwap", &actual.memory_swap.to_string(), &wanted_swap.to_string());
    }
    changes.differ_if_set("restart", &actual.restart, &expected.restart);
}

/// The mode may be told by the name of the primary network where it was asked for by its id, and the other way round.
fn compare_network_mode(changes: &mut Changes, expected: &ContainerCreate, actual: &ContainerDetail) {
    let wanted = &expected.config.network_mode;
    let there = &actual.config.network_mode;
    let normal = |mode: &str| if mode.is_empty() || mode == "default" { "bridge".to_owned() } else { mode.to_owned() };
    let is_same_network = expected.primary_endpoint.as_ref().is_some_and(|endpoint| {
        let is_named = |mode: &String| *mode == endpoint.network_id || *mode == endpoint.network_name;
        is_named(wanted) && is_named(there)
    });
    if !wanted.is_empty() && normal(wanted) != normal(there) && !is_same_network {
        changes.push("networks", there, wanted);
    }
}

fn compare_endpoint(changes: &mut Changes, expected: &EndpointCreate, actual: &ContainerDetail) {
    let field = format!("networks.{}", expected.network_name);
    let by_id = actual.endpoints.values().find(|endpoint| endpoint.network_id == expected.network_id);
    // Before its first start an endpoint has no id of its network yet, and may be filed under either name.
    let unstarted = |endpoint: &&Endpoint| endpoint.network_id.is_empty();
    let by_name = || {
        let named = [&expected.network_name, &expected.network_id].into_iter();
        named.filter_map(|name| actual.endpoints.get(name)).find(unstarted)
    };
    let Some(endpoint) = by_id.or_else(by_name) else {
        changes.push(&field, "", "connected");
        return;
    };
    let names = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    changes.lack(&format!("{field}.aliases"), &names(&endpoint.aliases), &names(&expected.aliases));
    if let Some(address) = expected.ipv4
        && endpoint.fixed_ipv4 != Some(address)
    {
        let old = endpoint.fixed_ipv4.map(|address| address.to_string()).unwrap_or_default();
        changes.push(&format!("{field}.ipv4"), &old, &address.to_string());
    }
}

/// The fields found so far.
#[derive(Debug, Default)]
struct Changes {
    fields: Vec<FieldChange>,
}

impl Changes {
    fn push(&mut self, field: &str, old: &str, new: &str) {
        self.fields.push(FieldChange { field: field.to_owned(), old: old.to_owned(), new: new.to_owned() });
    }

    fn differ(&mut self, field: &str, actual: &str, expected: &str) {
        if actual != expected {
            self.push(field, actual, expected);
        }
    }

    fn differ_if_set(&mut self, field: &str, actual: &str, expected: &str) {
        if !expected.is_empty() {
            self.differ(field, actual, expected);
        }
    }

    fn differ_flag(&mut self, field: &str, actual: bool, expected: bool) {
        self.differ(field, &actual.to_string(), &expected.to_string());
    }

    fn differ_list(&mut self, field: &str, actual: &[String], expected: &[String]) {
        if actual != expected {
            self.push(field, &actual.join(" "), &expected.join(" "));
        }
    }

    fn differ_set(&mut self, field: &str, actual: &BTreeSet<String>, expected: &BTreeSet<String>) {
        self.differ(field, &join(actual), &join(expected));
    }

    /// What is wanted must be among what is there.
    fn lack(&mut self, field: &str, actual: &BTreeSet<String>, expected: &BTreeSet<String>) {
        if !expected.is_subset(actual) {
            self.push(field, &join(actual), &join(expected));
        }
    }

    /// Each entry that is wanted must be there with its value.
    fn differ_entries(&mut self, field: &str, actual: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
        for (key, value) in expected {
            if actual.get(key) != Some(value) {
                let old = actual.get(key).map(String::as_str).unwrap_or_default();
                self.push(&format!("{field}.{key}"), old, value);
            }
        }
    }
}

fn join(set: &BTreeSet<String>) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The last entry of a key wins, as it does in a process. `None` is a key without `=`, which unsets the image's.
fn split_env(env: &[String]) -> BTreeMap<&str, Option<&str>> {
    let split = |entry: &'_ String| entry.find('=').unwrap_or(entry.len());
    env.iter().map(|entry| (&entry[..split(entry)], entry.get(split(entry) + 1..))).collect()
}

/// Upper case and without `CAP_`: the Engine keeps the spelling that it was sent before 28, and its own from then on.
fn capabilities(list: &[String]) -> BTreeSet<String> {
    let normal = |name: &String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
    };
    list.iter().map(normal).collect()
}

/// `no-new-privileges`, `no-new-privileges:true` and `no-new-privileges=true` are one.
fn normal_option(option: &str) -> String {
    let at = option.find([':', '=']);
    let (key, value) = at.map_or((option, "true"), |at| (&option[..at], &option[at + 1..]));
    format!("{key}={value}")
}

/// `host` or nothing: everything else is a private namespace, of which the Engine has several words.
fn namespace(mode: &str) -> &str {
    if mode == "host" { mode } else { "" }
}

fn normal_port(port: &str) -> String {
    if port.contains('/') { port.to_ascii_lowercase() } else { format!("{port}/tcp") }
}

/// `IP:PORT->PORT/protocol` of every binding.
fn published(bindings: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut published = BTreeSet::new();
    for (port, addresses) in bindings {
        for address in addresses {
            published.insert(format!("{}->{}", normal_address(address), normal_port(port)));
        }
    }
    published
}

/// An address in its canonical form; a text that is none stays as it is.
fn normal_address(address: &str) -> String {
    parse_address(address).map_or_else(|| address.to_owned(), |address| address.to_string())
}

fn parse_address(address: &str) -> Option<SocketAddr> {
    let (ip, port) = address.rsplit_once(':')?;
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

fn show_mount(mount: &MountConfig) -> String {
    let access = if mount.read_only { "read-only" } else { "writable" };
    match &mount.kind {
        MountKind::Volume(name) => format!("volume {name}, {access}"),
        MountKind::Bind(path) => format!("host {}, {access}", clean_path(path)),
        MountKind::Tmpfs(bytes) => format!("tmpfs {bytes}, {access}"),
    }
}

/// Without a trailing or doubled slash.
fn clean_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::observed::{
        ContainerConfig, ContainerDetail, ContainerState, ContainerStatus, Endpoint, Health, Limits, MountConfig,
        MountKind,
    };
    use crate::plan::{ContainerCreate, EndpointCreate};

    fn expected() -> ContainerCreate {
        ContainerCreate {
            name: "web-1a2b3c4d-0".into(),
            config: ContainerConfig {
                image: "web:1".into(),
                env: vec!["A=1".into(), "EMPTY=".into()],
                labels: [("mine".to_owned(), "yes".to_owned())].into(),
                exposed_ports: vec!["80/tcp".into()],
                port_bindings: [("80/tcp".to_owned(), vec!["127.0.0.1:8080".to_owned()])].into(),
                network_mode: "0123".into(),
                mounts: vec![MountConfig {
                    destination: "/data".into(),
                    kind: MountKind::Volume("data".into()),
                    read_only: true,
                }],
                cap_drop: vec!["ALL".into()],
                security_opt: vec!["no-new-privileges:true".into()],
                stop_signal: "SIGTERM".into(),
                ..Default::default()
            },
            limits: Limits { memory: 1 << 26, pids: 100, restart: "unless-stopped".into(), ..Default::default() },
            volume_labels: std::collections::BTreeMap::new(),
            primary_endpoint: Some(EndpointCreate {
                network_id: "0123".into(),
                network_name: "back".into(),
                aliases: vec!["web".into()],
                ipv4: None,
            }),
        }
    }

    /// What an engine makes of it: the same, with the image's share and its own defaults.
    fn actual() -> ContainerDetail {
        let expected = expected();
        let mut config = expected.config;
        config.env = vec!["EMPTY=".into(), "A=1".into(), "PATH=/bin".into()];
        config.labels.insert("image".into(), "brings".into());
        config.exposed_ports.push("81/tcp".into());
        config.cmd = Some(vec!["serve".into()]);
        config.hostname = "0123456789ab".into();
        config.cap_drop = vec!["CAP_ALL".into()];
        config.shm_bytes = 64 << 20;
        config.ipc_mode = "private".into();
        config.log_driver = "json-file".into();
        config.mounts.push(MountConfig {
            destination: "/anonymous".into(),
            kind: MountKind::Volume("ffff".into()),
            read_only: false,
        });
        let endpoint = Endpoint { aliases: vec!["web".into()], ..Default::default() };
        ContainerDetail {
            id: "01".repeat(32),
            name: expected.name,
            created_ms: 1,
            image_id: "sha256:00".into(),
            status: ContainerStatus {
                state: ContainerState::Created,
                exit_code: 0,
                oom_killed: false,
                error: String::new(),
                health: Health::None,
                started_ms: None,
                finished_ms: None,
            },
            config,
            limits: Limits { memory_swap: 1 << 27, ..expected.limits },
            endpoints: [("back".to_owned(), endpoint)].into(),
            restart_count: 0,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ContainerCreate, &mut ContainerDetail), lines: &[&str]) {
        let (mut expected, mut actual) = (expected(), actual());
        change(&mut expected, &mut actual);
        let changes = compare(&expected, &actual);
        let shown: Vec<String> =
            changes.iter().map(|change| format!("{}: {} -> {}", change.field, change.old, change.new)).collect();
        assert_eq!(shown, lines);
    }

    #[test]
    fn what_the_image_and_the_engine_add_is_no_difference() {
        check(|_, _| {}, &[]);
        check(|_, actual| actual.limits.memory_swap = -1, &[]);
        check(|_, actual| actual.config.network_mode = "back".into(), &[]);
        check(|_, actual| actual.config.env.push("B=2".into()), &[]);
    }

    #[test]
    fn a_container_that_was_renamed_since_its_create_is_as_asked() {
        check(|_, actual| actual.name = "somebodys-own".into(), &[]);
    }

    #[test]
    fn what_the_engine_dropped_is_named_with_both_values() {
        check(|_, actual| actual.config.exposed_ports.clear(), &["ports:  -> 80/tcp"]);
        let bindings = [("80/tcp".to_owned(), vec![":8080".to_owned()])];
        let lines = ["ports.publish: :8080->80/tcp -> 127.0.0.1:8080->80/tcp"];
        check(|_, actual| actual.config.port_bindings = bindings.into(), &lines);
        let lines = ["mounts./data: volume data, writable -> volume data, read-only"];
        check(|_, actual| actual.config.mounts[0].read_only = false, &lines);
        check(|_, actual| actual.limits.pids = 0, &["resources.pids: 0 -> 100"]);
        check(|_, actual| actual.endpoints.clear(), &["networks.back:  -> connected"]);
        check(|expected, _| expected.config.open_stdin = true, &["openStdin: false -> true"]);
        check(|_, actual| actual.config.open_stdin = true, &["openStdin: true -> false"]);
        check(|_, actual| actual.config.cap_drop.clear(), &["security.capDrop:  -> ALL"]);
        check(|_, actual| actual.config.privileged = true, &["security.privileged: true -> false"]);
        check(|_, actual| actual.config.pid_mode = "host".into(), &["security.hostPid: host -> "]);
    }

    #[test]
    fn a_port_without_a_literal_address_is_a_difference_even_when_stored_as_sent() {
        let bindings = [("80/tcp".to_owned(), vec!["localhost:8080".to_owned()])];
        let same = |expected: &mut ContainerCreate, actual: &mut ContainerDetail| {
            expected.config.port_bindings = bindings.clone().into();
            actual.config.port_bindings = bindings.into();
        };
        check(same, &["ports.publish: every address of the host -> localhost:8080"]);
    }

    #[test]
    fn values_of_the_environment_are_never_shown() {
        let secret =
            |_: &mut ContainerCreate, actual: &mut ContainerDetail| actual.config.env = vec!["A=secret".into()];
        check(secret, &["env.A: another value -> as asked", "env.EMPTY:  -> as asked"]);
    }

    #[test]
    fn ports_published_from_the_hosts_own_network_are_a_difference() {
        let host = |expected: &mut ContainerCreate, actual: &mut ContainerDetail| {
            expected.config.network_mode = "host".into();
            expected.primary_endpoint = None;
            actual.config.network_mode = "host".into();
        };
        check(host, &["ports.publish: nothing, in network mode host -> 127.0.0.1:8080->80/tcp"]);
    }
}
