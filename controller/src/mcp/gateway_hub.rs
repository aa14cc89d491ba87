//! The hub of a gateway, in this process or in one of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crds_schema::kinds::mcp_gateway::McpGatewayRuns;
use gateway::config::{GatewayConfig, ServerConfig};
use gateway::hub::{Attach, Demand, HubStatus};
use gateway::lease::LeaseBook;
use gateway::pin::Review;
use tokio::sync::Notify;

use super::directory::ensure_dir;
use super::process::{Expectation, ProcessHub};
use super::report::{GatewayState, HealthMap, Offer};
use super::running::RunningHub;
use crate::wording::with_causes;

/// The socket of a gateway that is a process, in the gateway's directory. No list of a server has this name: those end otherwise.
const SOCKET_FILE: &str = "gateway.sock";

/// The hub of a gateway.
#[derive(Debug)]
pub(super) enum GatewayHub {
    /// It runs here.
    Here(Box<RunningHub>),
    /// It runs in a process that asks for it.
    Process(Box<ProcessHub>),
}

/// What hubs have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    /// Reaches containers.
    pub(super) attach: Arc<dyn Attach>,
    /// Which containers somebody has to himself.
    pub(super) leases: Arc<LeaseBook>,
    /// Told when an instance answers otherwise than before.
    pub(super) changed: Arc<Notify>,
}

impl GatewayHub {
    /// Opens a hub whose lists and pins, or whose socket, are in this directory.
    ///
    /// # Errors
    /// How it is while it cannot be had.
    pub(super) fn open(
        runs: McpGatewayRuns,
        config: GatewayConfig,
        state_dir: &Path,
        common: Common,
    ) -> Result<Self, GatewayState> {
        let Common { attach, leases, changed } = common;
        ensure_dir(state_dir).map_err(|fault| GatewayState::Failed("AuditFault", fault))?;
        match runs {
            McpGatewayRuns::Controller => {
                let hub = RunningHub::open(config, attach, Some(state_dir.to_owned()), leases, changed);
                let hub = hub.map_err(|error| GatewayState::Failed("AuditFault", with_causes(&error)))?;
                Ok(Self::Here(Box::new(hub)))
            }
            McpGatewayRuns::Process => {
                let socket = state_dir.join(SOCKET_FILE);
                let hub = ProcessHub::open(config, socket.clone(), attach, leases, changed).map_err(|error| {
                    GatewayState::Failed("SocketFault", format!("cannot listen on `{}`: {error}", socket.display()))
                })?;
                Ok(Self::Process(Box::new(hub)))
            }
        }
    }

    /// Sets it otherwise. Returns whether it can be: else another one is to be opened in its place.
    pub(super) fn adapt(&mut self, runs: McpGatewayRuns, config: &GatewayConfig) -> bool {
        match (self, runs) {
            (Self::Here(hub), McpGatewayRuns::Controller) => hub.config() == config,
            (Self::Process(hub), McpGatewayRuns::Process) => {
                hub.set_config(config);
                true
            }
            (Self::Here(_), McpGatewayRuns::Process) | (Self::Process(_), McpGatewayRuns::Controller) => false,
        }
    }

    /// How it serves, after an attempt to where it does not.
    pub(super) async fn serve(&mut self) -> GatewayState {
        match self {
            Self::Here(hub) => match hub.listen().await {
                Ok(address) => GatewayState::Serving(address),
                Err(error) => {
                    let message = format!("cannot listen on {}: {error}", hub.config().listen);
                    GatewayState::Failed("ListenFailed", message)
                }
            },
            Self::Process(hub) => hub.state(),
        }
    }

    /// Whether it offers servers.
    pub(super) fn offer(&self) -> Offer {
        let hub = match self {
            Self::Here(_) => return Offer::Offered,
            Self::Process(hub) => hub,
        };
        match hub.expectation() {
            Expectation::There => Offer::Offered,
            Expectation::OnItsWay => Offer::Awaited,
            Expectation::Away => Offer::Away,
        }
    }

    /// Says which servers there are now.
    pub(super) fn set_servers(&mut self, servers: Vec<ServerConfig>) {
        match self {
            Self::Here(hub) => hub.set_servers(servers),
            Self::Process(hub) => hub.set_servers(servers),
        }
    }

    /// How every instance is.
    pub(super) fn health(&self) -> Arc<HealthMap> {
        match self {
            Self::Here(hub) => hub.health(),
            Self::Process(hub) => hub.health(),
        }
    }

    /// The instances that must not replace older ones yet. To be asked for after [`Self::health`].
    pub(super) fn taking_over(&self) -> Arc<BTreeSet<String>> {
        match self {
            Self::Here(hub) => hub.taking_over(),
            Self::Process(hub) => hub.taking_over(),
        }
    }

    /// Whether nothing is under way on an instance, and nothing new can be; `None` where that cannot be said yet.
    pub(super) fn has_released(&self, id: &str) -> Option<bool> {
        match self {
            Self::Here(hub) => Some(hub.has_released(id)),
            Self::Process(hub) => hub.has_released(id),
        }
    }

    /// What is not approved of each of its servers, by name.
    pub(super) fn reviews(&self) -> BTreeMap<String, Review> {
        match self {
            Self::Here(hub) => hub.reviews(),
            Self::Process(hub) => hub.reviews(),
        }
    }

    /// What is needed of each of its servers now.
    pub(super) fn demands(&self) -> BTreeMap<Arc<str>, Demand> {
        match self {
            Self::Here(hub) => hub.demands(),
            Self::Process(hub) => hub.demands(),
        }
    }

    /// How it is itself, where that is known.
    pub(super) fn status(&self) -> Option<HubStatus> {
        match self {
            Self::Here(hub) => Some(hub.status()),
            Self::Process(hub) => hub.status(),
        }
    }

    /// Ends it for good: nobody comes in any more.
    pub(super) async fn close(self) {
        match self {
            Self::Here(mut hub) => hub.close().await,
            Self::Process(hub) => hub.close("the controller has no such gateway now").await,
        }
    }

    /// Ends what of it is in this process, which ends.
    pub(super) async fn leave(self) {
        match self {
            Self::Here(mut hub) => hub.close().await,
            Self::Process(hub) => drop(hub),
        }
    }
}
