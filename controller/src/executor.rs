//! The executor: walks the steps of a plan in dependency order, one Engine call each, and decides nothing.
//!
//! It is the only caller of the Engine's changing methods. Steps that do not depend on each other run at once, as far as the
//! permits go; the first failure stops what depends on it and nothing else. Before each changing call it has the lease confirmed:
//! without it, the call is not made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use planner::observed::{ContainerDetail, ImageDetail, VolumeDetail};
use planner::plan::{Action, ContainerRef, FieldChange, Plan, Step};
use tokio::sync::Semaphore;

use crate::engine::{Engine, EngineError, ErrorKind};
use crate::lease_keeper::LeaseKeeper;
use crate::metrics::{CallOutcome, Metrics};

/// A call that lasts longer gives its permit back: one that hangs must not hold up the others.
const PERMIT_TIME: Duration = Duration::from_secs(10);
/// How long a create, remove, rename, update, connect or disconnect may take.
const SHORT_DEADLINE: Duration = Duration::from_mins(1);
/// How long a start may take.
const START_DEADLINE: Duration = Duration::from_mins(2);
/// How long a stop may take beyond its grace: the Engine itself waits up to 14 s more.
const STOP_DEADLINE_BEYOND_GRACE: Duration = Duration::from_secs(30);
/// How long a pull may take; the Engine adapter ends one without progress earlier.
const PULL_DEADLINE: Duration = Duration::from_hours(1);
/// How many creates and other short calls run at once.
const SHORT_CONCURRENCY: usize = 8;
/// How many pulls run at once.
const PULL_CONCURRENCY: usize = 3;
/// How many stops run at once; they mostly wait for a grace.
const STOP_CONCURRENCY: usize = 16;

/// Walks plans.
#[derive(Debug)]
pub struct Executor {
    engine: Arc<dyn Engine>,
    metrics: Metrics,
    /// What says whether anything may be changed; nothing where nobody else can reach the Engine.
    lease: Option<Arc<LeaseKeeper>>,
    starts: Semaphore,
    shorts: Semaphore,
    pulls: Semaphore,
    stops: Semaphore,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum StepOutcome {
    /// The Engine did it.
    Done(Effect),
    /// A container was created, but not as asked for; it must not be started.
    Differs(Box<ContainerDetail>, Vec<FieldChange>),
    /// The Engine did not, or did not answer.
    Failed(EngineError),
    /// A step that it depends on was not done.
    Skipped,
}

/// What a step that was done tells about the Engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A container was created, with this id and these warnings.
    ContainerCreated(String, Vec<String>),
    /// A container looks like this.
    ContainerSeen(Box<ContainerDetail>),
    /// A container was changed; what it is now must be asked.
    ContainerChanged(String),
    /// A container is gone.
    ContainerRemoved(String),
    /// A network was created, with this id.
    NetworkCreated(String),
    /// A network is gone.
    NetworkRemoved(String),
    /// A volume is there; perhaps it was before.
    VolumeSeen(VolumeDetail),
    /// A volume is gone.
    VolumeRemoved(String),
    /// An image is there.
    ImageSeen(String, Option<ImageDetail>),
}

impl Executor {
    /// An executor that starts at most so many containers at once.
    pub fn new(engine: Arc<dyn Engine>, metrics: Metrics, start_concurrency: usize) -> Self {
        Self {
            engine,
            metrics,
            lease: None,
            starts: Semaphore::new(start_concurrency.max(1)),
            shorts: Semaphore::new(SHORT_CONCURRENCY),
            pulls: Semaphore::new(PULL_CONCURRENCY),
            stops: Semaphore::new(STOP_CONCURRENCY),
        }
    }

    /// The same, which changes nothing without this lease.
    #[must_use]
    pub(crate) fn guarded_by(self, lease: Option<Arc<LeaseKeeper>>) -> Self {
        Self { lease, ..self }
    }

    /// Walks a plan for as long as it is wanted. `on_outcome` is told of each step as it ends, in the order in which they end; steps
    /// whose calls were not sent when the plan was wanted no more are skipped.
    pub async fn execute(
        &self,
        plan: &Plan,
        is_wanted: impl Fn() -> bool,
        mut on_outcome: impl FnMut(&Step, &StepOutcome),
    ) -> Vec<StepOutcome> {
        let mut outcomes: BTreeMap<u32, StepOutcome> = BTreeMap::new();
        let mut created: BTreeMap<u32, String> = BTreeMap::new();
        let mut pending: Vec<&Step> = plan.steps.iter().collect();
        let mut running = FuturesUnordered::new();
        loop {
            let mut still_pending = Vec::new();
            for step in pending {
                if !is_wanted() {
                    outcomes.insert(step.id, StepOutcome::Skipped);
                } else if step.after.iter().all(|id| matches!(outcomes.get(id), Some(StepOutcome::Done(_)))) {
                    let id = container_id(&step.action, &created).map(str::to_owned);
                    let is_wanted = &is_wanted;
                    running.push(async move { (step, self.perform(step, id.as_deref(), is_wanted).await) });
                } else if step.after.iter().any(|id| is_hopeless(outcomes.get(id))) {
                    outcomes.insert(step.id, StepOutcome::Skipped);
                } else {
                    still_pending.push(step);
                }
            }
            pending = still_pending;
            let Some((step, outcome)) = running.next().await else { break };
            if let StepOutcome::Done(Effect::ContainerCreated(id, _)) = &outcome {
                created.insert(step.id, id.clone());
            }
            on_outcome(step, &outcome);
            outcomes.insert(step.id, outcome);
        }
        plan.steps.iter().map(|step| outcomes.remove(&step.id).unwrap_or(StepOutcome::Skipped)).collect()
    }

    async fn perform(&self, step: &Step, container_id: Option<&str>, is_wanted: &impl Fn() -> bool) -> StepOutcome {
        let (permits, deadline) = self.limits_of(&step.action);
        let Ok(permit) = permits.acquire().await else { return StepOutcome::Skipped };
        // With the permit in hand: whoever waited for it long would come with an old confirmation.
        if let Err(error) = self.check_lease(step).await {
            return StepOutcome::Failed(error);
        }
        // Both may have taken their time, and the manifest may have changed in it.
        if !is_wanted() {
            return StepOutcome::Skipped;
        }
        let call = self.call(&step.action, container_id.unwrap_or_default());
        tokio::pin!(call);
        let result = if let Ok(result) = tokio::time::timeout(PERMIT_TIME, &mut call).await {
            result
        } else {
            drop(permit);
            let rest = deadline.saturating_sub(PERMIT_TIME);
            tokio::time::timeout(rest, call).await.unwrap_or_else(|_| Err(timed_out(step, deadline)))
        };
        let outcome = match &result {
            Ok(_) => CallOutcome::Done,
            Err(error) if error.kind.is_outcome_unknown() => CallOutcome::Unknown,
            Err(_) => CallOutcome::Failed,
        };
        self.metrics.count_engine_call(operation_name(&step.action), outcome);
        match (result, &step.action) {
            (Ok(Effect::ContainerSeen(detail)), Action::VerifyContainer { expected, .. }) => {
                let fields = planner::verify::compare(expected, &detail);
                if fields.is_empty() {
                    StepOutcome::Done(Effect::ContainerSeen(detail))
                } else {
                    StepOutcome::Differs(detail, fields)
                }
            }
            (Ok(effect), _) => StepOutcome::Done(effect),
            (Err(error), _) => StepOutcome::Failed(error),
        }
    }

    /// Whether a step may be taken. Nothing waits between this and its call.
    async fn check_lease(&self, step: &Step) -> Result<(), EngineError> {
        let Some(lease) = self.lease.as_ref().filter(|_| step.action.is_mutating()) else { return Ok(()) };
        lease.confirm().await.map_err(|why| EngineError {
            operation: format!("{} {}", step.action.verb().to_lowercase(), step.action.subject()),
            status: None,
            text: why.text,
            kind: why.kind,
        })
    }

    fn limits_of(&self, action: &Action) -> (&Semaphore, Duration) {
        match action {
            Action::PullImage { .. } => (&self.pulls, PULL_DEADLINE),
            Action::StartContainer { .. } => (&self.starts, START_DEADLINE),
            Action::StopContainer { grace_secs, .. } => {
                (&self.stops, Duration::from_secs(u64::from(*grace_secs)) + STOP_DEADLINE_BEYOND_GRACE)
            }
            Action::CreateNetwork(_)
            | Action::RemoveNetwork { .. }
            | Action::CreateVolume(_)
            | Action::RemoveVolume { .. }
            | Action::CreateContainer(_)
            | Action::VerifyContainer { .. }
            | Action::ConnectNetwork { .. }
            | Action::DisconnectNetwork { .. }
            | Action::UnpauseContainer { .. }
            | Action::RenameContainer { .. }
            | Action::UpdateContainer { .. }
            | Action::RemoveContainer { .. } => (&self.shorts, SHORT_DEADLINE),
        }
    }

    /// One call.
    async fn call(&self, action: &Action, id: &str) -> Result<Effect, EngineError> {
        let engine = &self.engine;
        let changed = || Effect::ContainerChanged(id.to_owned());
        match action {
            Action::PullImage { reference } => {
                engine.pull_image(reference).await?;
                Ok(Effect::ImageSeen(reference.clone(), engine.inspect_image(reference).await?))
            }
            Action::CreateNetwork(network) => Ok(Effect::NetworkCreated(engine.create_network(network).await?)),
            Action::RemoveNetwork { id, .. } => {
                absent_is_done(engine.remove_network(id).await)?;
                Ok(Effect::NetworkRemoved(id.clone()))
            }
            Action::CreateVolume(volume) => Ok(Effect::VolumeSeen(engine.create_volume(volume).await?)),
            Action::RemoveVolume { name } => {
                absent_is_done(engine.remove_volume(name).await)?;
                Ok(Effect::VolumeRemoved(name.clone()))
            }
            Action::CreateContainer(create) => {
                let created = engine.create_container(create).await?;
                Ok(Effect::ContainerCreated(created.id, created.warnings))
            }
            Action::VerifyContainer { expected, .. } => {
                let seen = engine.inspect_container(id).await?;
                let detail = seen.ok_or_else(|| vanished(&expected.name))?;
                Ok(Effect::ContainerSeen(Box::new(detail)))
            }
            Action::ConnectNetwork { endpoint, .. } => {
                engine.connect_network(id, endpoint).await?;
                Ok(changed())
            }
            Action::DisconnectNetwork { network_id, .. } => {
                absent_is_done(engine.disconnect_network(id, network_id).await)?;
                Ok(changed())
            }
            Action::StartContainer { .. } => {
                engine.start_container(id).await?;
                Ok(changed())
            }
            Action::StopContainer { grace_secs, .. } => {
                engine.stop_container(id, *grace_secs).await?;
                Ok(changed())
            }
            Action::UnpauseContainer { .. } => {
                engine.unpause_container(id).await?;
                Ok(changed())
            }
            Action::RenameContainer { name, .. } => {
                engine.rename_container(id, name).await?;
                Ok(changed())
            }
            Action::UpdateContainer { limits, .. } => {
                engine.update_container(id, limits).await?;
                Ok(changed())
            }
            Action::RemoveContainer { .. } => {
                absent_is_done(engine.remove_container(id).await)?;
                Ok(Effect::ContainerRemoved(id.to_owned()))
            }
        }
    }
}

/// Something that is to go and is not there is gone.
fn absent_is_done(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a step that depends on one with this outcome will never be taken.
fn is_hopeless(outcome: Option<&StepOutcome>) -> bool {
    matches!(outcome, Some(StepOutcome::Differs(..) | StepOutcome::Failed(_) | StepOutcome::Skipped))
}

fn vanished(name: &str) -> EngineError {
    EngineError {
        operation: format!("inspect container `{name}`"),
        status: None,
        text: "it is gone".into(),
        kind: ErrorKind::NotFound,
    }
}

fn timed_out(step: &Step, deadline: Duration) -> EngineError {
    EngineError {
        operation: format!("{} {}", step.action.verb().to_lowercase(), step.action.subject()),
        status: None,
        text: format!("no answer within {}", humantime::format_duration(deadline)),
        kind: if step.action.is_mutating() { ErrorKind::Unknown } else { ErrorKind::Internal },
    }
}

/// The full id of the container that a step acts on; `None` where it acts on none, or where that was not created.
fn container_id<'id>(action: &'id Action, created: &'id BTreeMap<u32, String>) -> Option<&'id str> {
    match container_of(action)? {
        ContainerRef::Existing { id, .. } => Some(id),
        ContainerRef::Created { step, .. } => created.get(step).map(String::as_str),
    }
}

/// The container that a step acts on.
pub fn container_of(action: &Action) -> Option<&ContainerRef> {
    match action {
        Action::VerifyContainer { container, .. }
        | Action::ConnectNetwork { container, .. }
        | Action::DisconnectNetwork { container, .. }
        | Action::StartContainer { container }
        | Action::StopContainer { container, .. }
        | Action::UnpauseContainer { container }
        | Action::RenameContainer { container, .. }
        | Action::UpdateContainer { container, .. }
        | Action::RemoveContainer { container } => Some(container),
        Action::PullImage { .. }
        | Action::CreateNetwork(_)
        | Action::RemoveNetwork { .. }
        | Action::CreateVolume(_)
        | Action::RemoveVolume { .. }
        | Action::CreateContainer(_) => None,
    }
}

/// The name of a call in metrics.
fn operation_name(action: &Action) -> &'static str {
    match action {
        Action::PullImage { .. } => "pull_image",
        Action::CreateNetwork(_) => "create_network",
        Action::RemoveNetwork { .. } => "remove_network",
        Action::CreateVolume(_) => "create_volume",
        Action::RemoveVolume { .. } => "remove_volume",
        Action::CreateContainer(_) => "create_container",
        Action::VerifyContainer { .. } => "inspect_container",
        Action::ConnectNetwork { .. } => "connect_network",
        Action::DisconnectNetwork { .. } => "disconnect_network",
        Action::StartContainer { .. } => "start_container",
        Action::StopContainer { .. } => "stop_container",
        Action::UnpauseContainer { .. } => "unpause_container",
        Action::RenameContainer { .. } => "rename_container",
        Action::UpdateContainer { .. } => "update_container",
        Action::RemoveContainer { .. } => "remove_container",
    }
}
