//! Endpoints: whether a container is connected as its template says, and what to do where it is not.

use crds_schema::primitive::{NetworkAttachment, NetworkMode};

use crate::inventory::{ObservedContainer, ObservedNetwork};
use crate::materialise::endpoint_of;
use crate::networks::{self, NetworkUse};
use crate::observed::Endpoint;
use crate::plan::{Cause, EndpointCreate};
use crate::world::World;

/// One repair of a container's connections.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EndpointRepair {
    /// It is missing.
    Connect {
        /// The endpoint to make.
        endpoint: EndpointCreate,
        /// Why.
        cause: Cause,
    },
    /// It lacks the object's names or its fixed address: the Engine can only make it anew.
    Reconnect {
        /// The network's full id.
        network_id: String,
        /// Its name.
        network_name: String,
        /// The endpoint to make.
        endpoint: EndpointCreate,
        /// Why.
        cause: Cause,
    },
    /// Nobody asked for it.
    Disconnect {
        /// The network's full id.
        network_id: String,
        /// Its name.
        network_name: String,
        /// Why.
        cause: Cause,
    },
}

impl EndpointRepair {
    /// Why.
    pub(crate) fn cause(&self) -> &Cause {
        match self {
            Self::Connect { cause, .. } | Self::Reconnect { cause, .. } | Self::Disconnect { cause, .. } => cause,
        }
    }

    /// The reason of the event.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "NetworkDisconnected",
            Self::Reconnect { .. } => "EndpointChanged",
            Self::Disconnect { .. } => "NetworkConnected",
        }
    }
}

/// What must be repaired. `is_named`: whether the container is to be found by the object's names now.
pub(crate) fn repairs(
    world: &World,
    mode: &NetworkMode,
    container: &ObservedContainer,
    is_named: bool,
) -> Vec<EndpointRepair> {
    let mut repairs = Vec::new();
    let mut wanted: Vec<&ObservedNetwork> = Vec::new();
    for attachment in mode.attachments() {
        if let NetworkUse::Ready(network) = networks::network_use(world, &attachment.network) {
            wanted.push(network);
            repairs.extend(repair(world, container, network, attachment, is_named));
        } else {
            // Nobody says what it should be now: whoever is in it stays.
            wanted.extend(world.networks_of(&attachment.network));
        }
    }
    repairs.extend(bridge_repair(world, mode, container));
    let built_in = match mode {
        NetworkMode::Bridge => "bridge",
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
        NetworkMode::Joined(_) => "",
    };
    for (name, endpoint) in &container.endpoints {
        let is_wanted = **name == *built_in || wanted.iter().any(|network| is_endpoint_of(name, endpoint, network));
        // An endpoint without an id was never used: its network is named by the template, and may not be there yet.
        if !is_wanted && !endpoint.network_id.is_empty() && world.network(&endpoint.network_id).is_some() {
            repairs.push(EndpointRepair::Disconnect {
                network_id: endpoint.network_id.clone(),
                network_name: name.to_string(),
                cause: Cause::ConnectedTwice(name.to_string()),
            });
        }
    }
    repairs
}

/// A container of the default bridge is in it while it runs; the Engine itself connects one that it starts.
fn bridge_repair(world: &World, mode: &NetworkMode, container: &ObservedContainer) -> Option<EndpointRepair> {
    let is_connected = container.endpoints.iter().any(|(name, _)| **name == *"bridge");
    if !matches!(mode, NetworkMode::Bridge) || is_connected || !container.is_up() {
        return None;
    }
    let bridge = world.networks_named("bridge").next()?;
    let (network_id, network_name) = (bridge.id.to_string(), bridge.name.to_string());
    let cause = Cause::Disconnected(network_name.clone());
    let endpoint = EndpointCreate { network_id, network_name, ..Default::default() };
    Some(EndpointRepair::Connect { endpoint, cause })
}

fn repair(
    world: &World,
    container: &ObservedContainer,
    network: &ObservedNetwork,
    attachment: &NetworkAttachment,
    is_named: bool,
) -> Option<EndpointRepair> {
    let endpoint = endpoint_of(world, attachment, is_named)?;
    let has_run = container.started_ms.is_some();
    let found = container.endpoints.iter().find(|(name, endpoint)| is_endpoint_of(name, endpoint, network));
    let Some((_, current)) = found else {
        // A container that never ran may have lost its maker before it was connected everywhere.
        let cause = if has_run { Cause::Disconnected(network.name.to_string()) } else { Cause::Created };
        return Some(EndpointRepair::Connect { endpoint, cause });
    };
    let lacks_names = is_named && !attachment.aliases.iter().all(|alias| current.aliases.contains(alias));
    let lacks_address = attachment.ipv4.is_some() && current.fixed_ipv4 != attachment.ipv4;
    if !container.is_up() || (!lacks_names && !lacks_address) {
        return None;
    }
    let has_no_names = attachment.aliases.iter().all(|alias| !current.aliases.contains(alias));
    let is_withheld = lacks_names && has_no_names && !lacks_address;
    let cause = if is_withheld { Cause::BecameReady } else { Cause::EndpointDiffers(network.name.to_string()) };
    Some(EndpointRepair::Reconnect {
        network_id: network.id.to_string(),
        network_name: network.name.to_string(),
        endpoint,
        cause,
    })
}

/// Whether an endpoint is in a network. Before the first start the Engine knows it by the name or id that it was asked for.
fn is_endpoint_of(name: &str, endpoint: &Endpoint, network: &ObservedNetwork) -> bool {
    if endpoint.network_id.is_empty() {
        *name == *network.name || *name == *network.id
    } else {
        *endpoint.network_id == *network.id
    }
}

/// The name of a network that a container is bound to and that is gone, so that it can never be started again. The Engine's own
/// networks do not count: it binds to them anew.
pub(crate) fn gone_network(world: &World, container: &ObservedContainer) -> Option<String> {
    container
        .endpoints
        .iter()
        .filter(|(name, _)| !matches!(&**name, "bridge" | "host" | "none"))
        .find(|(name, endpoint)| {
            let is_gone = !endpoint.network_id.is_empty() && world.network(&endpoint.network_id).is_none();
            // Connected before its first start to a network that went at that moment, it is filed under the id that was asked for.
            let is_filed_by_id = endpoint.network_id.is_empty() && is_full_id(name) && world.network(name).is_none();
            is_gone || is_filed_by_id
        })
        .map(|(name, _)| name.to_string())
}

fn is_full_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
