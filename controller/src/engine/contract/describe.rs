//! A container in the words of a transcript.

use std::collections::BTreeMap;

use planner::observed::{ContainerDetail, ContainerSummary, Endpoint, Health, Limits, MountKind};
use planner::ownership::LABEL_INSTANCE;

use super::names::Names;
use super::request::LABEL;

impl Names {
    /// One line about a container.
    pub(super) fn summarise(&self, symbol: &str, found: Option<&ContainerDetail>) -> String {
        let Some(container) = found else { return format!("  {symbol}: absent") };
        let status = &container.status;
        let mut parts = vec![format!("  {symbol}: {}", status.state.as_str())];
        if container.name != self.engine_name(symbol) {
            parts.push(format!("name={}", self.tidy(&container.name)));
        }
        if status.exit_code != 0 {
            parts.push(format!("exit={}", status.exit_code));
        }
        if status.oom_killed {
            parts.push("oom".to_owned());
        }
        if status.health != Health::None {
            parts.push(format!("health={:?}", status.health).to_lowercase());
        }
        if !status.error.is_empty() {
            parts.push(format!("error=`{}`", self.tidy(&status.error)));
        }
        parts.extend(container.endpoints.iter().map(|(network, endpoint)| self.summarise_endpoint(network, endpoint)));
        parts.extend(limits(&container.limits));
        parts.join(" ")
    }

    fn summarise_endpoint(&self, network: &str, endpoint: &Endpoint) -> String {
        let mut facts = Vec::new();
        match self.symbol_of(&endpoint.network_id) {
            Some(_) => {}
            None if endpoint.network_id.is_empty() => facts.push("no id".to_owned()),
            None => facts.push("other id".to_owned()),
        }
        let mut aliases = endpoint.aliases.clone();
        aliases.sort();
        facts.extend(aliases.iter().map(|alias| format!("alias {}", self.tidy(alias))));
        facts.extend(endpoint.fixed_ipv4.map(|fixed| format!("fixed {}", self.tidy(&fixed.to_string()))));
        if endpoint.address.is_none() {
            facts.push("no address".to_owned());
        }
        format!("{}({})", self.tidy(network), facts.join(", "))
    }

    /// A container as the list tells it.
    pub(super) fn describe_listed(&self, container: &ContainerSummary) -> String {
        let mut networks: Vec<&str> =
            container.network_ids.iter().map(|id| self.symbol_of(id).unwrap_or("other")).collect();
        networks.sort_unstable();
        format!(
            "    {} {} health={:?} networks {networks:?} labels {:?}",
            self.tidy(&container.name),
            container.state.as_str(),
            container.health,
            own_labels(&container.labels)
        )
    }

    /// Everything that a container was created with.
    pub(super) fn describe(&self, container: &ContainerDetail) -> String {
        let config = &container.config;
        let labels = own_labels(&config.labels);
        let mounts = config.mounts.iter().map(|mount| {
            let kind = match &mount.kind {
                MountKind::Volume(name) => format!("volume {}", self.tidy(name)),
                MountKind::Bind(path) => format!("host {path}"),
                MountKind::Tmpfs(bytes) => format!("tmpfs {bytes}"),
            };
            format!("{} = {kind}{}", mount.destination, if mount.read_only { ", read-only" } else { "" })
        });
        let mounts: Vec<String> = mounts.collect();
        let hostname = if config.network_mode == "host" { "of the host" } else { &config.hostname };
        [
            format!("    image {} entrypoint {:?} cmd {:?}", config.image, config.entrypoint, config.cmd),
            format!("    user `{}` directory `{}` env {:?}", config.user, config.working_dir, config.env),
            format!("    labels {labels:?} hostname {hostname}"),
            format!("    exposed {:?} published {:?}", config.exposed_ports, config.port_bindings),
            format!("    mounts {mounts:?}"),
            format!("    network mode {} ipc {} pid `{}`", config.network_mode, config.ipc_mode, config.pid_mode),
            format!("    shm {} log {} signal `{}`", config.shm_bytes, config.log_driver, config.stop_signal),
            format!("    init {} read-only {} drop {:?}", config.init, config.read_only_root, config.cap_drop),
        ]
        .map(|line| self.tidy(&line))
        .join("\n")
    }
}

/// Without the labels of the suite.
fn own_labels(labels: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let own = labels.iter().filter(|(key, _)| ![LABEL, LABEL_INSTANCE].contains(&key.as_str()));
    own.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn limits(limits: &Limits) -> Vec<String> {
    let numbers =
        [("cpus", limits.nano_cpus), ("memory", limits.memory), ("swap", limits.memory_swap), ("pids", limits.pids)];
    let told = numbers.iter().filter(|(_, value)| *value != 0).map(|(name, value)| format!("{name}={value}"));
    let policy = Some(&limits.restart).filter(|policy| *policy != "no").map(|policy| format!("restart={policy}"));
    told.chain(policy).collect()
}
