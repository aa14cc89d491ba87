//! The containers of an `McpServer`, as a `Deployment` would say it: its fields, hardened.

use super::spec::{McpRisk, McpServer, McpTransport};
use crate::host_path::clean;
use crate::kinds::deployment::{
    Deployment, Mount, NetworkList, Port, Protocol, Resources, Restart, Security, SecurityProfile,
};
use crate::object::Metadata;
use crate::units::{Bytes, MilliCpu};

/// The label that says which server a container belongs to.
pub(super) const LABEL_SERVER: &str = "mcp.server";
/// The label that says how much harm it could do.
pub(super) const LABEL_LEVEL: &str = "mcp.governance.level";
/// The label that says that its calls are audited.
pub(super) const LABEL_AUDIT: &str = "mcp.governance.audit";
/// Who its processes are unless the user says otherwise.
const DEFAULT_USER: &str = "1001:1001";
/// The directory that most programs write to.
const TMP_DIRECTORY: &str = "/tmp";
/// The size of the tmpfs there.
const TMP_BYTES: Bytes = Bytes(64 << 20);

impl McpServer {
    /// The containers, as a `Deployment` would say it. Its fields have the names that they have here, so that its faults fit.
    pub(super) fn to_deployment(&self, metadata: &Metadata) -> Deployment {
        let security = self.harden_security();
        let has_host_network = security.host_network;
        let has_user = self.user.is_some() || security.user.is_some();
        let mut mounts = self.mounts.clone();
        if !mounts.iter().any(|mount| clean(&mount.path) == TMP_DIRECTORY) {
            mounts.push(tmp_mount());
        }
        let no_network = NetworkList::Names(Vec::new());
        let port = self.port.filter(|_| self.transport() == McpTransport::Http);
        let mut labels = self.labels.clone();
        labels.insert(LABEL_SERVER.to_owned(), metadata.name.to_string());
        labels.insert(LABEL_LEVEL.to_owned(), self.risk.as_str().to_owned());
        labels.insert(LABEL_AUDIT.to_owned(), "true".to_owned());
        Deployment {
            replicas: self.min_instances(),
            image: self.image.clone().unwrap_or_default(),
            pull_policy: self.pull_policy.unwrap_or_default(),
            command: self.command.clone(),
            args: self.args.clone(),
            working_dir: self.working_dir.clone(),
            user: if has_user { self.user.clone() } else { Some(DEFAULT_USER.to_owned()) },
            hostname: self.hostname.clone(),
            env: self.env.clone(),
            ports: port.map(exposed_port).into_iter().collect(),
            networks: match (&self.networks, self.transport()) {
                (Some(networks), _) => Some(networks.clone()),
                // What speaks over its standard input needs no network, so it gets no way out.
                (None, McpTransport::Stdio) => (!has_host_network).then_some(no_network),
                (None, McpTransport::Http) => None,
            },
            mounts,
            resources: Some(self.limit_resources()),
            security: Some(security),
            depends_on: self.depends_on.clone(),
            restart: Restart::Always,
            stop: self.stop.clone(),
            strategy: self.strategy,
            state: self.state.unwrap_or_default(),
            suspend: self.suspend,
            init: self.init,
            logging: self.logging.clone(),
            ulimits: self.ulimits.clone(),
            sysctls: self.sysctls.clone(),
            devices: self.devices.clone(),
            dns: self.dns.clone(),
            extra_hosts: self.extra_hosts.clone(),
            labels,
            container_name: None,
        }
    }

    /// How many containers are always there.
    pub(super) fn min_instances(&self) -> u32 {
        self.instances.and_then(|instances| instances.min).unwrap_or(1)
    }

    /// Whether how many containers there are follows from who uses them.
    pub(super) fn is_elastic(&self) -> bool {
        self.isolation.unwrap_or_default().is_exclusive() || self.min_instances() == 0
    }

    fn harden_security(&self) -> Security {
        let written = self.security.clone().unwrap_or_default();
        Security { profile: Some(written.profile.unwrap_or(SecurityProfile::Restricted)), ..written }
    }

    /// What the user limits, and the rest by risk.
    fn limit_resources(&self) -> Resources {
        let (memory, cpu, pids) = match self.risk {
            McpRisk::Low => (Bytes(512 << 20), MilliCpu(1_000), 256),
            McpRisk::Medium => (Bytes(256 << 20), MilliCpu(1_000), 128),
            McpRisk::High => (Bytes(256 << 20), MilliCpu(500), 64),
        };
        let written = self.resources.clone().unwrap_or_default();
        Resources {
            memory: Some(written.memory.unwrap_or(memory)),
            cpu: Some(written.cpu.unwrap_or(cpu)),
            pids: Some(written.pids.unwrap_or(pids)),
            ..written
        }
    }
}

fn tmp_mount() -> Mount {
    Mount {
        volume: None,
        host: None,
        secret_file: None,
        tmpfs: Some(TMP_BYTES),
        path: TMP_DIRECTORY.to_owned(),
        read_only: false,
        create: false,
    }
}

fn exposed_port(port: u16) -> Port {
    Port { name: None, port, publish: None, protocol: Protocol::Tcp }
}
