//! What is told of servers and gateways, by what hubs say. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crds_schema::{ConditionStatus, ConditionType, ObjectKey};
use gateway::hub::{HubStatus, InstanceHealth};
use gateway::pin::{Review, visible};
use planner::inventory::ProbeOutcome;
use planner::rollup::Statement;
use planner::world::{Report, ReportStatus};

use super::server::WantedServer;

/// How many characters are told of why a server does not answer.
const WHY_LIMIT: usize = 300;

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
    /// It is a process, and none is connected to this socket.
    NotConnected(PathBuf),
    /// It is a process that has not said yet how it is.
    Starting,
}

/// Whether gateways offer a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Offer {
    /// None selects it.
    NotSelected,
    /// One does that is a process, and not connected.
    Away,
    /// One does that is a process, and may be connected at any moment.
    Awaited,
    /// One offers it.
    Offered,
}

impl Offer {
    /// Why a server that answers is not offered; `None` where it is, or may be in a moment.
    fn fault(self) -> Option<&'static str> {
        match self {
            Self::NotSelected => Some("it answers, but no McpGateway selects it"),
            Self::Away => Some("it answers, but the process of the McpGateway that selects it is not connected"),
            Self::Awaited | Self::Offered => None,
        }
    }
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

/// Whether nothing is under way on an instance, and nothing new can be, by what one hub says: it gives it nothing new to do and has nothing
/// under way on it, or does not have it.
pub(super) fn has_released(id: &str, health: &HealthMap, leaving: &BTreeMap<String, bool>) -> bool {
    match leaving.get(id) {
        Some(is_busy) => !is_busy,
        None => !health.contains_key(id),
    }
}

/// What a probe has come to. A hub that has not asked yet takes back nothing that another one found.
pub(super) fn outcome_of(health: &InstanceHealth) -> Option<ProbeOutcome> {
    match health {
        InstanceHealth::Unknown => None,
        InstanceHealth::Ready => Some(ProbeOutcome::Ready),
        InstanceHealth::Failed(why) => Some(ProbeOutcome::Failed(beginning_of(why))),
    }
}

/// How much is told of why a server does not answer, which may be in its own words.
fn beginning_of(why: &str) -> String {
    why.chars().take(WHY_LIMIT).collect()
}

/// What is told of a server beside its containers: everything of one that has none, and that no gateway offers it.
pub(super) fn report_server(server: &WantedServer, offer: Offer, health: &HealthMap) -> Option<Report> {
    let ready = |reason, message: &str| (ReportStatus::Ready, reason, message.to_owned());
    let only_health = || server.config.instances.first().and_then(|instance| health.get(&instance.id));
    let (status, reason, message) = match (server.is_remote(), &server.problem) {
        (_, Some(problem)) => (ReportStatus::Failed, "Unreachable", problem.clone()),
        (true, None) => match (only_health(), offer.fault()) {
            (Some(InstanceHealth::Ready), None) => ready("Answering", "it answers"),
            (Some(InstanceHealth::Ready), Some(fault)) => ready("NotOffered", fault),
            (Some(InstanceHealth::Failed(why)), _) => (ReportStatus::Failed, "NotAnswering", beginning_of(why)),
            (Some(InstanceHealth::Unknown) | None, _) => {
                (ReportStatus::Waiting, "Probing", "no MCP answer yet".to_owned())
            }
        },
        (false, None) => ready("NotOffered", offer.fault()?),
    };
    Some(Report { status, reason, message, columns: Vec::new() })
}

/// How many names are told at once.
const NAMES_TOLD: usize = 20;

/// What is told of a server of which something is not approved.
pub(super) fn report_review(key: &ObjectKey, review: &Review) -> Statement {
    let counts = [(review.new, "new"), (review.changed, "changed"), (review.removed, "removed")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    // A server says how its tools are called.
    let mut names: Vec<String> = review.names.iter().take(NAMES_TOLD).map(|name| visible(name)).collect();
    if review.names.len() > NAMES_TOLD {
        names.push(format!("and {} more", review.names.len() - NAMES_TOLD));
    }
    let effect = match (review.is_waiting, review.is_hidden) {
        (true, _) => "the update waits, and the container that it is to replace serves, until what differs is approved",
        (false, true) => "what is new or changed is hidden until it is approved",
        (false, false) => "what differs from what was approved is shown",
    };
    let name = key.local_name();
    let message = format!("{effect}: {} ({}): evenkeel mcp approve {name}", counts.join(", "), names.join(", "));
    let (condition_type, status) = (ConditionType::ToolsApproved, ConditionStatus::False);
    Statement { condition_type, status, reason: "AwaitingApproval", message }
}

/// What is told of a gateway. `hub` is absent where it has none, or nothing is known of it.
pub(super) fn report_gateway(state: &GatewayState, hub: Option<&HubStatus>) -> Report {
    let (status, reason, message) = match state {
        GatewayState::Serving(address) => (ReportStatus::Ready, "Serving", format!("serving on {address}")),
        GatewayState::NotConnected(socket) => {
            let message = format!("no `evenkeel gateway` is connected to {}", socket.display());
            (ReportStatus::Waiting, "NotConnected", message)
        }
        GatewayState::Starting => (ReportStatus::Waiting, "Starting", "its process has just connected".to_owned()),
        GatewayState::Failed(reason, message) => (ReportStatus::Failed, *reason, message.clone()),
        GatewayState::Suspended => {
            (ReportStatus::Waiting, "Suspended", "spec.suspend is true, and it does not listen yet".to_owned())
        }
    };
    let columns = hub.map(|hub| {
        let servers = format!("{}/{}", hub.ready, hub.servers);
        // Of those that are listed, how many somebody may see.
        let tools = match hub.hidden {
            0 => hub.tools.to_string(),
            hidden => format!("{}/{}", hub.tools.saturating_sub(hidden), hub.tools),
        };
        vec![("SERVERS", servers, false), ("TOOLS", tools, false)]
    });
    Report { status, reason, message, columns: columns.unwrap_or_default() }
}
