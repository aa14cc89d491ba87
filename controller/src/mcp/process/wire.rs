//! What a gateway's process and the controller say to each other: a JSON object a line. Secrets travel here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gateway::config::{GatewayConfig, ServerConfig};
use gateway::hub::{Demand, HubStatus, InstanceHealth};
use serde::{Deserialize, Serialize};

/// What the two must have in common. Changed with whatever either could misunderstand, the types of the gateway's `config.rs` included.
pub(super) const PROTOCOL: u32 = 1;
/// The release of this program.
pub(super) const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The first line of a connection, by whoever made it. Nothing else can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Opening {
    /// It is a gateway's process, and wants to be told what to be.
    Gateway(Hello),
    /// The standard streams of this instance are wanted: its input there, its output back.
    Attach(String),
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hello {
    /// [`PROTOCOL`], as its release has it.
    pub(super) protocol: u32,
    /// Its release.
    pub(super) release: String,
}

impl Hello {
    /// This program.
    pub(super) fn own() -> Self {
        Self { protocol: PROTOCOL, release: RELEASE.to_owned() }
    }

    /// Why this program and another cannot speak; `None` where they can. The first is the controller.
    pub(super) fn misfit(controller: &Self, process: &Self) -> Option<String> {
        (controller.protocol != process.protocol).then(|| {
            format!(
                "the controller is evenkeel {} (protocol {}) and the gateway is evenkeel {} (protocol {}): run the same release of both",
                controller.release, controller.protocol, process.release, process.protocol
            )
        })
    }
}

/// The controller's answer to an opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    /// Come in: who the controller is.
    Welcome(Hello),
    /// From the next byte on, this is the instance's streams.
    Attached,
    /// No, for this reason.
    Refused(String),
}

/// What a process is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Order {
    /// Serve these.
    Serve(Box<Wanted>),
    /// Let nobody in any more, for this reason.
    Close(String),
}

/// A gateway and its servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    /// How it is to be set. Where its audit is written is the process' own matter.
    pub(super) config: GatewayConfig,
    /// Its servers.
    pub(super) servers: Vec<ServerConfig>,
}

/// How a process is, as a whole each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    /// Where it listens, or why it does not.
    pub(super) listening: Result<SocketAddr, Fault>,
    /// How every instance is.
    pub(super) health: BTreeMap<String, InstanceHealth>,
    /// The instances that answer, and must not replace older ones yet.
    pub(super) taking_over: BTreeSet<String>,
    /// What is needed of each server.
    pub(super) demands: BTreeMap<String, Demand>,
    /// How its hub is.
    pub(super) status: HubStatus,
}

/// Why a process does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fault {
    /// Its audit or its lists cannot be kept.
    Open(String),
    /// The address cannot be had.
    Listen(String),
}
