//! The servers and gateways of the board, as what the gateway must know of them. Pure.

use crds_schema::kinds::KindSpec;
use crds_schema::kinds::mcp_gateway::GatewaySettings;
use crds_schema::kinds::mcp_server::McpRoute;
use crds_schema::object::Metadata;

use crate::status::ObjectRecord;

/// Every server and gateway that is wanted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct McpObjects {
    /// The servers, in the order of their keys.
    pub(super) servers: Vec<McpRoute>,
    /// The gateways, in the order of their keys.
    pub(super) gateways: Vec<WantedGateway>,
}

/// One gateway.
#[derive(Debug, PartialEq)]
pub(super) struct WantedGateway {
    /// How it is to be.
    pub(super) settings: GatewaySettings,
    /// Nothing is to be changed about it.
    pub(super) is_suspended: bool,
}

impl McpObjects {
    /// Reads records; those of other kinds, and those that hold no manifest, are nothing here.
    pub(super) fn read<'records>(records: impl IntoIterator<Item = &'records ObjectRecord>) -> Self {
        let mut objects = Self::default();
        for record in records {
            match parse(record) {
                Some((KindSpec::McpServer(server), metadata)) => objects.servers.push(server.route(&metadata)),
                Some((KindSpec::McpGateway(gateway), metadata)) => objects
                    .gateways
                    .push(WantedGateway { settings: gateway.settings(&metadata), is_suspended: gateway.suspend }),
                Some((KindSpec::Network(_) | KindSpec::Volume(_) | KindSpec::Deployment(_), _)) | None => {}
            }
        }
        objects
    }
}

fn parse(record: &ObjectRecord) -> Option<(KindSpec, Metadata)> {
    let manifest = record.manifest_in_force();
    let metadata = serde_json::from_value(manifest.get("metadata")?.clone()).ok()?;
    // A spec of which nothing is said may be left out.
    let spec = manifest.get("spec").cloned().unwrap_or_else(|| serde_json::json!({}));
    Some((record.key.kind.spec_from_json(spec).ok()?, metadata))
}
