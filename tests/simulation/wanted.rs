//! What the simulated users want: a model of manifests of its own, so that the oracle does not believe the code that it checks.

use std::collections::BTreeMap;
use std::time::Duration;

use crds_schema::{Kind, ObjectKey};
use serde_json::{Value, json};

/// Everything that is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wanted {
    /// The objects.
    pub(crate) objects: BTreeMap<ObjectKey, Spec>,
}

/// What is wanted of one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spec {
    /// A network.
    Network {
        /// Whether nothing outside can be reached from it.
        is_internal: bool,
    },
    /// A volume.
    Volume {
        /// Whether it goes when its manifest does.
        is_deleted: bool,
    },
    /// A deployment.
    App(Box<App>),
}

/// A deployment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct App {
    pub(crate) image: &'static str,
    /// Is in the environment, so that each version of a manifest can be told from the others.
    pub(crate) version: u32,
    pub(crate) replicas: u32,
    pub(crate) memory_mib: Option<u32>,
    pub(crate) networks: Vec<&'static str>,
    pub(crate) volume: Option<&'static str>,
    pub(crate) port: Option<u16>,
    pub(crate) exact_name: Option<String>,
    pub(crate) is_stopped: bool,
    pub(crate) restart: &'static str,
    pub(crate) depends_on: Vec<&'static str>,
    /// How long an update may take to serve.
    pub(crate) deadline_secs: Option<u64>,
    /// An update that does not is told of, and not rolled back.
    pub(crate) is_paused: bool,
}

impl Default for App {
    fn default() -> Self {
        Self {
            image: "app:1",
            version: 1,
            replicas: 1,
            memory_mib: None,
            networks: Vec::new(),
            volume: None,
            port: None,
            exact_name: None,
            is_stopped: false,
            restart: "Always",
            depends_on: Vec::new(),
            deadline_secs: None,
            is_paused: false,
        }
    }
}

impl App {
    /// Whether two of its containers cannot run beside each other.
    pub(crate) fn is_stop_first(&self) -> bool {
        self.port.is_some() || self.exact_name.is_some() || (self.volume.is_some() && self.replicas <= 1)
    }

    /// How many containers it is to have.
    pub(crate) const fn containers(&self) -> u32 {
        self.replicas
    }

    /// How long an update may take to serve.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline_secs.map_or(Duration::from_mins(5), Duration::from_secs)
    }

    fn spec(&self) -> Value {
        let mut spec = json!({
            "image": self.image,
            "replicas": self.replicas,
            "env": {"VERSION": self.version.to_string()},
            "restart": self.restart,
            "state": if self.is_stopped { "Stopped" } else { "Running" },
        });
        if let Some(memory) = self.memory_mib {
            spec["resources"] = json!({"memory": format!("{memory}MiB")});
        }
        if !self.networks.is_empty() {
            spec["networks"] = json!(self.networks);
        }
        if self.deadline_secs.is_some() || self.is_paused {
            let deadline = format!("{}s", self.deadline().as_secs());
            let on_failure = if self.is_paused { "Pause" } else { "Rollback" };
            spec["strategy"] = json!({"progressDeadline": deadline, "onFailure": on_failure});
        }
        if let Some(volume) = self.volume {
            spec["mounts"] = json!([{"volume": volume, "path": "/data"}]);
        }
        if let Some(port) = self.port {
            spec["ports"] = json!([{"port": 80, "publish": port}]);
        }
        if let Some(name) = &self.exact_name {
            spec["containerName"] = json!(name);
        }
        if !self.depends_on.is_empty() {
            let needs: Vec<Value> =
                self.depends_on.iter().map(|name| json!({"kind": "Deployment", "name": name})).collect();
            spec["dependsOn"] = json!(needs);
        }
        spec
    }
}

impl Spec {
    /// The deployment that it is.
    pub(crate) const fn app(&self) -> Option<&App> {
        match self {
            Self::App(app) => Some(app),
            Self::Network { .. } | Self::Volume { .. } => None,
        }
    }

    /// The manifest. JSON is YAML.
    pub(crate) fn manifest(&self, key: &ObjectKey) -> String {
        let spec = match self {
            Self::Network { is_internal } => json!({"internal": is_internal}),
            Self::Volume { is_deleted } => json!({"deletionPolicy": if *is_deleted { "Delete" } else { "Retain" }}),
            Self::App(app) => app.spec(),
        };
        let metadata = json!({"name": key.name.as_str(), "namespace": key.namespace.as_str()});
        json!({"apiVersion": "evenkeel.dev/v1", "kind": key.kind.to_string(), "metadata": metadata, "spec": spec})
            .to_string()
    }
}

impl Wanted {
    /// Wants an object, by its key's text.
    pub(crate) fn with(mut self, key: &str, spec: Spec) -> Self {
        self.objects.insert(key.parse().expect("a key"), spec);
        self
    }

    /// Wants a deployment.
    pub(crate) fn with_app(self, name: &str, app: App) -> Self {
        self.with(&format!("Deployment/{name}"), Spec::App(Box::new(app)))
    }

    /// Wants a network.
    pub(crate) fn with_network(self, name: &str) -> Self {
        self.with(&format!("Network/{name}"), Spec::Network { is_internal: false })
    }

    /// Wants a volume that is kept.
    pub(crate) fn with_volume(self, name: &str) -> Self {
        self.with(&format!("Volume/{name}"), Spec::Volume { is_deleted: false })
    }

    /// Wants an object no longer.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.objects.remove(&key.parse().expect("a key"));
        self
    }

    /// Changes a deployment that is wanted.
    pub(crate) fn change(mut self, name: &str, change: impl FnOnce(&mut App)) -> Self {
        let key: ObjectKey = format!("Deployment/{name}").parse().expect("a key");
        match self.objects.get_mut(&key) {
            Some(Spec::App(app)) => change(app),
            other => panic!("{key} is no deployment: {other:?}"),
        }
        self
    }

    /// The deployments.
    pub(crate) fn apps(&self) -> impl Iterator<Item = (&ObjectKey, &App)> {
        self.objects.iter().filter_map(|(key, spec)| Some((key, spec.app()?)))
    }

    /// Whether an object of a kind is wanted under a name, in the namespace of another.
    pub(crate) fn has(&self, kind: Kind, beside: &ObjectKey, name: &str) -> bool {
        self.objects
            .keys()
            .any(|key| key.kind == kind && key.namespace == beside.namespace && key.name.as_str() == name)
    }
}
