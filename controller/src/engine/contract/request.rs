//! What the steps of a script ask for, as the Engine's calls take it.

use std::collections::BTreeMap;

use planner::observed::{ContainerConfig, Limits, MountConfig, MountKind};
use planner::ownership::LABEL_INSTANCE;
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate};

use super::image::reference_of;
use super::names::{Names, SUBNETS};
use super::script::Step;

/// The label of everything that a sequence makes.
pub(super) const LABEL: &str = "evenkeel-contract";

impl Names {
    /// The network that a step asks for; `made` is how many there are already.
    pub(super) fn network_create(&self, step: &Step, made: usize) -> NetworkCreate {
        let subnet = match step.option("subnet") {
            Some("none") => None,
            Some(subnet) => Some(subnet.replace("<subnet>.", &self.subnet(0))),
            None => Some(format!("{}0/24", self.subnet(made % SUBNETS))),
        };
        let gateway = step.option("gateway").unwrap_or_default().replace("<subnet>.", &self.subnet(0));
        NetworkCreate {
            name: match step.option("name") {
                Some(exact) => exact.to_owned(),
                None => self.engine_name(step.subject.trim_end_matches('\'')),
            },
            driver: step.option("driver").unwrap_or("bridge").to_owned(),
            internal: step.option("internal").is_some(),
            attachable: false,
            ipv6: false,
            subnets: subnet.map(|subnet| (subnet, gateway, String::new())).into_iter().collect(),
            options: BTreeMap::new(),
            labels: labels_of(step),
        }
    }

    pub(super) fn endpoint(&self, step: &Step, network: &str) -> EndpointCreate {
        EndpointCreate {
            network_id: self.id_of(network),
            network_name: self.engine_name(network),
            aliases: step.values("alias").map(str::to_owned).collect(),
            ipv4: step.option("ip").and_then(|ip| ip.replace("<subnet>.", &self.subnet(0)).parse().ok()),
        }
    }

    pub(super) fn container_create(&self, step: &Step) -> ContainerCreate {
        let network = step.option("net").filter(|net| !["none", "host", "bridge"].contains(net));
        let primary_endpoint = network.map(|network| self.endpoint(step, network));
        let network_mode = match (&primary_endpoint, step.option("net")) {
            (Some(endpoint), _) => endpoint.network_id.clone(),
            (None, mode) => mode.unwrap_or_default().to_owned(),
        };
        let name = match step.option("name") {
            Some("!") => "!".to_owned(),
            Some(name) => self.engine_name(name),
            None => self.engine_name(&step.subject),
        };
        let list = |key: &str| step.values(key).map(str::to_owned).collect::<Vec<String>>();
        let words = |key: &str| step.option(key).map(|text| text.split(',').map(str::to_owned).collect());
        let mut port_bindings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (host, inside) in step.values("port").filter_map(|port| port.split_once(':')) {
            let binding = format!("127.0.0.1:{}", self.port(host));
            port_bindings.entry(format!("{inside}/tcp")).or_default().push(binding);
        }
        let mut config = ContainerConfig {
            image: image_reference(step.option("image").unwrap_or("loop")),
            entrypoint: words("entrypoint"),
            cmd: words("cmd"),
            user: step.option("user").unwrap_or_default().to_owned(),
            hostname: step.option("hostname").unwrap_or_default().to_owned(),
            env: list("env").iter().map(|pair| pair.replacen(':', "=", 1)).collect(),
            labels: labels_of(step),
            port_bindings,
            network_mode,
            mounts: self.mounts(step),
            read_only_root: step.option("readonly").is_some(),
            cap_drop: list("capdrop"),
            stop_signal: step.option("signal").unwrap_or("SIGTERM").to_owned(),
            init: step.option("init").is_some(),
            open_stdin: step.option("stdin").is_some(),
            ..ContainerConfig::default()
        };
        config.mounts.sort();
        config.labels.insert(LABEL_INSTANCE.to_owned(), self.instance().to_owned());
        ContainerCreate { name, config, limits: limits_of(step), primary_endpoint, ..ContainerCreate::default() }
    }

    fn mounts(&self, step: &Step) -> Vec<MountConfig> {
        let mut mounts = Vec::new();
        for key in ["vol", "bind", "tmpfs"] {
            for value in step.values(key) {
                let (source, rest) = value.split_once(':').unwrap_or((value, "/data"));
                let (destination, read_only) =
                    rest.strip_suffix(":ro").map_or((rest, false), |destination| (destination, true));
                let kind = match key {
                    "vol" => MountKind::Volume(self.engine_name(source)),
                    "bind" => MountKind::Bind(source.to_owned()),
                    _ => MountKind::Tmpfs(source.parse().unwrap_or(0)),
                };
                mounts.push(MountConfig { destination: destination.to_owned(), kind, read_only });
            }
        }
        mounts
    }
}

/// The reference of an image of a script; a whole reference is itself.
pub(super) fn image_reference(name: &str) -> String {
    if name.contains(['/', ':']) { name.to_owned() } else { reference_of(name) }
}

/// The labels that a step asks for, and the suite's own.
pub(super) fn labels_of(step: &Step) -> BTreeMap<String, String> {
    let pairs = step.values("label").filter_map(|pair| pair.split_once(':'));
    let mut labels: BTreeMap<String, String> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    labels.insert(LABEL.to_owned(), "1".to_owned());
    labels
}

/// The limits that a step asks for: memory in MiB, cpus in thousandths.
pub(super) fn limits_of(step: &Step) -> Limits {
    let number = |key: &str| step.option(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let mebibytes = |key: &str| if number(key) < 0 { number(key) } else { number(key) * 1024 * 1024 };
    Limits {
        nano_cpus: number("cpus") * 1_000_000,
        memory: mebibytes("mem"),
        memory_swap: mebibytes("swap"),
        pids: number("pids"),
        restart: step.option("restart").unwrap_or_default().to_owned(),
    }
}
