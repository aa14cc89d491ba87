//! What is kept of each observed thing: no more than planning needs, since there may be ten thousand.

use std::sync::Arc;

use crds_schema::ObjectKey;
use crds_schema::primitive::Readiness;

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
    /// Who says whether it serves.
    pub readiness: Readiness,
    /// For how long at most whoever uses it is waited for before it is stopped, in milliseconds.
    pub(crate) release_ms: i64,
    /// What the last probe of the run that it is in came to.
    pub probe: ProbeOutcome,
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
    /// It was made to be never pruned.
    pub is_protected: bool,
    /// What a comparison after its creation found; it must not be started.
    pub mismatch: Vec<FieldChange>,
    /// The volumes that it mounts, by their names in the Engine.
    pub volumes: Vec<Box<str>>,
    /// Seconds before a stop kills; `None`: the Engine's default.
    pub stop_timeout_secs: Option<u32>,
}

/// What a probe of a container came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// None has come to anything yet.
    #[default]
    Unknown,
    /// It answered as it should.
    Ready,
    /// It did not, and this is what is wrong, for people.
    Failed(String),
    /// It answered as it should, and is not used yet by whoever probed it, for this reason: it does not serve, and has not failed.
    Held(String),
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
    /// It was made to be never pruned.
    pub is_protected: bool,
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
        let is_same_run = before.is_some_and(|before| before.started_ms == status.started_ms);
        let served_since = before.filter(|_| is_same_run).and_then(|before| before.serving_since_ms);
        // A clock that was set back must not make it wait until it is as late again.
        let served_since = served_since.map(|since_ms| since_ms.min(now_ms));
        let mut container = Self {
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
            readiness: before.map(|before| before.readiness).unwrap_or_default(),
            release_ms: before.map(|before| before.release_ms).unwrap_or_default(),
            // What another run answered says nothing of this one.
            probe: before.filter(|_| is_same_run).map(|before| before.probe.clone()).unwrap_or_default(),
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
            serving_since_ms: None,
            is_protected: claim.protected,
            mismatch: before.map(|before| before.mismatch.clone()).unwrap_or_default(),
            volumes: detail.config.mounts.iter().filter_map(volume_of).collect(),
            stop_timeout_secs: detail.config.stop_timeout_secs,
        };
        container.serving_since_ms = container.is_serving().then(|| served_since.unwrap_or(now_ms));
        container
    }

    /// Takes what a probe came to. Returns whether that is news.
    pub(crate) fn set_probe(&mut self, outcome: ProbeOutcome, now_ms: TimestampMs) -> bool {
        let is_news = self.probe != outcome;
        self.probe = outcome;
        self.serving_since_ms = self.is_serving().then(|| self.serving_since_ms.unwrap_or(now_ms));
        is_news
    }

    /// Takes who says whether it serves. What begins to serve by that does so from its next look on.
    pub(crate) fn set_readiness(&mut self, readiness: Readiness) {
        self.readiness = readiness;
        self.serving_since_ms = self.serving_since_ms.filter(|_| self.is_serving());
    }

    /// Whether its process runs, frozen or between two runs included: whether it must be stopped before it is removed.
    pub fn is_up(&self) -> bool {
        match self.state {
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting => true,
            ContainerState::Created | ContainerState::Removing | ContainerState::Exited | ContainerState::Dead => false,
        }
    }

    /// Whether it serves: it runs, and its HEALTHCHECK, if any, passes, or a probe of this run was answered where one is asked for.
    pub fn is_serving(&self) -> bool {
        let is_answering = match self.readiness {
            Readiness::Engine => matches!(self.health, Health::None | Health::Healthy),
            Readiness::Probed => self.probe == ProbeOutcome::Ready,
        };
        self.state == ContainerState::Running && is_answering
    }

    /// Whether it serves, or may do: it runs, and nobody has probed it yet, as after the start of a controller.
    pub(crate) fn may_serve(&self) -> bool {
        let is_unprobed = self.readiness == Readiness::Probed && self.probe == ProbeOutcome::Unknown;
        self.is_serving() || (self.state == ContainerState::Running && is_unprobed)
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
            is_protected: claim.as_ref().is_some_and(|claim| claim.protected),
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
