//! What is told of servers and gateways, by what hubs say. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gateway::hub::{HubStatus, InstanceHealth};
use planner::inventory::ProbeOutcome;
use planner::world::{Report, ReportStatus};

use super::server::WantedServer;

/// How every instance is, by its id.
pub(super) type HealthMap = BTreeMap<String, InstanceHealth>;

/// How a gateway is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GatewayState {
    /// It listens there.
    Serving(SocketAddr),
    /// It does not, and is tried again; the reason in one word and in one sentence.
    Failed(&'static str, String),
    /// It was suspended before it ever listened.
    Suspended,
}

/// One health for each instance, where several hubs ask the same one: it answers when it answers any.
pub(super) fn merge<'maps>(maps: impl IntoIterator<Item = &'maps HealthMap>) -> HealthMap {
    let rank = |health: &InstanceHealth| match health {
        InstanceHealth::Ready => 2,
        InstanceHealth::Failed(_) => 1,
        InstanceHealth::Unknown => 0,
    };
    let mut merged = HealthMap::new();
    for (id, health) in maps.into_iter().flatten() {
        match merged.get(id) {
            Some(known) if rank(known) >= rank(health) => {}
            Some(_) | None => drop(merged.insert(id.clone(), health.clone())),
        }
    }
    merged
}

/// What a probe has come to. A hub that has not asked yet takes back nothing that another one found.
pub(super) fn outcome_of(health: &InstanceHealth) -> Option<ProbeOutcome> {
    match health {
        InstanceHealth::Unknown => None,
        InstanceHealth::Ready => Some(ProbeOutcome::Ready),
        InstanceHealth::Failed(why) => Some(ProbeOutcome::Failed(why.clone())),
    }
}

/// What is told of a server beside its containers: everything of one that has none, and that no gateway offers it.
pub(super) fn report_server(server: &WantedServer, is_offered: bool, health: &HealthMap) -> Option<Report> {
    let ready = |reason, message: &str| (ReportStatus::Ready, reason, message.to_owned());
    let not_offered = ("NotOffered", "it answers, but no McpGateway selects it");
    let only_health = || server.config.instances.first().and_then(|instance| health.get(&instance.id));
    let (status, reason, message) = match (server.is_remote(), &server.problem) {
        (_, Some(problem)) => (ReportStatus::Failed, "Unreachable", problem.clone()),
        (true, None) => match only_health() {
            Some(InstanceHealth::Ready) if is_offered => ready("Answering", "it answers"),
            Some(InstanceHealth::Ready) => ready(not_offered.0, not_offered.1),
            Some(InstanceHealth::Failed(why)) => (ReportStatus::Failed, "NotAnswering", why.clone()),
            Some(InstanceHealth::Unknown) | None => (ReportStatus::Waiting, "Probing", "no MCP answer yet".to_owned()),
        },
        (false, None) if is_offered => return None,
        (false, None) => ready(not_offered.0, not_offered.1),
    };
    Some(Report { status, reason, message, columns: Vec::new() })
}

/// What is told of a gateway. `hub` is absent where it has none.
pub(super) fn report_gateway(state: &GatewayState, hub: Option<&HubStatus>) -> Report {
    let (status, reason, message) = match state {
        GatewayState::Serving(address) => (ReportStatus::Ready, "Serving", format!("serving on {address}")),
        GatewayState::Failed(reason, message) => (ReportStatus::Failed, *reason, message.clone()),
        GatewayState::Suspended => {
            (ReportStatus::Waiting, "Suspended", "spec.suspend is true, and it does not listen yet".to_owned())
        }
    };
    let columns = hub.map(|hub| {
        let servers = format!("{}/{}", hub.ready, hub.servers);
        vec![("SERVERS", servers, false), ("TOOLS", hub.tools.to_string(), false)]
    });
    Report { status, reason, message, columns: columns.unwrap_or_default() }
}
