//! Networks of the simulated Engine. Their names are not unique, and containers remember their ids.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use planner::observed::NetworkDetail;
use planner::plan::{EndpointCreate, NetworkCreate};

use super::addresses::{AddressPool, Subnet, default_subnets};
use super::container::Attachment;
use super::refusal::{Answer, Refusal};
use super::state::State;

/// One network. Its id is its key.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) id: Arc<str>,
    pub(super) name: Arc<str>,
    create: NetworkCreate,
    created_ms: u64,
    pools: Vec<AddressPool>,
    has_chosen_subnet: bool,
    is_predefined: bool,
    /// The containers that have an endpoint in it.
    pub(super) members: BTreeSet<Arc<str>>,
}

impl State {
    /// The three networks that every Engine has.
    pub(super) fn add_predefined_networks(&mut self) {
        for (name, driver) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            let create = NetworkCreate { name: name.to_owned(), driver: driver.to_owned(), ..NetworkCreate::default() };
            let added = if driver == "bridge" { self.add_network(create) } else { Ok(self.insert(create, Vec::new())) };
            if let Some(network) = added.ok().and_then(|id| self.networks.get_mut(id.as_str())) {
                network.is_predefined = true;
            }
        }
    }

    pub(super) fn list_networks(&self) -> Vec<NetworkDetail> {
        self.networks.values().map(|network| self.network_detail(network)).collect()
    }

    fn network_detail(&self, network: &Network) -> NetworkDetail {
        let create = network.create.clone();
        NetworkDetail {
            id: network.id.to_string(),
            name: create.name,
            driver: create.driver,
            internal: create.internal,
            attachable: create.attachable,
            ipv6: create.ipv6,
            subnets: create.subnets,
            options: create.options,
            labels: create.labels,
            created_ms: self.timestamp(network.created_ms),
        }
    }

    /// By full id, then by name, then by the beginning of the id; an ambiguous name finds nothing.
    pub(super) fn find_network(&self, id_or_name: &str) -> Answer<&Network> {
        if let Some(network) = self.networks.get(id_or_name) {
            return Ok(network);
        }
        let by_name: Vec<&Network> = self.networks.values().filter(|network| &*network.name == id_or_name).collect();
        match by_name.as_slice() {
            [network] => Ok(network),
            [] => {
                let mut by_prefix = self.networks.values().filter(|network| network.id.starts_with(id_or_name));
                by_prefix.next().filter(|_| !id_or_name.is_empty()).ok_or_else(|| Refusal::no_network(id_or_name))
            }
            several => {
                let count = several.len();
                Err(Refusal::new(400, format!("network {id_or_name} is ambiguous ({count} matches found on name)")))
            }
        }
    }

    pub(super) fn network_members(&self, id: &str) -> Answer<Vec<(String, String)>> {
        // The trait calls an absent network empty.
        let Ok(network) = self.find_network(id) else { return Ok(Vec::new()) };
        let members = network.members.iter().filter_map(|id| self.containers.get(id));
        Ok(members.map(|container| (container.id.to_string(), container.name.to_string())).collect())
    }

    pub(super) fn create_network(&mut self, create: NetworkCreate) -> Answer<String> {
        if create.name.trim().is_empty() {
            return Err(Refusal::new(400, "network name cannot be empty"));
        }
        if ["bridge", "host", "none", "default"].contains(&create.name.as_str()) {
            let text = format!("operation is not permitted on predefined {} network ", create.name);
            return Err(Refusal::new(403, text));
        }
        let driver = if create.driver.is_empty() { "bridge" } else { create.driver.as_str() };
        if ["host", "null"].contains(&driver) {
            return Err(Refusal::new(403, format!("only one instance of \"{driver}\" network is allowed")));
        }
        if !["bridge", "macvlan", "ipvlan"].contains(&driver) {
            return Err(Refusal::new(404, format!("plugin \"{driver}\" not found")));
        }
        let driver = driver.to_owned();
        let id = self.add_network(NetworkCreate { driver, ..create })?;
        let name = self.networks.get(id.as_str()).map(|network| network.name.to_string()).unwrap_or_default();
        self.events.network(&id, "create", &name);
        Ok(id)
    }

    fn add_network(&mut self, mut create: NetworkCreate) -> Answer<String> {
        let mut pools = Vec::new();
        for (subnet_text, gateway, range) in &create.subnets {
            if subnet_text.contains(':') {
                continue;
            }
            let Some(subnet) = Subnet::parse(subnet_text) else {
                let text = format!("Invalid subnet {subnet_text} : invalid CIDR address: {subnet_text}");
                return Err(Refusal::new(500, text));
            };
            let gateway = if gateway.is_empty() { Some(subnet.first_host()) } else { gateway.parse().ok() };
            let Some(gateway) = gateway.filter(|gateway| subnet.contains(*gateway)) else {
                return Err(Refusal::new(400, format!("no matching subnet for gateway {}", create.subnets[0].1)));
            };
            if self.is_overlapping(subnet) {
                return Err(Refusal::new(403, "Pool overlaps with other one on this address space"));
            }
            pools.push(AddressPool::new(subnet, Subnet::parse(range), gateway));
        }
        let has_chosen_subnet = !pools.is_empty();
        if pools.is_empty() {
            let Some(subnet) = default_subnets().find(|subnet| !self.is_overlapping(*subnet)) else {
                let text = "could not find an available, non-overlapping IPv4 address pool among the defaults to \
                            assign to the network";
                return Err(Refusal::new(404, text));
            };
            let gateway = subnet.first_host();
            create.subnets.push((subnet.to_string(), gateway.to_string(), String::new()));
            pools.push(AddressPool::new(subnet, None, gateway));
        }
        let id = self.insert(create, pools);
        if let Some(network) = self.networks.get_mut(id.as_str()) {
            network.has_chosen_subnet = has_chosen_subnet;
        }
        Ok(id)
    }

    fn insert(&mut self, create: NetworkCreate, pools: Vec<AddressPool>) -> String {
        let id = self.next_id();
        let shared: Arc<str> = id.as_str().into();
        let network = Network {
            id: Arc::clone(&shared),
            name: self.interner.intern(&create.name),
            create,
            created_ms: self.now_ms,
            pools,
            has_chosen_subnet: false,
            is_predefined: false,
            members: BTreeSet::new(),
        };
        self.networks.insert(shared, network);
        id
    }

    fn is_overlapping(&self, subnet: Subnet) -> bool {
        self.networks.values().flat_map(|network| &network.pools).any(|pool| pool.subnet.overlaps(subnet))
    }

    pub(super) fn remove_network(&mut self, id_or_name: &str) -> Answer<()> {
        let network = self.find_network(id_or_name)?;
        if network.is_predefined {
            let text = format!("{} is a pre-defined network and cannot be removed", network.name);
            return Err(Refusal::new(403, text));
        }
        if !network.members.is_empty() {
            let text = format!(
                "error while removing network: network {} id {} has active endpoints",
                network.name, network.id
            );
            return Err(Refusal::new(403, text));
        }
        let id = Arc::clone(&network.id);
        let name = Arc::clone(&network.name);
        self.networks.remove(&id);
        self.events.network(&id, "destroy", &name);
        Ok(())
    }

    /// Gives a container an address in a network. The caller tells of it.
    pub(super) fn join_network(
        &mut self,
        container_id: &Arc<str>,
        network_id: &str,
        fixed: Option<Ipv4Addr>,
    ) -> Answer<Option<Ipv4Addr>> {
        let Some(network) = self.networks.get_mut(network_id) else { return Err(Refusal::no_network(network_id)) };
        let address = match fixed {
            Some(_) if !network.has_chosen_subnet => {
                let text = "user specified IP address is supported only when connecting to networks with user \
                            configured subnets";
                return Err(Refusal::new(400, text));
            }
            Some(fixed) => {
                let pool = network.pools.iter_mut().find(|pool| pool.subnet.contains(fixed));
                let Some(pool) = pool else {
                    let text = format!("Invalid address {fixed}: It does not belong to any of this network's subnets");
                    return Err(Refusal::new(500, text));
                };
                if !pool.take(fixed) {
                    return Err(Refusal::new(403, "Address already in use"));
                }
                Some(fixed)
            }
            None if network.pools.is_empty() => None,
            None => {
                let Some(address) = network.pools.iter_mut().find_map(AddressPool::take_any) else {
                    let text = format!(
                        "no available IPv4 addresses on this network's address pools: {} ({})",
                        network.name, network.id
                    );
                    return Err(Refusal::new(500, text));
                };
                Some(address)
            }
        };
        network.members.insert(Arc::clone(container_id));
        Ok(address)
    }

    /// Takes a container's address back.
    pub(super) fn leave_network(&mut self, container_id: &str, network_id: &str, address: Option<Ipv4Addr>) {
        let Some(network) = self.networks.get_mut(network_id) else { return };
        network.members.remove(container_id);
        if let Some(address) = address {
            network
                .pools
                .iter_mut()
                .filter(|pool| pool.subnet.contains(address))
                .for_each(|pool| pool.release(address));
        }
    }

    pub(super) fn connect_network(&mut self, id_or_name: &str, endpoint: &EndpointCreate) -> Answer<()> {
        let container_id = self.find_container(id_or_name)?;
        let has_endpoints = self.container(&container_id)?.has_endpoints();
        let found = self.find_network(&endpoint.network_id).map(|network| (network.id.clone(), network.name.clone()));
        let (network_id, network_name) = match found {
            Ok((network_id, network_name)) => (Some(network_id), network_name),
            Err(refusal) if has_endpoints => return Err(refusal),
            // What does not run may wait for a network that is not there yet.
            Err(_) => (None, endpoint.network_id.as_str().into()),
        };
        let aliases = self.interner.intern_all(&endpoint.aliases);
        let container = self.container(&container_id)?;
        let is_known = container.attachments.iter().any(|attachment| attachment.network_name == network_name);
        match (is_known, has_endpoints) {
            (true, true) => {
                let text = format!("endpoint with name {} already exists in network {network_name}", container.name);
                return Err(Refusal::new(403, text));
            }
            // The first endpoint stays as it was asked for.
            (true, false) => return Ok(()),
            (false, _) => {}
        }
        if network_id.is_some() {
            check_exclusive(&container.attachments)?;
        }
        let mut attachment = Attachment { aliases, fixed_ipv4: endpoint.ipv4, ..Attachment::to(&network_name) };
        if let Some(network_id) = network_id.filter(|_| has_endpoints) {
            attachment.address = self.join_network(&container_id, &network_id, endpoint.ipv4)?;
            attachment.is_joined = true;
            self.events.network(&network_id, "connect", &container_id);
            attachment.network_id = Some(network_id);
        }
        self.container(&container_id)?.attachments.push(attachment);
        Ok(())
    }

    pub(super) fn disconnect_network(&mut self, id_or_name: &str, network: &str) -> Answer<()> {
        let container_id = self.find_container(id_or_name)?;
        let found = self.find_network(network).map(|network| (Arc::clone(&network.id), Arc::clone(&network.name)));
        let Some(container) = self.containers.get_mut(&container_id) else {
            return Err(Refusal::no_container(id_or_name));
        };
        let is_running = container.has_endpoints();
        let name = match &found {
            Ok((_, name)) => Arc::clone(name),
            // A network that is gone is found by the id that the container remembers.
            Err(_) => container
                .attachments
                .iter()
                .find(|attachment| attachment.network_id.as_deref() == Some(network))
                .map_or_else(|| Arc::from(network), |attachment| Arc::clone(&attachment.network_name)),
        };
        let position = container.attachments.iter().position(|attachment| attachment.network_name == name);
        let Some(position) = position else {
            let article = if is_running { "" } else { "the " };
            let text = format!("container {container_id} is not connected to {article}network {name}");
            return Err(Refusal::new(500, text));
        };
        let attachment = container.attachments.remove(position);
        if let Ok((network_id, _)) = found {
            if attachment.is_joined {
                self.leave_network(&container_id, &network_id, attachment.address);
                // A real Engine tells this one twice.
                self.events.network(&network_id, "disconnect", &container_id);
            }
            self.events.network(&network_id, "disconnect", &container_id);
        }
        Ok(())
    }
}

/// A container without a network, or with the host's, has no other.
fn check_exclusive(attachments: &[Attachment]) -> Answer<()> {
    for attachment in attachments {
        match &*attachment.network_name {
            "none" => {
                let text = "container cannot be connected to multiple networks with one of the networks in private \
                            (none) mode";
                return Err(Refusal::new(400, text));
            }
            "host" => {
                let text = "container sharing network namespace with another container or host cannot be connected to \
                            any other network";
                return Err(Refusal::new(400, text));
            }
            _ => {}
        }
    }
    Ok(())
}
