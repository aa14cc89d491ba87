//! A `Deployment` lowers to a set of containers.

use std::net::{IpAddr, Ipv4Addr};

use super::spec::{
    DependsOnCondition, Deployment, Mount, NetworkList, OnFailure, Port, Protocol, Publish, PullPolicy, Restart,
    RunState, Seccomp, Security, SecurityProfile,
};
use crate::kinds::Kind;
use crate::name::Name;
use crate::object::{Metadata, ObjectKey};
use crate::primitive::{self, ContainerSet, ContainerSpec, Lowered, MountSource, MountSpec, Primitive};
use crate::units::Bytes;

/// How long a container has after its stop signal when the user does not say.
const DEFAULT_STOP_GRACE_SECS: u64 = 10;
/// How long a replacement must have been ready before what it replaces is stopped.
const MIN_READY_MS: i64 = 5_000;
/// How long a new container may fail to serve when the user does not say.
const PROGRESS_DEADLINE_MS: i64 = 5 * 60_000;
/// The limit of processes of the profiles `baseline` and `privileged`.
const DEFAULT_PIDS: i64 = 1024;
/// The limit of processes of the profile `restricted`.
const RESTRICTED_PIDS: i64 = 256;
/// The size of the tmpfs on `/tmp` that the profile `restricted` adds.
const RESTRICTED_TMP_BYTES: u64 = 64 << 20;

impl Deployment {
    pub(crate) fn lower(&self, metadata: &Metadata) -> Lowered {
        let security = self.security.clone().unwrap_or_default();
        let template = self.lower_template(metadata, &security);
        let replace_order = self.derive_replace_order(&template);
        let key =
            ObjectKey { kind: Kind::Deployment, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let set = ContainerSet {
            base_name: key.engine_name(),
            replicas: self.replicas,
            is_elastic: false,
            template,
            live: self.lower_live(&security),
            pull_policy: match self.pull_policy {
                PullPolicy::Always => primitive::PullPolicy::Always,
                PullPolicy::IfNotPresent => primitive::PullPolicy::IfNotPresent,
                PullPolicy::Never => primitive::PullPolicy::Never,
            },
            run: match self.state {
                RunState::Running => primitive::RunState::Running,
                RunState::Stopped => primitive::RunState::Stopped,
            },
            readiness: primitive::Readiness::Engine,
            min_ready_ms: MIN_READY_MS,
            progress_deadline_ms: self.progress_deadline_ms(),
            on_failure: match self.strategy.unwrap_or_default().on_failure {
                OnFailure::Rollback => primitive::OnFailure::Rollback,
                OnFailure::Pause => primitive::OnFailure::Pause,
            },
            release_ms: 0,
            replace_order,
            stop_grace_secs: self.stop_grace_secs(),
            may_mount_any_host_path: security.profile() == SecurityProfile::Privileged,
        };
        Lowered {
            primitive: Primitive::Containers(Box::new(set)),
            suspend: self.suspend,
            depends_on: self.lower_dependencies(&metadata.namespace),
        }
    }

    fn lower_template(&self, metadata: &Metadata, security: &Security) -> ContainerSpec {
        let is_restricted = security.profile() == SecurityProfile::Restricted;
        let mut mounts: Vec<MountSpec> =
            self.mounts.iter().map(|mount| lower_mount(mount, &metadata.namespace)).collect();
        let lowered_security = lower_security(security);
        if is_restricted && lowered_security.read_only_root && !mounts.iter().any(|mount| mount.path == "/tmp") {
            mounts.push(MountSpec {
                path: "/tmp".into(),
                source: MountSource::Tmpfs(RESTRICTED_TMP_BYTES),
                read_only: false,
            });
        }
        mounts.sort();
        let mut ports: Vec<primitive::PortSpec> = self.ports.iter().map(lower_port).collect();
        ports.sort();
        ContainerSpec {
            image: self.image.clone(),
            exact_name: self.container_name.clone(),
            entrypoint: self.command.clone(),
            args: self.args.clone(),
            working_dir: self.working_dir.clone(),
            user: self.user.clone().or_else(|| security.user.clone()),
            hostname: self.hostname.clone(),
            env: self.env.clone(),
            labels: self.labels.clone(),
            ports,
            networks: self.lower_networks(metadata, security),
            mounts,
            shm_bytes: self.resources.as_ref().and_then(|resources| resources.shm).map(|Bytes(bytes)| bytes),
            security: lowered_security,
            stop_signal: self.stop.as_ref().and_then(|stop| stop.signal.clone()).unwrap_or_else(|| "SIGTERM".into()),
            init: self.init,
            ulimits: self.lower_ulimits(),
            sysctls: self.sysctls.clone(),
            devices: self.lower_devices(),
            logging: self.logging.as_ref().map(|logging| primitive::LoggingSpec {
                driver: logging.driver.clone(),
                options: logging.options.clone(),
            }),
            dns: self.dns.as_ref().map_or_else(primitive::DnsSpec::default, |dns| primitive::DnsSpec {
                servers: dns.servers.clone(),
                searches: dns.searches.clone(),
                options: dns.options.clone(),
            }),
            extra_hosts: self.extra_hosts.clone(),
            open_stdin: false,
        }
    }

    fn lower_networks(&self, metadata: &Metadata, security: &Security) -> primitive::NetworkMode {
        if security.host_network {
            return primitive::NetworkMode::Host;
        }
        let attach = |network: &Name, aliases: &[String], ipv4: Option<Ipv4Addr>| {
            let mut all = vec![metadata.name.to_string()];
            all.extend(aliases.iter().filter(|alias| *alias != metadata.name.as_str()).cloned());
            primitive::NetworkAttachment {
                network: ObjectKey {
                    kind: Kind::Network,
                    namespace: metadata.namespace.clone(),
                    name: network.clone(),
                },
                aliases: all,
                ipv4,
            }
        };
        let attachments: Vec<_> = match &self.networks {
            None => return primitive::NetworkMode::Bridge,
            Some(NetworkList::Names(names)) => names.iter().map(|name| attach(name, &[], None)).collect(),
            Some(NetworkList::WithOptions(networks)) => {
                networks.iter().map(|(name, options)| attach(name, &options.aliases, options.ipv4)).collect()
            }
        };
        if attachments.is_empty() { primitive::NetworkMode::None } else { primitive::NetworkMode::Joined(attachments) }
    }

    fn lower_live(&self, security: &Security) -> primitive::LiveSpec {
        let resources = self.resources.clone().unwrap_or_default();
        let default_pids = match security.profile() {
            SecurityProfile::Restricted => RESTRICTED_PIDS,
            SecurityProfile::Baseline | SecurityProfile::Privileged => DEFAULT_PIDS,
        };
        primitive::LiveSpec {
            cpu_millis: resources.cpu.map(|cpu| cpu.0),
            memory_bytes: resources.memory.map(|memory| memory.0),
            memory_swap_bytes: resources.memory_swap.map(|Bytes(bytes)| i64::try_from(bytes).unwrap_or(i64::MAX)),
            pids: Some(resources.pids.map_or(default_pids, i64::from)),
            restart: match self.restart {
                Restart::Always => primitive::RestartPolicy::Always,
                Restart::OnFailure => primitive::RestartPolicy::OnFailure,
                Restart::Never => primitive::RestartPolicy::Never,
            },
        }
    }

    fn lower_ulimits(&self) -> Vec<primitive::UlimitSpec> {
        let lower = |(name, ulimit): (&String, &super::spec::Ulimit)| primitive::UlimitSpec {
            name: name.clone(),
            soft: ulimit.soft,
            hard: ulimit.hard.unwrap_or(ulimit.soft),
        };
        self.ulimits.iter().map(lower).collect()
    }

    fn lower_devices(&self) -> Vec<primitive::DeviceSpec> {
        let mut devices: Vec<_> = self
            .devices
            .iter()
            .map(|device| primitive::DeviceSpec {
                host_path: device.host.clone(),
                path: device.path.clone().unwrap_or_else(|| device.host.clone()),
                permissions: device.permissions.clone().unwrap_or_else(|| "rwm".into()),
            })
            .collect();
        devices.sort();
        devices
    }

    fn lower_dependencies(&self, namespace: &Name) -> Vec<primitive::Dependency> {
        let mut dependencies: Vec<_> = self
            .depends_on
            .iter()
            .filter_map(|dependency| {
                let kind = Kind::parse(&dependency.kind)?;
                let namespace = dependency.namespace.clone().unwrap_or_else(|| namespace.clone());
                Some(primitive::Dependency {
                    key: ObjectKey { kind, namespace, name: dependency.name.clone() },
                    condition: match dependency.condition {
                        DependsOnCondition::Exists => primitive::DependencyCondition::Exists,
                        DependsOnCondition::Ready => primitive::DependencyCondition::Ready,
                    },
                })
            })
            .collect();
        dependencies.sort();
        dependencies.dedup();
        dependencies
    }

    fn stop_grace_secs(&self) -> u32 {
        let grace = self.stop.as_ref().and_then(|stop| stop.grace);
        let secs = grace.map_or(DEFAULT_STOP_GRACE_SECS, |grace| grace.0.as_secs());
        u32::try_from(secs).unwrap_or(u32::MAX)
    }

    fn progress_deadline_ms(&self) -> i64 {
        let deadline = self.strategy.and_then(|strategy| strategy.progress_deadline);
        deadline.map_or(PROGRESS_DEADLINE_MS, |deadline| i64::try_from(deadline.0.as_millis()).unwrap_or(i64::MAX))
    }

    /// Start-first wherever two generations can coexist.
    fn derive_replace_order(&self, template: &ContainerSpec) -> primitive::ReplaceOrder {
        use primitive::{ReplaceOrder, StopFirstReason};
        if let Some(name) = &self.container_name {
            return ReplaceOrder::StopFirst(StopFirstReason::ExactName(name.clone()));
        }
        if let Some(host_port) = template.ports.iter().find_map(|port| port.publish) {
            return ReplaceOrder::StopFirst(StopFirstReason::PublishedPort(host_port.port));
        }
        if template.networks == primitive::NetworkMode::Host
            && let Some(port) = template.ports.first()
        {
            return ReplaceOrder::StopFirst(StopFirstReason::PublishedPort(port.port));
        }
        if let Some(address) = template.networks.attachments().iter().find_map(|attachment| attachment.ipv4) {
            return ReplaceOrder::StopFirst(StopFirstReason::FixedAddress(address));
        }
        let written = template.mounts.iter().filter(|mount| !mount.read_only).find_map(|mount| match &mount.source {
            MountSource::Volume(key) => Some(key.to_string()),
            MountSource::Host { path, .. } => Some(path.clone()),
            MountSource::Tmpfs(_) => None,
        });
        match written {
            // With more replicas the user has said that several may write at once.
            Some(written) if self.replicas <= 1 => ReplaceOrder::StopFirst(StopFirstReason::SingleWriter(written)),
            Some(_) | None => ReplaceOrder::StartFirst,
        }
    }
}

fn lower_security(security: &Security) -> primitive::SecuritySpec {
    let is_restricted = security.profile() == SecurityProfile::Restricted;
    let mut cap_drop = normalise_capabilities(&security.cap_drop);
    if is_restricted && cap_drop.is_empty() {
        cap_drop.push("ALL".into());
    }
    primitive::SecuritySpec {
        privileged: security.privileged,
        no_new_privileges: security.no_new_privileges.unwrap_or(!security.privileged),
        read_only_root: security.read_only_root.unwrap_or(is_restricted),
        cap_add: normalise_capabilities(&security.cap_add),
        cap_drop,
        host_pid: security.host_pid,
        host_ipc: security.host_ipc,
        seccomp_unconfined: security.seccomp == Some(Seccomp::Unconfined),
    }
}

/// Upper case, without `CAP_`, sorted: the Engine keeps every spelling that it is sent.
fn normalise_capabilities(capabilities: &[String]) -> Vec<String> {
    let normalise = |capability: &String| {
        let upper = capability.to_ascii_uppercase();
        upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
    };
    let mut normal: Vec<String> = capabilities.iter().map(normalise).collect();
    normal.sort();
    normal.dedup();
    normal
}

fn lower_port(port: &Port) -> primitive::PortSpec {
    primitive::PortSpec {
        port: port.port,
        protocol: match port.protocol {
            Protocol::Tcp => primitive::Protocol::Tcp,
            Protocol::Udp => primitive::Protocol::Udp,
            Protocol::Sctp => primitive::Protocol::Sctp,
        },
        publish: port.publish.as_ref().and_then(Publish::host_port),
    }
}

impl Publish {
    /// The address and port that are meant; `None` where the text is neither `PORT` nor `IP:PORT`.
    pub fn host_port(&self) -> Option<primitive::HostPort> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (ip, port) = match self {
            Self::Port(port) => (loopback, *port),
            Self::Address(text) => match text.rsplit_once(':') {
                None => (loopback, text.parse().ok()?),
                Some((ip, port)) => (ip.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?),
            },
        };
        (port != 0).then_some(primitive::HostPort { ip, port })
    }
}

fn lower_mount(mount: &Mount, namespace: &Name) -> MountSpec {
    let source = if let Some(volume) = &mount.volume {
        MountSource::Volume(ObjectKey { kind: Kind::Volume, namespace: namespace.clone(), name: volume.clone() })
    } else if let Some(path) = &mount.host {
        MountSource::Host { path: path.clone(), create: mount.create }
    } else if let Some(path) = &mount.secret_file {
        MountSource::Host { path: path.clone(), create: false }
    } else {
        MountSource::Tmpfs(mount.tmpfs.map_or(0, |Bytes(bytes)| bytes))
    };
    let read_only = mount.read_only || mount.secret_file.is_some();
    MountSpec { path: clean_path(&mount.path), source, read_only }
}

/// Without a trailing or a doubled slash, as the Engine reports paths back.
fn clean_path(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    format!("/{}", parts.join("/"))
}
