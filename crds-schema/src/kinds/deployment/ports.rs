//! The ports of a `Deployment`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::spec::{Deployment, NetworkList, Publish};
use super::validate::only_one_replica;
use crate::diagnostic::Diagnostic;
use crate::grammar::echo;

/// Every fault of the ports, and of what they have to do with networks and replicas.
pub(super) fn check_ports(deployment: &Deployment, faults: &mut Vec<Diagnostic>) {
    let mut ports = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut host_ports = BTreeMap::new();
    for (index, port) in deployment.ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        if let Some(earlier) = ports.insert((port.port, port.protocol as u8), index) {
            let message = format!("port {} is listed twice, in `spec.ports[{earlier}]` too", port.port);
            let fault = Diagnostic::error("E0211", message).hint("keep one of the two");
            faults.push(fault.at(format!("{path}.port")));
        }
        if let Some(name) = &port.name
            && let Some(earlier) = names.insert(name, index)
        {
            let message = format!("the name `{name}` is also that of `spec.ports[{earlier}]`");
            faults.push(Diagnostic::error("E0211", message).at(format!("{path}.name")));
        }
        let Some(publish) = &port.publish else { continue };
        let path = format!("{path}.publish");
        if let Some(fault) = publish_fault(publish, port.port) {
            faults.push(fault.at(path));
            continue;
        }
        if deployment.replicas > 1 {
            faults.push(only_one_replica("a port of the host", deployment.replicas).at(path.clone()));
        }
        if let Some(host_port) = publish.host_port()
            && let Some(earlier) = host_ports.insert((host_port, port.protocol as u8), index)
        {
            let message = format!("`spec.ports[{earlier}]` publishes the same port of the host");
            faults.push(Diagnostic::error("E0212", message).at(path));
        }
    }
    check_network_mode(deployment, faults);
}

fn check_network_mode(deployment: &Deployment, faults: &mut Vec<Diagnostic>) {
    let published = deployment.ports.iter().position(|port| port.publish.is_some());
    if deployment.security.as_ref().is_some_and(|security| security.host_network) {
        if let Some(index) = published {
            let fault = Diagnostic::error("E0214", "with `hostNetwork` a port needs no publishing");
            faults.push(fault.hint("remove `publish`").at(format!("spec.ports[{index}].publish")));
        }
        if deployment.networks.is_some() {
            let fault = Diagnostic::error("E0214", "with `hostNetwork` no other network can be joined");
            faults.push(fault.hint("remove `networks`").at("spec.networks"));
        }
        if deployment.replicas > 1 && !deployment.ports.is_empty() {
            faults.push(only_one_replica("a port of the host", deployment.replicas).at("spec.ports"));
        }
        return;
    }
    let joins_none = match &deployment.networks {
        Some(NetworkList::Names(names)) => names.is_empty(),
        Some(NetworkList::WithOptions(networks)) => networks.is_empty(),
        None => false,
    };
    if let (true, Some(index)) = (joins_none, published) {
        let fault = Diagnostic::error("E0214", "a container without a network cannot publish a port");
        faults.push(fault.hint("join a network, or remove `publish`").at(format!("spec.ports[{index}].publish")));
    }
}

/// What is wrong with the place on the host that a port is published at.
fn publish_fault(publish: &Publish, container_port: u16) -> Option<Diagnostic> {
    let Publish::Address(text) = publish else { return None };
    let bad = |problem: &str| Diagnostic::error("E0211", format!("cannot publish at `{}`: {problem}", echo(text)));
    let syntax = "write a port, or `IP:PORT` such as `\"127.0.0.1:8080\"`";
    if let Some((_, protocol)) = text.split_once('/') {
        return Some(bad("it names a protocol").hint(format!("write `protocol: {}`", echo(protocol))));
    }
    let Some((ip, port)) = text.rsplit_once(':') else {
        return port_fault(text).map(|problem| bad(problem).hint(syntax));
    };
    if let Some(problem) = port_fault(port) {
        return Some(bad(problem).hint(syntax));
    }
    if ip.parse::<u16>().is_ok() {
        let hint = format!("the port in the container is `port`; write `port: {port}` and `publish: {ip}`");
        return Some(bad("it is written as in Compose").hint(hint));
    }
    if let Some(inner) = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        return match inner.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => None,
            Ok(IpAddr::V4(_)) | Err(_) => Some(bad("what stands in brackets is not an IPv6 address").hint(syntax)),
        };
    }
    match ip.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => None,
        Ok(IpAddr::V6(_)) => Some(bad("an IPv6 address stands in brackets").hint(format!("write `[{ip}]:{port}`"))),
        Err(_) => {
            let message = if ip.is_empty() {
                "the address is missing".to_owned()
            } else {
                format!("`{}` is not a literal IP address", echo(ip))
            };
            let hint = match ip {
                "localhost" => format!("write `127.0.0.1:{port}`"),
                "" | "*" => format!("write `0.0.0.0:{port}` for every interface, which other machines reach"),
                // A container's port is the least surprising example.
                _ => format!("write `127.0.0.1:{container_port}`, or the address of an interface"),
            };
            Some(Diagnostic::error("E0213", format!("cannot publish: {message}")).hint(hint))
        }
    }
}

fn port_fault(text: &str) -> Option<&'static str> {
    if text.contains('-') {
        return Some("a range of ports cannot be published");
    }
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Some("the port is not a number");
    }
    match text.parse::<u16>() {
        Ok(0) | Err(_) => Some("a port is 1 to 65535"),
        Ok(_) if text.starts_with('0') => Some("the port has a leading zero"),
        Ok(_) => None,
    }
}
