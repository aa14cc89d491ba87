//! Endpoints: joining and leaving networks, by hand or by a start.

use std::net::Ipv4Addr;
use std::sync::Arc;

use planner::plan::EndpointCreate;

use super::addresses::AddressPool;
use super::container::Attachment;
use super::refusal::{Answer, Refusal};
use super::state::State;

impl State {
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
