//! What a `Network` must mean to be accepted.

use std::net::IpAddr;

use super::spec::{Network, Subnet};
use crate::address::Cidr;
use crate::diagnostic::Diagnostic;
use crate::grammar::{check_engine_name, check_labels, echo};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};

/// Networks that every Engine has.
const ENGINE_NETWORKS: [&str; 4] = ["bridge", "host", "none", "default"];
/// How many addresses a subnet must have for containers.
const MIN_USABLE_ADDRESSES: u32 = 1;

impl Network {
    pub(crate) fn validate(&self, metadata: &Metadata) -> Vec<Diagnostic> {
        let mut faults = check_labels("spec.labels", &self.labels);
        faults.extend(check_labels("spec.options", &self.options));
        faults.extend(self.check_driver());
        faults.extend(self.check_name(metadata));
        self.check_subnets(&mut faults);
        faults
    }

    fn check_driver(&self) -> Option<Diagnostic> {
        let driver = self.driver.as_deref()?;
        let problem = match driver {
            "host" | "none" | "null" => "the Engine has exactly one network of this driver",
            "" => "it is empty",
            _ => return None,
        };
        let fault = Diagnostic::error("E0126", format!("the driver `{}` cannot be used: {problem}", echo(driver)));
        Some(fault.hint("leave `driver` out for `bridge`").at("spec.driver"))
    }

    fn check_name(&self, metadata: &Metadata) -> Option<Diagnostic> {
        let key = ObjectKey { kind: Kind::Network, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let derived = key.engine_name();
        let (path, name) = match &self.engine_name {
            Some(name) => ("spec.engineName", name),
            None => ("metadata.name", &derived),
        };
        if ENGINE_NETWORKS.contains(&name.as_str()) {
            let fault = Diagnostic::error("E0201", format!("`{name}` is a network that every Engine has"));
            return Some(fault.hint("choose another name, or set `spec.engineName`").at(path));
        }
        self.engine_name.as_ref().and_then(|name| check_engine_name("spec.engineName", name))
    }

    fn check_subnets(&self, faults: &mut Vec<Diagnostic>) {
        let subnets = self.ipam.as_ref().map_or(&[][..], |ipam| &ipam.subnets);
        let mut accepted: Vec<Cidr> = Vec::new();
        for (index, subnet) in subnets.iter().enumerate() {
            let path = format!("spec.ipam.subnets[{index}]");
            let range: Cidr = match subnet.subnet.parse() {
                Ok(range) => range,
                Err(error) => {
                    let message = format!("`{}` is {error}", echo(&subnet.subnet)).replace(" is has ", " has ");
                    faults.push(Diagnostic::error("E0220", message).at(format!("{path}.subnet")));
                    continue;
                }
            };
            faults.extend(self.check_range(&path, &range));
            if let Some(other) = accepted.iter().find(|other| other.encloses(&range) || range.encloses(other)) {
                let message = format!("the subnet `{range}` overlaps `{other}` of the same network");
                faults.push(Diagnostic::error("E0220", message).at(format!("{path}.subnet")));
            } else if let Some(other) = accepted.iter().find(|other| other.is_ipv4() == range.is_ipv4())
                && self.driver.as_deref().unwrap_or("bridge") == "bridge"
            {
                let message = format!("a bridge has one subnet of each IP version, and `{other}` is one already");
                faults.push(Diagnostic::error("E0220", message).at(format!("{path}.subnet")));
            }
            check_members(&path, subnet, &range, faults);
            accepted.push(range);
        }
    }

    fn check_range(&self, path: &str, range: &Cidr) -> Option<Diagnostic> {
        let path = format!("{path}.subnet");
        if range.usable_addresses() < MIN_USABLE_ADDRESSES {
            let fault = Diagnostic::error("E0220", format!("the subnet `{range}` has no address for a container"));
            return Some(fault.hint("use a prefix of at most `/29`").at(path));
        }
        if !range.is_ipv4() && !self.ipv6 {
            let fault = Diagnostic::error("E0220", format!("`{range}` is IPv6, but the network is not"));
            return Some(fault.hint("set `ipv6: true`").at(path));
        }
        let first = range.first();
        let is_unusable = first.is_multicast() || first.is_loopback() || first.is_unspecified();
        is_unusable.then(|| {
            let fault = Diagnostic::error("E0220", format!("the subnet `{range}` cannot be used by containers"));
            fault.hint("use a private range such as `10.77.0.0/24`").at(path)
        })
    }
}

/// The gateway and the range must lie in the subnet.
fn check_members(path: &str, subnet: &Subnet, range: &Cidr, faults: &mut Vec<Diagnostic>) {
    if let Some(gateway) = &subnet.gateway {
        let problem = match gateway.parse::<IpAddr>() {
            Err(_) => Some("is not a literal IP address".to_owned()),
            Ok(address) if !range.contains(address) => Some(format!("lies outside the subnet `{range}`")),
            Ok(address) if range.is_ipv4() && (address == range.first() || address == range.last()) => {
                Some(format!("is the network's or the broadcast address of `{range}`"))
            }
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            let message = format!("the gateway `{}` {problem}", echo(gateway));
            faults.push(Diagnostic::error("E0220", message).at(format!("{path}.gateway")));
        }
    }
    if let Some(text) = &subnet.range {
        let problem = match text.parse::<Cidr>() {
            Err(error) => Some(format!("is {error}").replace("is has ", "has ")),
            Ok(part) if !range.encloses(&part) => Some(format!("lies outside the subnet `{range}`")),
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            let message = format!("the range `{}` {problem}", echo(text));
            faults.push(Diagnostic::error("E0220", message).at(format!("{path}.range")));
        }
    }
}
