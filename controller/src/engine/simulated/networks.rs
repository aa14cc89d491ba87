//! Networks of the simulated Engine. Their names are not unique, and containers remember their ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use planner::observed::NetworkDetail;
use planner::plan::NetworkCreate;

use super::addresses::{AddressPool, Subnet, default_subnets};
use super::refusal::{Answer, Refusal};
use super::state::State;

/// One network. Its id is its key.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) id: Arc<str>,
    pub(super) name: Arc<str>,
    create: NetworkCreate,
    created_ms: u64,
    pub(super) pools: Vec<AddressPool>,
    pub(super) has_chosen_subnet: bool,
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

    pub(super) fn network_members(&self, id: &str) -> Vec<(String, String)> {
        // The trait calls an absent network empty.
        let Ok(network) = self.find_network(id) else { return Vec::new() };
        let members = network.members.iter().filter_map(|id| self.containers.get(id));
        members.map(|container| (container.id.to_string(), container.name.to_string())).collect()
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
}
