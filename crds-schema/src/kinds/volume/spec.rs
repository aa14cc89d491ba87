//! What a user writes for a `Volume`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named volume: data that outlives the containers that mount it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// The Engine's volume driver. Default: `local`. Example: `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver, such as those of a tmpfs or NFS mount. Binding a host path this way is refused.
    /// Example: `{ type: tmpfs, device: tmpfs, o: size=64m }`.
    #[serde(default, alias = "driverOpts", skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// Labels of the Engine's volume. Example: `{ backup: nightly }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What becomes of the data when the object is removed from the manifests: `Retain` keeps the volume, `Delete` removes it.
    /// Default: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// An exact name in the Engine instead of the derived one. Example: `hub-data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_name: Option<String>,
    /// Freezes the object: it is observed and reported, but not changed. Default: `false`.
    #[serde(default)]
    pub suspend: bool,
}

/// What becomes of a volume when its object goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The volume stays in the Engine.
    #[default]
    Retain,
    /// The volume is removed with its data, once no container refers to it.
    Delete,
}
