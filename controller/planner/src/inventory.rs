//! What is kept of each observed thing: no more than planning needs, since there may be ten thousand.

use std::sync::Arc;

use crds_schema::ObjectKey;

use crate::observed::{
    ContainerDetail, ContainerState, Endpoint, Health, Limits, MountConfig, MountKind, NetworkDetail, TimestampMs,
    VolumeDetail,
};
use crate::ownership::{Claim, Identity, LABEL_TEMPLATE, Ownership};
use crate::plan::{FieldChange, container_name};

/// One container of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// The full id.
    pub id: Arc<str>,
    /// The name that it has now.
    pub name: Arc<str>,
    /// The object that it belongs to.
    pub owner: ObjectKey,
    /// The name that its proof was made for.
    pub engine_name: Arc<str>,
    /// Which of the object's containers it is.
    pub ordinal: u32,
    /// The hash of its template.
    pub hash: Arc<str>,
    /// Its template as JSON; shared.
    pub template: Arc<str>,
    /// The state of its process.
    pub state: ContainerState,
    /// The exit code of the last run.
    pub exit_code: i64,
    /// Whether it ran out of memory.
    pub oom_killed: bool,
    /// The Engine's text about the last failed start.
    pub error: Box<str>,
    /// What its HEALTHCHECK says.
    pub health: Health,
    /// When the last run began, by the Engine's clock.
    pub started_ms: Option<TimestampMs>,
    /// When it was created, by the Engine's clock.
    pub created_ms: TimestampMs,
    /// How often the Engine has restarted it.
    pub restart_count: u32,
    /// Its limits and restart policy.
    pub limits: Limits,
    /// The network mode that it was created with: `bridge`, `none`, `host`, or the id of the primary network.
    pub network_mode: Box<str>,
    /// Its endpoints, by the Engine's name of the network.
    pub endpoints: Vec<(Box<str>, Endpoint)>,
    /// Since when, by our clock, it has been serving without a break; `None` while it does not.
    pub serving_since_ms: Option<TimestampMs>,
    /// What a comparison after its creation found; it must not be started.
    pub mismatch: Vec<FieldChange>,
    /// The volumes that it mounts, by their names in the Engine.
    pub volumes: Vec<Box<str>>,
    /// Seconds before a stop kills; `None`: the Engine's default.
    pub stop_timeout_secs: Option<u32>,
}

/// One network, whoever owns it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedNetwork {
    /// The full id.
    pub id: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The object that it belongs to, where it is ours.
    pub owner: Option<ObjectKey>,
    /// The hash of its template, where it is ours.
    pub hash: Arc<str>,
    /// Its template as JSON, where it is ours.
    pub template: Arc<str>,
    /// When it was created.
    pub created_ms: TimestampMs,
    /// Its subnets, for people.
    pub subnets: Box<str>,
    /// The driver.
    pub driver: Box<str>,
}

/// One volume, whoever owns it.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedVolume {
    /// The name.
    pub name: Arc<str>,
    /// The object that it belongs to, where it is ours.
    pub owner: Option<ObjectKey>,
    /// The hash of its template, where it is ours.
    pub hash: Arc<str>,
    /// Its template as JSON, where it is ours.
    pub template: Arc<str>,
    /// The driver.
    pub driver: Box<str>,
}

impl Claim {
    /// Whether a thing with this claim may bear this name: the one its proof was made for, or one that its template gives.
    pub fn may_be_named(&self, name: &str) -> bool {
        name == self.engine_name
            || is_derived_name(name, &container_name(&self.owner.engine_name(), &self.hash, self.ordinal))
    }
}

/// The names that a container can have beside others of the same template and number: the derived one first, then with a suffix.
pub(crate) fn replacement_names(derived: &str) -> impl Iterator<Item = String> {
    (0..=MAX_NAMES).map(move |attempt| match attempt {
        0 => derived.to_owned(),
        1 => format!("{derived}{REPLACEMENT_SUFFIX}"),
        _ => format!("{derived}{REPLACEMENT_SUFFIX}{attempt}"),
    })
}

/// Whether a name is one that [`replacement_names`] gives.
pub(crate) fn is_derived_name(name: &str, derived: &str) -> bool {
    let Some(rest) = name.strip_prefix(derived) else { return false };
    rest.is_empty()
        || rest.strip_prefix(REPLACEMENT_SUFFIX).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the name of a container ends in while it stands beside the one of the same template that it replaces.
const REPLACEMENT_SUFFIX: &str = "-next";
/// More than ever stand beside each other.
const MAX_NAMES: u32 = 100;

impl ObservedContainer {
    /// What is kept of an inspect's answer. `before` is what was kept of the same container.
    pub(crate) fn from_detail(
        detail: &ContainerDetail,
        claim: &Claim,
        (hash, template): (Arc<str>, Arc<str>),
        before: Option<&Self>,
        now_ms: TimestampMs,
    ) -> Self {
        let status = &detail.status;
        let is_serving = is_serving(status.state, status.health);
        let is_same_run = before.is_some_and(|before| before.started_ms == status.started_ms);
        let served_since = before.filter(|_| is_same_run).and_then(|before| before.serving_since_ms);
        // A clock that was set back must not make it wait until it is as late again.
        let served_since = served_since.map(|since_ms| since_ms.min(now_ms));
        Self {
            id: Arc::from(detail.id.as_str()),
            name: Arc::from(detail.name.as_str()),
            owner: claim.owner.clone(),
            engine_name: Arc::from(claim.engine_name.as_str()),
            ordinal: claim.ordinal,
            hash,
            template,
            state: status.state,
            exit_code: status.exit_code,
            oom_killed: status.oom_killed,
            error: status.error.as_str().into(),
            health: status.health,
            started_ms: status.started_ms,
            created_ms: detail.created_ms,
            restart_count: detail.restart_count,
            limits: detail.limits.clone(),
            network_mode: detail.config.network_mode.as_str().into(),
            endpoints: detail
                .endpoints
                .iter()
                .map(|(name, endpoint)| (name.as_str().into(), endpoint.clone()))
                .collect(),
            serving_since_ms: if is_serving { served_since.or(Some(now_ms)) } else { None },
            mismatch: before.map(|before| before.mismatch.clone()).unwrap_or_default(),
            volumes: detail.config.mounts.iter().filter_map(volume_of).collect(),
            stop_timeout_secs: detail.config.stop_timeout_secs,
        }
    }

    /// Whether its process runs, frozen or between two runs included: whether it must be stopped before it is removed.
    pub fn is_up(&self) -> bool {
        match self.state {
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => true,
            ContainerState::Created | ContainerState::Removing | ContainerState::Exited | ContainerState::Dead => false,
        }
    }

    /// Whether it serves: it runs, and its HEALTHCHECK, if any, passes.
    pub fn is_serving(&self) -> bool {
        is_serving(self.state, self.health)
    }

    /// The endpoint in a network, by the network's full id.
    pub fn endpoint(&self, network_id: &str) -> Option<&Endpoint> {
        self.endpoints.iter().map(|(_, endpoint)| endpoint).find(|endpoint| endpoint.network_id == network_id)
    }
}

fn volume_of(mount: &MountConfig) -> Option<Box<str>> {
    match &mount.kind {
        MountKind::Volume(name) => Some(name.as_str().into()),
        MountKind::Bind(_) | MountKind::Tmpfs(_) => None,
    }
}

fn is_serving(state: ContainerState, health: Health) -> bool {
    state == ContainerState::Running && matches!(health, Health::None | Health::Healthy)
}

impl ObservedNetwork {
    pub(crate) fn from_detail(detail: &NetworkDetail, identity: &Identity) -> Self {
        let claim = match identity.read(&detail.labels) {
            Ownership::Ours(claim) if claim.engine_name == detail.name => Some(claim),
            Ownership::Ours(_) | Ownership::Unproven | Ownership::Foreign => None,
        };
        let subnets: Vec<&str> = detail.subnets.iter().map(|(subnet, _, _)| subnet.as_str()).collect();
        Self {
            id: Arc::from(detail.id.as_str()),
            name: Arc::from(detail.name.as_str()),
            hash: claim.as_ref().map_or_else(|| Arc::from(""), |claim| Arc::from(claim.hash.as_str())),
            template: template_of(&detail.labels, claim.is_some()),
            owner: claim.map(|claim| claim.owner),
            created_ms: detail.created_ms,
            subnets: subnets.join(",").into(),
            driver: detail.driver.as_str().into(),
        }
    }
}

impl ObservedVolume {
    pub(crate) fn from_detail(detail: &VolumeDetail, identity: &Identity) -> Self {
        let claim = match identity.read(&detail.labels) {
            Ownership::Ours(claim) if claim.engine_name == detail.name => Some(claim),
            Ownership::Ours(_) | Ownership::Unproven | Ownership::Foreign => None,
        };
        Self {
            name: Arc::from(detail.name.as_str()),
            hash: claim.as_ref().map_or_else(|| Arc::from(""), |claim| Arc::from(claim.hash.as_str())),
            template: template_of(&detail.labels, claim.is_some()),
            owner: claim.map(|claim| claim.owner),
            driver: detail.driver.as_str().into(),
        }
    }
}

fn template_of(labels: &std::collections::BTreeMap<String, String>, is_ours: bool) -> Arc<str> {
    let template = labels.get(LABEL_TEMPLATE).filter(|_| is_ours);
    Arc::from(template.map_or("", String::as_str))
}
