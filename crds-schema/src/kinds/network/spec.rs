//! What a user writes for a `Network`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network that containers join, and by which they find each other by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// The Engine's network driver. Default: `bridge`. Example: `bridge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Whether the network is cut off from everything outside it. Default: `false`. Example: `true`.
    #[serde(default)]
    pub internal: bool,
    /// Whether containers that Evenkeel does not manage may join an overlay network. Default: `false`.
    #[serde(default)]
    pub attachable: bool,
    /// Whether containers get IPv6 addresses too. Default: `false`.
    #[serde(default)]
    pub ipv6: bool,
    /// Address ranges; left out, the Engine chooses a free one. Example: `{ subnets: [{ subnet: 10.77.0.0/24 }] }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipam: Option<Ipam>,
    /// Options of the driver. Example: `{ com.docker.network.driver.mtu: "1400" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Labels of the Engine's network. Example: `{ zone: internal }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// An exact name in the Engine instead of the derived one. Example: `mcp-internal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_name: Option<String>,
    /// Freezes the object: it is observed and reported, but not changed. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// Address management of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ipam {
    /// The subnets, at most one for IPv4 and one for IPv6 on a bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<Subnet>,
}

/// One range of addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subnet {
    /// The range in CIDR form, with no host bits set. Example: `10.77.0.0/24`.
    pub subnet: String,
    /// The address of the gateway, inside the subnet. Default: its first address. Example: `10.77.0.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The part of the subnet that containers get addresses from. Default: all of it. Example: `10.77.0.128/25`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}
