//! The controller: its parts joined, its loops run, and ended in order. It knows neither host nor address, so that a simulation
//! runs the very same.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use planner::World;
use planner::ownership::Identity;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::absence::LastSeen;
use crate::board::Board;
use crate::clock::Clock;
use crate::core::Core;
use crate::engine::{Engine, EngineError};
use crate::event::{EventType, NewEvent};
use crate::executor::Executor;
use crate::holder::Holder;
use crate::intake::{Intake, PruneSettings};
use crate::lease_keeper::{KeepError, LeaseKeeper};
use crate::mcp;
use crate::metrics::Metrics;
use crate::once::{Outcome, converge};
use crate::reconcile::Reconciler;
use crate::reflector::Reflector;
use crate::source::Source;
use crate::store::{Store, StoreError};
use crate::supervise::supervise;
use crate::user_word::UserWord;

/// How often prune is asked again, so that what was removed a moment ago goes in time.
const PRUNE_LOOK: Duration = Duration::from_secs(1);
/// The pause before the lease is tried again that the Engine failed to give.
const LEASE_PAUSE: Duration = Duration::from_secs(5);
/// How often the store is exported.
const EXPORT_TIME: Duration = Duration::from_hours(1);
/// How long the end may take: flushing, exporting, giving the lease back.
const SHUTDOWN_TIME: Duration = Duration::from_secs(8);
/// How long gateways have to let what is under way end.
const CLOSE_TIME: Duration = Duration::from_secs(3);
/// How long changes of the board are gathered before they are counted.
const GATHER_TIME: Duration = Duration::from_millis(20);

/// What a controller is made of.
#[derive(Debug)]
pub struct Parts {
    /// Whose everything is that it makes.
    pub identity: Identity,
    /// Which process it is.
    pub me: Holder,
    /// Which data directory it has.
    pub data_dir_id: String,
    /// The Engine.
    pub engine: Arc<dyn Engine>,
    /// What survives a restart.
    pub store: Store,
    /// What was done to the store when it was opened, where anything was.
    pub recovery: Option<String>,
    /// The store may know less than it once did, so that the first pass removes nothing.
    pub is_restricted: bool,
    /// Where the manifests are; a controller without any cannot run.
    pub source: Option<Arc<dyn Source>>,
    /// What readers see.
    pub board: Arc<Board>,
    /// Counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Where the files of gateways are; without, servers of MCP are not asked and gateways do not listen.
    pub mcp_dir: Option<PathBuf>,
    /// How it is set.
    pub settings: Settings,
}

/// How a controller is set.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How often everything is listed.
    pub resync: Duration,
    /// How many containers are started at once.
    pub start_concurrency: usize,
    /// When prune removes what.
    pub prune: PruneSettings,
    /// Whether it runs for ever, or until it has converged.
    pub mode: Mode,
    /// Whether it is the only one on its engine, and how it may become that.
    pub exclusion: Exclusion,
}

/// How long a controller runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until it is told to end.
    Continuous,
    /// Until everything is as it should be, will not be soon, or this time is over.
    Once(Duration),
}

/// How other controllers of the same instance are kept away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// By a lease in the engine.
    Lease,
    /// By a lease that is taken from whoever holds it.
    TakeOver,
    /// Not at all: nobody else can reach the engine.
    None,
}

/// Why a controller cannot start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// No manifests were named.
    #[error("no manifest directory was named")]
    NoManifests,
    /// The store cannot be read.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// The Engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Another controller holds the engine for this instance.
    #[error(transparent)]
    Lease(#[from] KeepError),
    /// The store belongs to another engine.
    #[error("the data directory belongs to the engine `{known}`, but this is the engine `{found}`")]
    OtherEngine {
        /// The id in the store.
        known: String,
        /// The id of this engine.
        found: String,
    },
}

impl ControllerError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoManifests => Some("use `--manifests DIR`".into()),
            Self::Lease(error) => error.hint(),
            Self::OtherEngine { .. } => {
                Some("use another `--data-dir` for another engine, or the `--engine` that this one belongs to".into())
            }
            Self::Engine(_) => Some("is Docker running? `evenkeel doctor` looks".into()),
            Self::Store(_) => None,
        }
    }
}

/// A controller that is ready to run.
#[derive(Debug)]
pub struct Controller {
    core: Arc<Core>,
    reflector: Arc<Reflector>,
    reconciler: Arc<Reconciler>,
    intake: Arc<Intake>,
    source: Option<Arc<dyn Source>>,
    say: mpsc::Sender<UserWord>,
    words: mpsc::Receiver<UserWord>,
    mode: Mode,
    lease: Option<Arc<LeaseKeeper>>,
    last_seen: LastSeen,
    mcp_dir: Option<PathBuf>,
    /// The loop that keeps gateways, and what tells it to end.
    gateways: JoinSet<()>,
    stop_gateways: watch::Sender<bool>,
}

impl Controller {
    /// Joins the parts: reaches the Engine, takes the lease, and reads what the store remembers.
    ///
    /// # Errors
    /// When another controller is in the way, or something it needs is not there. An Engine that cannot be reached yet is no error
    /// of a controller that stays, but is one of [`Mode::Once`].
    pub async fn open(parts: Parts) -> Result<Self, ControllerError> {
        let Parts { engine, store, board, metrics, settings, .. } = parts;
        let is_needed_now = settings.mode != Mode::Continuous;
        let is_reachable = check_engine(&*engine, &store, is_needed_now).await?;
        let lease = (settings.exclusion != Exclusion::None).then(|| {
            let take_over = settings.exclusion == Exclusion::TakeOver;
            let (engine, store) = (Arc::clone(&engine), store.clone());
            Arc::new(LeaseKeeper::new(engine, store, parts.me.clone(), parts.data_dir_id, take_over))
        });
        if let (Some(lease), true) = (&lease, is_reachable)
            && let Err(error) = lease.ensure().await
            && (is_needed_now || !error.is_passing())
        {
            return Err(error.into());
        }
        let mut world = World::new(parts.identity);
        world.remember_ids(store.known_containers()?.into_keys());
        board.restore_events(store.events()?);
        let records = store.objects()?;
        let last_seen = LastSeen::read(&store, &records)?;
        for record in records {
            board.put_object(record);
        }
        let seed = parts.me.started_ticks ^ u64::from(parts.me.pid);
        let core = Arc::new(Core::new(world, engine, store, board, metrics.clone(), parts.clock, seed));
        core.rollouts.restore(core.store.rollouts()?);
        report_start(&core, parts.recovery.as_deref())?;
        let executor = Executor::new(Arc::clone(&core.engine), metrics, settings.start_concurrency);
        let executor = executor.guarded_by(lease.clone());
        let reflector = Arc::new(Reflector::new(Arc::clone(&core), settings.resync));
        let reconciler = Arc::new(Reconciler::new(Arc::clone(&core), executor, Arc::clone(&reflector)));
        let intake = Intake::restore(Arc::clone(&core), Arc::clone(&reconciler), settings.prune, parts.is_restricted)?;
        let (say, words) = mpsc::channel(1);
        Ok(Self {
            core,
            reflector,
            reconciler,
            intake: Arc::new(intake),
            source: parts.source,
            say,
            words,
            mode: settings.mode,
            lease,
            last_seen,
            mcp_dir: parts.mcp_dir,
            gateways: JoinSet::new(),
            stop_gateways: watch::Sender::new(false),
        })
    }

    /// Where a user's words go.
    pub fn words(&self) -> mpsc::Sender<UserWord> {
        self.say.clone()
    }

    /// Runs until `told_to_stop` ends or, with [`Mode::Once`], until it has converged or will not. Containers are left alone at the
    /// end. Dropped, it ends as a killed process does.
    ///
    /// # Errors
    /// When no manifests were named, or somebody else takes the engine over.
    pub async fn run(mut self, told_to_stop: impl Future<Output = ()>) -> Result<Outcome, ControllerError> {
        let source = self.source.take().ok_or(ControllerError::NoManifests)?;
        let mut tasks = JoinSet::new();
        let relisted = Arc::new(Notify::new());
        // The manifests first: the first list then asks for what they need, and nothing is decided before both are there.
        let reading = source.read().await;
        let is_clean = self.intake.take(reading).await;
        let (reflector, tell_relisted) = (Arc::clone(&self.reflector), Arc::clone(&relisted));
        tasks.spawn(supervise("reflector", Arc::clone(&self.core), move || {
            let (reflector, tell_relisted) = (Arc::clone(&reflector), Arc::clone(&tell_relisted));
            async move { reflector.run(move || tell_relisted.notify_one()).await }
        }));
        tokio::pin!(told_to_stop);
        let outcome = tokio::select! {
            // The order is fixed for the simulation. Cancel-safe: the notify keeps its permit, and the stop is only looked at.
            biased;
            () = relisted.notified() => None,
            () = &mut told_to_stop => Some(Outcome::Converged),
        };
        let lease = self.lease.take();
        let outcome = if let Some(outcome) = outcome {
            Ok(outcome)
        } else if let Some(ended) = tokio::select! {
            biased;
            () = &mut told_to_stop => Some(Ok(Outcome::Converged)),
            admitted = self.admit_late_engine(lease.as_deref()) => admitted.err().map(Err),
        } {
            ended
        } else {
            std::mem::take(&mut self.last_seen).note_losses(&self.core);
            self.spawn_loops(&mut tasks, source, relisted);
            // The first to end decides how the run ended; the others are over then.
            tokio::select! {
                biased;
                outcome = self.until_converged(is_clean) => Ok(outcome),
                () = &mut told_to_stop => Ok(Outcome::Converged),
                error = keep(lease.as_deref()) => Err(ControllerError::Lease(error)),
            }
        };
        self.end(tasks, lease).await;
        outcome
    }

    /// Ends only with [`Mode::Once`].
    async fn until_converged(&self, is_clean: bool) -> Outcome {
        match self.mode {
            Mode::Once(timeout) => converge(&self.core, timeout, is_clean).await,
            Mode::Continuous => std::future::pending().await,
        }
    }

    /// An Engine that could not be reached at the start is looked at as one that could: whether it is the store's own, and free.
    async fn admit_late_engine(&self, lease: Option<&LeaseKeeper>) -> Result<(), ControllerError> {
        let Some(lease) = lease else { return Ok(()) };
        loop {
            let error = match check_engine(&*self.core.engine, &self.core.store, true).await {
                Err(ControllerError::Engine(error)) => ControllerError::Engine(error),
                Err(error) => return Err(error),
                Ok(_) => match lease.ensure().await {
                    Ok(()) => return Ok(()),
                    Err(error) if error.is_passing() => ControllerError::Lease(error),
                    Err(error) => return Err(ControllerError::Lease(error)),
                },
            };
            if self.mode != Mode::Continuous {
                return Err(error);
            }
            tracing::warn!(error = %error, "the engine fails while the lease is taken; trying again");
            tokio::time::sleep(LEASE_PAUSE).await;
        }
    }

    /// Everything that goes on for as long as the controller runs.
    fn spawn_loops(&mut self, tasks: &mut JoinSet<()>, source: Arc<dyn Source>, relisted: Arc<Notify>) {
        wake_all(&self.core);
        let core = &self.core;
        let reconciler = Arc::clone(&self.reconciler);
        tasks.spawn(supervise("reconciler", Arc::clone(core), move || Arc::clone(&reconciler).run()));
        if self.mode == Mode::Continuous {
            let intake = Arc::clone(&self.intake);
            tasks.spawn(supervise("manifests", Arc::clone(core), move || {
                follow_manifests(Arc::clone(&source), Arc::clone(&intake))
            }));
        }
        let (intake, shared) = (Arc::clone(&self.intake), Arc::clone(core));
        tasks.spawn(supervise("prune", Arc::clone(core), move || {
            follow_prune(Arc::clone(&shared), Arc::clone(&intake), Arc::clone(&relisted))
        }));
        let (_, placeholder) = mpsc::channel(1);
        let words = Arc::new(tokio::sync::Mutex::new(std::mem::replace(&mut self.words, placeholder)));
        let intake = Arc::clone(&self.intake);
        tasks.spawn(supervise("words", Arc::clone(core), move || {
            let (words, intake) = (Arc::clone(&words), Arc::clone(&intake));
            async move {
                while let Some(word) = words.lock().await.recv().await {
                    intake.hear(word).await;
                }
            }
        }));
        let shared = Arc::clone(core);
        tasks.spawn(supervise("readiness", Arc::clone(core), move || tell_readiness(Arc::clone(&shared))));
        if let Some(dir) = self.mcp_dir.take() {
            let (shared, stop) = (Arc::clone(core), self.stop_gateways.subscribe());
            self.gateways.spawn(supervise("gateways", Arc::clone(core), move || {
                mcp::run(Arc::clone(&shared), dir.clone(), stop.clone())
            }));
        }
        let store = core.store.clone();
        tasks.spawn(supervise("exports", Arc::clone(core), move || export_regularly(store.clone())));
    }

    /// Ends the tasks, then what outlives them. Calls under way are left to the Engine; what they did is observed at the next start.
    async fn end(mut self, mut tasks: JoinSet<()>, lease: Option<Arc<LeaseKeeper>>) {
        tasks.abort_all();
        self.stop_gateways.send_replace(true);
        if tokio::time::timeout(CLOSE_TIME, self.gateways.join_next()).await.is_err() {
            tracing::debug!("the gateways took too long to close");
            self.gateways.abort_all();
        }
        let ending = async {
            while tasks.join_next().await.is_some() {}
            if let Err(error) = self.core.store.close().await {
                tracing::warn!(error = %error, "the store was not closed in order");
            }
            if let Some(lease) = lease {
                lease.release().await;
            }
        };
        if tokio::time::timeout(SHUTDOWN_TIME, ending).await.is_err() {
            tracing::warn!("the end took too long; the next start puts things in order");
        }
    }
}

/// Reads the manifests whenever they may have changed.
async fn follow_manifests(source: Arc<dyn Source>, intake: Arc<Intake>) {
    let mut watch = source.watch();
    loop {
        watch.changed().await;
        let reading = source.read().await;
        intake.take(reading).await;
    }
}

/// Decides about what is missing whenever there is news, and while anything is.
async fn follow_prune(core: Arc<Core>, intake: Arc<Intake>, relisted: Arc<Notify>) {
    let mut is_first_pass_done = false;
    intake.reconsider_prune().await;
    loop {
        let is_relisted = tokio::select! {
            // Both only say "look": nothing is lost when one wins.
            biased;
            () = relisted.notified() => true,
            () = tokio::time::sleep(PRUNE_LOOK) => false,
        };
        if is_relisted {
            wake_all(&core);
        }
        let is_pass_done = core.board.controller().is_ready;
        let is_news = is_pass_done && !is_first_pass_done;
        is_first_pass_done |= is_pass_done;
        intake.forget_removed().await;
        if is_relisted || is_news || intake.has_missing().await {
            intake.reconsider_prune().await;
        }
    }
}

fn wake_all(core: &Core) {
    let keys = core.world().all_keys();
    for key in &keys {
        core.wake(key);
    }
}

/// Ends only when the lease is lost; without one, never.
async fn keep(lease: Option<&LeaseKeeper>) -> KeepError {
    match lease {
        Some(lease) => lease.keep().await,
        None => std::future::pending().await,
    }
}

/// Whether the Engine answers. The store belongs to one engine: another one is refused.
async fn check_engine(engine: &dyn Engine, store: &Store, is_needed_now: bool) -> Result<bool, ControllerError> {
    let info = match engine.info().await {
        Ok(info) => info,
        Err(error) if is_needed_now => return Err(error.into()),
        Err(error) => {
            tracing::warn!(error = %error, "the engine cannot be reached yet");
            return Ok(false);
        }
    };
    match store.engine_id()? {
        Some(known) if known != info.id => Err(ControllerError::OtherEngine { known, found: info.id }),
        Some(_) => Ok(true),
        None => {
            let mut write = store.write();
            write.put_engine_id(&info.id);
            write.commit().await?;
            Ok(true)
        }
    }
}

/// Tells what the store went through, and what a crash left open.
fn report_start(core: &Core, recovery: Option<&str>) -> Result<(), ControllerError> {
    if let Some(report) = recovery {
        tracing::warn!(report = report, "the store was recovered; the first pass removes nothing");
        core.record(NewEvent::controller_warning("StoreRecovered", report));
        core.board.update_controller(|controller| controller.store_recovered = Some(report.to_owned()));
    }
    for intent in core.store.open_intents()? {
        let steps = intent.steps.join("; ");
        let message = format!("the controller ended in the middle of a pass; what it did is observed now: {steps}");
        core.record(NewEvent {
            event_type: EventType::Normal,
            ..NewEvent::warning(&intent.key, "PassInterrupted", message)
        });
        let mut write = core.store.write();
        write.finish_pass(intent.id, vec!["interrupted".to_owned()], core.clock.now_ms());
        write.commit_lazily()?;
    }
    Ok(())
}

/// Says that the first full pass is done once every object has been looked at, and counts objects.
async fn tell_readiness(core: Arc<Core>) {
    let mut changes = core.board.subscribe();
    loop {
        let objects = core.board.objects();
        let (ready, not_ready): (Vec<_>, Vec<_>) = objects.iter().partition(|record| record.status.is_ready());
        core.metrics.set_objects(ready.len(), not_ready.len());
        let (due, _) = core.queue.depth();
        core.metrics.queue_depth.set(i64::try_from(due).unwrap_or(i64::MAX));
        let commits = core.store.commits();
        core.metrics.store_commits.inc_by(commits.saturating_sub(core.metrics.store_commits.get()));
        if core.is_every_object_looked_at() {
            core.board.update_controller(|controller| controller.is_ready = true);
        }
        // The sender lives as long as the board, which `core` holds.
        if changes.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(GATHER_TIME).await;
    }
}

async fn export_regularly(store: Store) {
    loop {
        tokio::time::sleep(EXPORT_TIME).await;
        if let Err(error) = store.export().await {
            tracing::warn!(error = %error, "the store was not exported");
        }
    }
}

#[cfg(test)]
mod tests;
