//! Containers as Docker shows them: what a test compares with what it asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::engine::TestBed;

/// A container that was made for an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The full id.
    pub(crate) id: String,
    /// Its name, without the slash.
    pub(crate) name: String,
    /// The name of the object that it was made for.
    pub(crate) object: String,
    /// Which replica it is.
    pub(crate) ordinal: String,
    /// Such as `running` or `paused`.
    pub(crate) status: String,
    /// Such as `healthy`; empty without a check.
    pub(crate) health: String,
    /// When it was last started.
    pub(crate) started_at: String,
    /// Its image, as it was asked for.
    pub(crate) image: String,
    /// Its environment.
    pub(crate) env: BTreeMap<String, String>,
    /// The ids of its networks by their names.
    pub(crate) networks: BTreeMap<String, String>,
    /// The names of the volumes that it mounts.
    pub(crate) volumes: BTreeSet<String>,
    /// Its memory limit.
    pub(crate) memory_bytes: u64,
    /// Whether the Engine starts it again when it ends.
    pub(crate) is_armed: bool,
}

impl Seen {
    fn new(container: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = &container["Config"]["Labels"];
        let env = container["Config"]["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let env = env.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let networks = container["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        let mounts = container["Mounts"].as_array().into_iter().flatten();
        let volumes = mounts.filter(|mount| mount["Type"] == "volume").map(|mount| text(&mount["Name"]));
        Self {
            id: text(&container["Id"]),
            name: text(&container["Name"]).trim_start_matches('/').to_owned(),
            object: text(&labels["evenkeel.dev/name"]),
            ordinal: text(&labels["evenkeel.dev/ordinal"]),
            status: text(&container["State"]["Status"]),
            health: text(&container["State"]["Health"]["Status"]),
            started_at: text(&container["State"]["StartedAt"]),
            image: text(&container["Config"]["Image"]),
            env: env.collect(),
            networks: networks.map(|(name, endpoint)| (name.clone(), text(&endpoint["NetworkID"]))).collect(),
            volumes: volumes.collect(),
            memory_bytes: container["HostConfig"]["Memory"].as_u64().unwrap_or_default(),
            is_armed: container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped",
        }
    }

    /// A variable of its environment; empty where it has none of the name.
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.env.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl TestBed {
    /// Every container of the bed's objects, whether it runs or not, sorted by name.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let instance = format!("label=evenkeel.dev/instance={}", self.instance());
        let named = "label=evenkeel.dev/name";
        let listed = self.docker(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &instance, "--filter", named]);
        let ids: Vec<&str> = listed.lines().collect();
        if ids.is_empty() {
            return Vec::new();
        }
        // One that goes between the two calls makes the client fail, but the others are printed all the same.
        let inspected = self.engine().docker(&[["inspect", "--type", "container"].as_slice(), &ids].concat());
        let inspected: Vec<Value> = serde_json::from_slice(&inspected.stdout).unwrap_or_default();
        let mut seen: Vec<Seen> = inspected.iter().map(Seen::new).collect();
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        seen
    }

    /// The names of the bed's networks, sorted; one that is there twice is named twice.
    pub(crate) fn network_names(&self) -> Vec<String> {
        self.names_of("network")
    }

    /// The names of the bed's volumes, sorted.
    pub(crate) fn volume_names(&self) -> Vec<String> {
        self.names_of("volume")
    }

    fn names_of(&self, object_type: &str) -> Vec<String> {
        let instance = format!("label=evenkeel.dev/instance={}", self.instance());
        let listed = self.docker(&[object_type, "ls", "--format", "{{.Name}}", "--filter", &instance]);
        let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}
