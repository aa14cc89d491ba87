//! What a `Deployment` claims: ports, addresses, names, and the objects that it refers to.

use std::net::{IpAddr, Ipv4Addr};

use super::spec::{Deployment, NetworkList, Port, Protocol, Publish};
use crate::claim::{Claim, Claimed, EngineNameSort};
use crate::kinds::Kind;
use crate::name::Name;
use crate::object::{Metadata, ObjectKey};
use crate::primitive::{self, HostPort};
use crate::source_map::key_path;

impl Deployment {
    pub(crate) fn claims(&self, metadata: &Metadata) -> Vec<Claim> {
        let mut claims = Vec::new();
        if let Some(name) = &self.container_name {
            let what = Claimed::EngineName(EngineNameSort::Container, name.clone());
            claims.push(Claim { field: "spec.containerName".to_owned(), what });
        }
        let uses_host_network = self.security.as_ref().is_some_and(|security| security.host_network);
        for (index, port) in self.ports.iter().enumerate() {
            if let Some((field, host_port)) = claimed_host_port(index, port, uses_host_network) {
                claims.push(Claim { field, what: Claimed::HostPort(host_port, lower_protocol(port.protocol)) });
            }
        }
        self.claim_networks(metadata, &mut claims);
        for (index, mount) in self.mounts.iter().enumerate() {
            if let Some(volume) = &mount.volume {
                let what = Claimed::Reference(neighbour(Kind::Volume, metadata, volume));
                claims.push(Claim { field: format!("spec.mounts[{index}].volume"), what });
            }
        }
        for (index, dependency) in self.depends_on.iter().enumerate() {
            if let Some(kind) = Kind::parse(&dependency.kind) {
                let namespace = dependency.namespace.clone().unwrap_or_else(|| metadata.namespace.clone());
                let key = ObjectKey { kind, namespace, name: dependency.name.clone() };
                claims.push(Claim { field: format!("spec.dependsOn[{index}]"), what: Claimed::Dependency(key) });
            }
        }
        claims
    }

    fn claim_networks(&self, metadata: &Metadata, claims: &mut Vec<Claim>) {
        match &self.networks {
            None => {}
            Some(NetworkList::Names(names)) => {
                for (index, name) in names.iter().enumerate() {
                    let what = Claimed::Reference(neighbour(Kind::Network, metadata, name));
                    claims.push(Claim { field: format!("spec.networks[{index}]"), what });
                }
            }
            Some(NetworkList::WithOptions(networks)) => {
                for (name, options) in networks {
                    let field = key_path("spec.networks", name.as_str());
                    let network = neighbour(Kind::Network, metadata, name);
                    if let Some(address) = options.ipv4 {
                        let what = Claimed::Address(network.clone(), IpAddr::V4(address));
                        claims.push(Claim { field: format!("{field}.ipv4"), what });
                    }
                    claims.push(Claim { field, what: Claimed::Reference(network) });
                }
            }
        }
    }
}

/// The port of the host that a port of the container takes.
fn claimed_host_port(index: usize, port: &Port, uses_host_network: bool) -> Option<(String, HostPort)> {
    if uses_host_network {
        let every_address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        return Some((format!("spec.ports[{index}].port"), HostPort { ip: every_address, port: port.port }));
    }
    let host_port = port.publish.as_ref().and_then(Publish::host_port)?;
    Some((format!("spec.ports[{index}].publish"), host_port))
}

/// An object of the same namespace.
fn neighbour(kind: Kind, metadata: &Metadata, name: &Name) -> ObjectKey {
    ObjectKey { kind, namespace: metadata.namespace.clone(), name: name.clone() }
}

const fn lower_protocol(protocol: Protocol) -> primitive::Protocol {
    match protocol {
        Protocol::Tcp => primitive::Protocol::Tcp,
        Protocol::Udp => primitive::Protocol::Udp,
        Protocol::Sctp => primitive::Protocol::Sctp,
    }
}
