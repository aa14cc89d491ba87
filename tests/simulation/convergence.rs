//! Whether the Engine is as it is wanted: the oracle's own comparison, field by field, against the manifests' model.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crds_schema::{Kind, ObjectKey};
use planner::observed::{ContainerDetail, ContainerState, Health, MountKind};
use tokio::time::Instant;

use super::gaps::is_lost_to_us;
use super::sim::{RESYNC, Sim};
use super::wanted::{App, Spec, Wanted};

/// How often it is looked whether the world has converged.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// How many resyncs convergence may take once nothing goes wrong any more. The longest back-off, after a registry that asked to be left
/// alone, is 36 of them; the rest is for what follows it: a replacement, its dependants, what they replace.
pub(crate) const RESYNCS: u32 = 50;
/// For how many resyncs it is then watched that nothing is changed: longer than inspections are believed.
const QUIET_RESYNCS: u32 = 11;

impl Sim {
    /// What still differs from what is wanted.
    pub(crate) fn differences(&self, wanted: &Wanted) -> Vec<String> {
        let mut differences = Vec::new();
        let mut by_owner: BTreeMap<ObjectKey, Vec<ContainerDetail>> = BTreeMap::new();
        for id in self.engine.all_container_ids() {
            let Some(container) = self.engine.peek(&id).filter(|_| self.oracle.is_ours(&id)) else { continue };
            if self.is_lost_to_us(&container) {
                self.trace.count("gap: renamed before its id was durable");
                continue;
            }
            if let Some(owner) = owner_of(&container.config.labels) {
                by_owner.entry(owner).or_default().push(container);
            }
        }
        let owned: BTreeSet<&ObjectKey> = by_owner.keys().collect();
        for orphan in owned.into_iter().filter(|owner| !matches!(wanted.objects.get(*owner), Some(Spec::App(_)))) {
            differences.push(format!("L8: {orphan} is not wanted and has containers"));
        }
        let networks = self.engine.peek_networks();
        let nobodys = self.nobodys_volumes();
        for (key, spec) in &wanted.objects {
            if waits_for_any_of(wanted, key, spec, &nobodys) {
                by_owner.remove(key);
                continue;
            }
            match spec {
                Spec::App(app) => {
                    let containers = by_owner.remove(key).unwrap_or_default();
                    self.compare_app(key, app, &containers, &mut differences);
                }
                Spec::Network { is_internal } => {
                    let name = key.engine_name();
                    let of_name = networks.iter().filter(|network| network.name == name);
                    let ours: Vec<_> = of_name.filter(|network| self.oracle.is_ours(&network.id)).collect();
                    if ours.len() != 1 || ours[0].internal != *is_internal {
                        differences.push(format!("{key}: {} networks, or not as wanted", ours.len()));
                    }
                }
                Spec::Volume { .. } => {
                    if !self.oracle.is_ours(&key.engine_name()) || !self.engine.has_volume(&key.engine_name()) {
                        differences.push(format!("{key} is not there"));
                    }
                }
            }
        }
        for network in networks.iter().filter(|network| self.oracle.is_ours(&network.id)) {
            let is_wanted = owner_of(&network.labels).is_some_and(|owner| wanted.objects.contains_key(&owner));
            if !is_wanted {
                differences.push(format!("the network `{}` is not wanted", network.name));
            }
        }
        differences
    }

    /// Whether it cannot be told from a copy of ours: see [`is_lost_to_us`].
    pub(crate) fn is_lost_to_us(&self, container: &ContainerDetail) -> bool {
        is_lost_to_us(&self.disk, &container.id, &container.name)
    }

    /// Volumes that the Engine made without labels, since a container was created while no manifest defined its volume and somebody had just
    /// removed it. They are nobody's, and somebody must see to them: see `docs/reliability.md`.
    fn nobodys_volumes(&self) -> Vec<String> {
        let is_nobodys =
            |volume: &planner::observed::VolumeDetail| volume.labels.is_empty() && !is_anonymous(&volume.name);
        self.engine.peek_volumes().into_iter().filter(is_nobodys).map(|volume| volume.name).collect()
    }

    fn compare_app(&self, key: &ObjectKey, app: &App, containers: &[ContainerDetail], differences: &mut Vec<String>) {
        let mut ordinals: Vec<String> = containers
            .iter()
            .map(|container| container.config.labels.get("evenkeel.dev/ordinal").cloned().unwrap_or_default())
            .collect();
        ordinals.sort();
        let expected: Vec<String> = (0..app.containers()).map(|ordinal| ordinal.to_string()).collect();
        if ordinals != expected {
            differences.push(format!("{key}: containers {ordinals:?} instead of {expected:?}"));
        }
        for container in containers {
            if let Some(difference) = self.difference_of(key, app, container) {
                differences.push(format!("{key}: `{}` {difference}", container.name));
            }
        }
    }

    fn difference_of(&self, key: &ObjectKey, app: &App, container: &ContainerDetail) -> Option<String> {
        let config = &container.config;
        if config.image != app.image {
            return Some(format!("has the image {}", config.image));
        }
        if !config.env.contains(&format!("VERSION={}", app.version)) {
            return Some(format!("has the environment {:?}", config.env));
        }
        let is_up = container.status.state == ContainerState::Running
            && matches!(container.status.health, Health::None | Health::Healthy);
        if app.is_stopped {
            if matches!(container.status.state, ContainerState::Running | ContainerState::Paused) {
                return Some("runs".to_owned());
            }
        } else if !is_up {
            return Some(format!("is {:?}, {:?}", container.status.state, container.status.health));
        }
        let memory = i64::from(app.memory_mib.unwrap_or(0)) << 20;
        if container.limits.memory != memory {
            return Some(format!("has {} bytes of memory", container.limits.memory));
        }
        // A stopped one is disarmed, so that the Engine does not start it.
        let restart = match app.restart {
            "Always" => "unless-stopped",
            "OnFailure" => "on-failure",
            _ => "no",
        };
        if !app.is_stopped && container.limits.restart != restart {
            return Some(format!("S17: has the restart policy {}", container.limits.restart));
        }
        if !app.is_stopped && restart != "no" && self.engine.is_disarmed(&container.id) {
            return Some("S17: runs without anything that would start it again".to_owned());
        }
        let volumes: Vec<&str> = config
            .mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                MountKind::Volume(name) => Some(name.as_str()),
                MountKind::Bind(_) | MountKind::Tmpfs(_) => None,
            })
            .collect();
        let engine_name = |kind, name: &str| {
            ObjectKey { kind, namespace: key.namespace.clone(), name: name.parse().expect("a name") }.engine_name()
        };
        let wanted_volumes: Vec<String> = app.volume.iter().map(|name| engine_name(Kind::Volume, name)).collect();
        if volumes != wanted_volumes {
            return Some(format!("has the volumes {volumes:?}"));
        }
        let mut networks: Vec<String> = app.networks.iter().map(|name| engine_name(Kind::Network, name)).collect();
        if networks.is_empty() {
            networks.push("bridge".to_owned());
        }
        networks.sort();
        let joined: Vec<&String> = container.endpoints.keys().collect();
        if joined.iter().map(|name| name.as_str()).ne(networks.iter().map(String::as_str)) {
            return Some(format!("is in the networks {joined:?}"));
        }
        let is_linked = |name: &String| {
            let id = &container.endpoints[name].network_id;
            app.is_stopped || name == "bridge" || self.oracle.is_ours(id)
        };
        if !networks.iter().all(is_linked) {
            return Some("is in a network that is not ours".to_owned());
        }
        let published: Vec<&String> = config.port_bindings.values().flatten().collect();
        if published.len() != usize::from(app.port.is_some()) {
            return Some(format!("publishes {published:?}"));
        }
        match &app.exact_name {
            Some(name) if container.name != *name => Some("has another name".to_owned()),
            None if !container.name.starts_with(&key.engine_name()) => Some("has another name".to_owned()),
            Some(_) | None => None,
        }
    }

    /// What the status says that is not so, once the world has converged.
    pub(crate) fn status_lies(&self, wanted: &Wanted) -> Vec<String> {
        let Some(process) = &self.running else { return vec!["no controller runs".to_owned()] };
        if !process.board.controller().is_ready {
            return vec!["the first pass is not over".to_owned()];
        }
        let mut lies = Vec::new();
        let nobodys = self.nobodys_volumes();
        if !nobodys.is_empty() {
            self.trace.count("gap: a volume that is nobody's");
        }
        for (key, spec) in &wanted.objects {
            if waits_for_any_of(wanted, key, spec, &nobodys) {
                continue;
            }
            match process.board.object(key) {
                None => lies.push(format!("{key} is not told of")),
                Some(record) if record.status.observed_generation != record.status.generation => {
                    let (seen, latest) = (record.status.observed_generation, record.status.generation);
                    lies.push(format!("L7: {key} is told of generation {seen}, not {latest}"));
                }
                Some(record) if !record.status.is_ready() => {
                    let ready = record.status.condition(crds_schema::ConditionType::Ready).cloned();
                    lies.push(format!("{key} is told not to be ready: {ready:?}, waiting {:?}", record.status.waiting));
                }
                Some(_) => {}
            }
        }
        for record in process.board.objects() {
            if !wanted.objects.contains_key(&record.key) {
                lies.push(format!("L8: {} is told of and not wanted", record.key));
            }
        }
        lies
    }

    /// Waits until the world is as wanted and told to be so.
    ///
    /// # Errors
    /// What still differs when the bound is reached: L1.
    pub(crate) async fn converge(&mut self, wanted: &Wanted) -> Result<Duration, String> {
        let begun = Instant::now();
        let deadline = begun + RESYNC * RESYNCS;
        loop {
            self.pass_time(LOOK_TIME).await;
            if self.bury_the_dead().await {
                self.start();
            }
            self.confirm_prune();
            self.retry_rollouts();
            let is_told = self.status_lies(wanted).is_empty();
            if is_told && self.differences(wanted).is_empty() {
                return Ok(begun.elapsed());
            }
            if Instant::now() >= deadline {
                let (differences, lies) = (self.differences(wanted), self.status_lies(wanted));
                return Err(format!("L1: not converged after {RESYNCS} resyncs: {differences:?}; status: {lies:?}"));
            }
        }
    }

    /// Watches that a converged world is left alone.
    ///
    /// # Errors
    /// What was changed: S11.
    pub(crate) async fn stay_quiet(&mut self, wanted: &Wanted) -> Result<(), String> {
        self.stay_quiet_for(wanted, QUIET_RESYNCS).await
    }

    /// The same for so many resyncs.
    ///
    /// # Errors
    /// What was changed: S11.
    pub(crate) async fn stay_quiet_for(&mut self, wanted: &Wanted, resyncs: u32) -> Result<(), String> {
        // What was under way ends first.
        self.pass_time(RESYNC).await;
        let calls = self.changes();
        self.pass_time(RESYNC * resyncs).await;
        self.look_at_caps();
        // By now everything has been inspected anew, and what lost events hid of it is told.
        let commits = self.commits();
        self.pass_time(RESYNC).await;
        let changes = self.changes() - calls;
        if changes != 0 {
            return Err(format!("S11: {changes} changing calls in a world that was as wanted"));
        }
        let differences = self.differences(wanted);
        if !differences.is_empty() {
            return Err(format!("L1: it did not stay converged: {differences:?}"));
        }
        if self.commits() != commits {
            return Err(format!("S11: {} commits in a world that was as wanted", self.commits() - commits));
        }
        Ok(())
    }

    /// How many changing calls were made, but for the lease.
    fn changes(&self) -> u64 {
        self.trace.counts().get("engine: change").copied().unwrap_or(0)
    }

    fn commits(&self) -> u64 {
        self.trace.counts().get("store: commit").copied().unwrap_or(0)
    }
}

fn owner_of(labels: &BTreeMap<String, String>) -> Option<ObjectKey> {
    Some(ObjectKey {
        kind: Kind::parse(labels.get("evenkeel.dev/kind")?)?,
        namespace: labels.get("evenkeel.dev/namespace")?.parse().ok()?,
        name: labels.get("evenkeel.dev/name")?.parse().ok()?,
    })
}

/// Whether an object is one of these volumes, by their names in the Engine, or needs one, or depends on what does.
fn waits_for_any_of(wanted: &Wanted, key: &ObjectKey, spec: &Spec, volumes: &[String]) -> bool {
    let of_name = |kind: Kind, name: &str| ObjectKey {
        kind,
        namespace: key.namespace.clone(),
        name: name.parse().expect("a name"),
    };
    match spec {
        Spec::Volume { .. } => volumes.contains(&key.engine_name()),
        Spec::App(app) => {
            let volume = app.volume.map(|name| of_name(Kind::Volume, name));
            volume.is_some_and(|volume| volumes.contains(&volume.engine_name()))
                || app.depends_on.iter().any(|name| {
                    let needed = of_name(Kind::Deployment, name);
                    let spec = wanted.objects.get(&needed);
                    spec.is_some_and(|spec| waits_for_any_of(wanted, &needed, spec, volumes))
                })
        }
        Spec::Network { .. } => false,
    }
}

fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64
}
