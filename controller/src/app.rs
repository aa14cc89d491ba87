//! The app: builds the parts of a controller, joins them, runs them and ends them in order.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crds_schema::{ConditionType, Severity};
use planner::World;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use crate::absence::LastSeen;
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{Config, EngineAddress};
use crate::core::Core;
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineError};
use crate::event::{EventType, NewEvent};
use crate::executor::Executor;
use crate::holder::Holder;
use crate::http::server::{Api, ListenError, Listener, serve};
use crate::http::token::{Token, TokenError};
use crate::identity::{self, IdentityError};
use crate::intake::{Intake, PruneSettings};
use crate::lease_keeper::{KeepError, LeaseKeeper};
use crate::lock::{DataDirLock, LockError};
use crate::metrics::Metrics;
use crate::reconcile::Reconciler;
use crate::reflector::Reflector;
use crate::source::directory::Directory;
use crate::store::recovery::{OpenError, Recovery, StoreConfig, open};
use crate::store::{Store, StoreError};

/// How often prune is asked again, so that what was removed a moment ago goes in time.
const PRUNE_LOOK: Duration = Duration::from_secs(1);
/// How often the store is exported.
const EXPORT_TIME: Duration = Duration::from_hours(1);
/// How long the end may take: flushing, exporting, giving the lease back.
const SHUTDOWN_TIME: Duration = Duration::from_secs(8);
/// How many failures in a row make an object hopeless for `--once`.
const ONCE_FAILURES: u32 = 3;
/// How many restarts by the Engine make a container hopeless for `--once`.
const ONCE_LOOK: Duration = Duration::from_millis(20);

/// A controller that is ready to run.
#[derive(Debug)]
pub struct App {
    config: Config,
    core: Arc<Core>,
    reflector: Arc<Reflector>,
    reconciler: Arc<Reconciler>,
    intake: Arc<Intake>,
    api: Option<(Listener, Api)>,
    confirmations: mpsc::Receiver<String>,
    stop: watch::Sender<bool>,
    /// None on the simulated engine, which nobody shares.
    lease: Option<LeaseKeeper>,
    last_seen: LastSeen,
    /// Held for as long as the controller runs.
    _lock: DataDirLock,
}

/// How a controller is started, beside its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartOptions {
    /// Serve the API.
    pub is_serving: bool,
    /// Take the engine over from a controller that may still live.
    pub take_over: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as the manifests say; or it was told to end.
    Converged,
    /// Something is not, and will not be soon.
    NotConverged,
    /// A manifest is at fault.
    BadInput,
}

/// Why a controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// No manifests were named.
    #[error("no manifest directory was named")]
    NoManifests,
    /// Another controller has the data directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The key or the token is at fault.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Open(#[source] Box<OpenError>),
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
    /// Something of the operating system.
    #[error("cannot {operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The address of the API cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The token of the API cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl AppError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoManifests => Some("use `--manifests DIR`".into()),
            Self::Lock(error) => Some(error.hint().to_owned()),
            Self::Identity(error) => Some(error.hint()),
            Self::Open(error) => Some(error.hint().to_owned()),
            Self::Lease(error) => error.hint(),
            Self::OtherEngine { .. } => {
                Some("use another `--data-dir` for another engine, or the `--engine` that this one belongs to".into())
            }
            Self::Engine(_) => Some("is Docker running? `evenkeel doctor` looks".into()),
            Self::Listen(_) => Some("use another `--listen` address, or end what uses it".into()),
            Self::Store(_) | Self::Io { .. } | Self::Token(_) => None,
        }
    }
}

/// The Engine at an address.
///
/// # Errors
/// When the address cannot be used.
pub fn connect(address: &EngineAddress) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(match address {
        EngineAddress::Simulated => {
            Arc::new(crate::engine::simulated::SimulatedEngine::demo(Clock::of_the_host().now_ms()))
        }
        EngineAddress::Unix(_) | EngineAddress::Tcp(_) => Arc::new(DockerEngine::connect(&address.to_string())?),
    })
}

impl App {
    /// Builds a controller: locks the data directory, opens the store, reaches the Engine and takes the lease.
    ///
    /// # Errors
    /// When another controller is in the way, or something it needs is not there. An Engine that cannot be reached yet is no error
    /// of a controller that stays, but is one of `--once`.
    pub async fn open(config: Config, start: StartOptions) -> Result<Self, AppError> {
        let is_simulated = config.engine == EngineAddress::Simulated;
        let me = Holder::current(&config.instance)
            .map_err(|source| AppError::Io { operation: "tell this process from others", source })?;
        identity::prepare_data_dir(&config.data_dir)?;
        let lock = DataDirLock::acquire(&config.data_dir, &me)?;
        let local = identity::load_or_create(&config.data_dir, &config.instance)?;
        let engine = connect(&config.engine)?;
        let (store, recovery) = if is_simulated {
            (Store::in_memory()?, None)
        } else {
            let settings =
                StoreConfig { durability: durability(config.durability), ..StoreConfig::new(&config.data_dir) };
            let opened = tokio::task::spawn_blocking(move || open(&settings))
                .await
                .map_err(|error| AppError::Io { operation: "open the store", source: std::io::Error::other(error) })?;
            let opened = opened.map_err(|error| AppError::Open(Box::new(error)))?;
            (opened.store, Some(opened.recovery))
        };
        let board = Arc::new(Board::default());
        board.update_controller(|controller| controller.is_simulated = is_simulated);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let is_reachable = check_engine(&*engine, &store, config.once).await?;
        let mut lease = (!is_simulated).then(|| {
            let (engine, data_dir_id) = (Arc::clone(&engine), local.data_dir_id.clone());
            LeaseKeeper::new(engine, store.clone(), me.clone(), data_dir_id, start.take_over)
        });
        if let (Some(lease), true) = (&mut lease, is_reachable) {
            lease.ensure().await?;
        }
        let mut world = World::new(local.identity.clone());
        world.remember_ids(store.known_containers()?.into_keys());
        board.restore_events(store.events()?);
        let records = store.objects()?;
        let last_seen = LastSeen::read(&store, &records)?;
        for record in records {
            board.put_object(record);
        }
        let seed = me.started_ticks ^ u64::from(me.pid);
        let core =
            Arc::new(Core::new(world, engine, store, Arc::clone(&board), metrics.clone(), Clock::of_the_host(), seed));
        report_start(&core, recovery.as_ref().and_then(|recovery| recovery.report()))?;
        let executor = Executor::new(Arc::clone(&core.engine), metrics, config.start_concurrency);
        let reflector = Arc::new(Reflector::new(Arc::clone(&core), config.resync));
        let reconciler = Arc::new(Reconciler::new(Arc::clone(&core), executor, Arc::clone(&reflector)));
        let prune = PruneSettings {
            limit_percent: config.prune_limit.0,
            delay_ms: i64::try_from(config.prune_delay.as_millis()).unwrap_or(i64::MAX),
        };
        let is_restricted = recovery.as_ref().is_some_and(Recovery::is_first_pass_restricted);
        let intake = Arc::new(Intake::restore(Arc::clone(&core), Arc::clone(&reconciler), prune, is_restricted)?);
        let (stop, stopped) = watch::channel(false);
        let (confirm, confirmations) = mpsc::channel(1);
        let api = if start.is_serving {
            let listener = Listener::bind(&config.listen).await?;
            let token = Token::new(local.api_token.clone());
            Some((listener, Api::new(board, Arc::new(registry), token, confirm, stopped)))
        } else {
            None
        };
        Ok(Self {
            config,
            core,
            reflector,
            reconciler,
            intake,
            api,
            confirmations,
            stop,
            lease,
            last_seen,
            _lock: lock,
        })
    }

    /// What readers see.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.core.board)
    }

    /// Where the API is served, once it is known which port the kernel chose.
    pub fn address(&self) -> Option<String> {
        self.api.as_ref().map(|(listener, _)| listener.address().to_string())
    }

    /// Runs until `told_to_stop` ends or, with `--once`, until it has converged or will not. Containers are left alone at the end.
    ///
    /// # Errors
    /// When no manifests were named.
    pub async fn run(mut self, told_to_stop: impl Future<Output = ()>) -> Result<Outcome, AppError> {
        let root = self.config.manifests.clone().ok_or(AppError::NoManifests)?;
        let mut tasks = JoinSet::new();
        if let Some((listener, api)) = self.api.take() {
            tasks.spawn(serve(listener, api));
        }
        let directory = Directory::new(root);
        let relisted = Arc::new(Notify::new());
        // The manifests first: the first list then asks for what they need, and nothing is decided before both are there.
        let is_clean = self.read_once(&directory).await;
        let tell_relisted = Arc::clone(&relisted);
        let reflector = Arc::clone(&self.reflector);
        tasks.spawn(async move { reflector.run(move || tell_relisted.notify_one()).await });
        tokio::pin!(told_to_stop);
        // Cancel-safe: the notify keeps its permit, and the stop is only looked at.
        let outcome = tokio::select! {
            () = relisted.notified() => None,
            () = &mut told_to_stop => Some(Outcome::Converged),
        };
        let mut lease = self.lease.take();
        let outcome = if let Some(outcome) = outcome {
            Ok(outcome)
        } else if let Err(error) = self.admit_late_engine(&mut lease).await {
            Err(error)
        } else {
            std::mem::take(&mut self.last_seen).note_losses(&self.core);
            self.spawn_loops(&mut tasks, directory, relisted);
            let once = self.config.once;
            // The first to end decides how the run ended; the other is over then.
            tokio::select! {
                outcome = self.converge(is_clean), if once => Ok(outcome),
                () = &mut told_to_stop => Ok(Outcome::Converged),
                error = keep(&mut lease) => Err(AppError::Lease(error)),
            }
        };
        self.end(tasks, lease).await;
        outcome
    }

    /// An Engine that could not be reached at the start is looked at as one that could: whether it is the store's own, and free.
    async fn admit_late_engine(&self, lease: &mut Option<LeaseKeeper>) -> Result<(), AppError> {
        let Some(lease) = lease else { return Ok(()) };
        check_engine(&*self.core.engine, &self.core.store, true).await?;
        lease.ensure().await.map_err(AppError::Lease)
    }

    async fn read_once(&self, directory: &Directory) -> bool {
        let reading = directory.read_aside().await;
        self.intake.take(reading).await
    }

    /// Everything that goes on for as long as the controller runs.
    fn spawn_loops(&mut self, tasks: &mut JoinSet<()>, directory: Directory, relisted: Arc<Notify>) {
        self.wake_all();
        tasks.spawn(Arc::clone(&self.reconciler).run());
        let intake = Arc::clone(&self.intake);
        if !self.config.once {
            let mut watch = directory.watch();
            tasks.spawn(async move {
                loop {
                    watch.changed().await;
                    let reading = directory.read_aside().await;
                    intake.take(reading).await;
                }
            });
        }
        let (intake, core) = (Arc::clone(&self.intake), Arc::clone(&self.core));
        tasks.spawn(async move {
            let mut is_first_pass_done = false;
            intake.reconsider_prune(false).await;
            loop {
                // Both only say "look": nothing is lost when one wins.
                let is_relisted = tokio::select! {
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
                    intake.reconsider_prune(is_news).await;
                }
            }
        });
        let (_, placeholder) = mpsc::channel(1);
        let mut confirmations = std::mem::replace(&mut self.confirmations, placeholder);
        let intake = Arc::clone(&self.intake);
        tasks.spawn(async move {
            while let Some(token) = confirmations.recv().await {
                intake.confirm_prune(token).await;
            }
        });
        tasks.spawn(tell_readiness(Arc::clone(&self.core)));
        tasks.spawn(export_regularly(self.core.store.clone()));
    }

    fn wake_all(&self) {
        wake_all(&self.core);
    }

    /// Waits until everything is as it should be, or will not be soon.
    async fn converge(&self, is_clean: bool) -> Outcome {
        let deadline = tokio::time::Instant::now() + self.config.once_timeout;
        loop {
            tokio::time::sleep(ONCE_LOOK).await;
            let is_late = tokio::time::Instant::now() >= deadline;
            let is_busy = self.core.queue.is_busy(tokio::time::Instant::now());
            let unsettled: Vec<_> =
                self.core.board.objects().into_iter().filter(|record| !record.status.is_ready()).collect();
            let is_first_pass_done = self.core.board.controller().is_ready;
            if is_first_pass_done && !is_busy && unsettled.is_empty() {
                return if is_clean { Outcome::Converged } else { Outcome::BadInput };
            }
            let is_hopeless = is_first_pass_done && !is_busy && unsettled.iter().all(|record| self.is_hopeless(record));
            if is_hopeless || is_late {
                return if is_clean { Outcome::NotConverged } else { Outcome::BadInput };
            }
        }
    }

    /// Whether an object will not become ready soon by itself.
    fn is_hopeless(&self, record: &crate::status::ObjectRecord) -> bool {
        let status = &record.status;
        let is_stalled = status
            .condition(ConditionType::Stalled)
            .is_some_and(|stalled| stalled.status == crds_schema::ConditionStatus::True);
        let failures = self.core.backoffs().failures(&record.key);
        let ready_reason =
            status.condition(ConditionType::Ready).map(|ready| ready.reason.as_str()).unwrap_or_default();
        let is_crash_looping = ready_reason == "CrashLoopBackOff"
            && self.core.world().containers_of(&record.key).any(|container| container.restart_count >= ONCE_FAILURES);
        let is_waiting_only = ready_reason == "Waiting"
            && self.core.world().desired(&record.key).is_some_and(|object| {
                let needs = object.lowered.depends_on.iter().map(|dependency| &dependency.key);
                let mut needs = needs.chain(object.lowered.references());
                needs.any(|key| {
                    self.core.backoffs().failures(key) >= ONCE_FAILURES || self.core.board.object(key).is_none()
                })
            });
        let is_kept_by_strangers = {
            let world = self.core.world();
            let mut networks = world.networks_of(&record.key);
            networks.any(|network| !world.foreign_members(&network.id).is_empty())
        };
        is_stalled || failures >= ONCE_FAILURES || is_crash_looping || is_waiting_only || is_kept_by_strangers
    }

    /// Ends the tasks, then what outlives them. Calls under way are left to the Engine; what they did is observed at the next start.
    async fn end(self, mut tasks: JoinSet<()>, lease: Option<LeaseKeeper>) {
        // Nobody listens any more when the server has ended already.
        self.stop.send_replace(true);
        tasks.abort_all();
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

/// What the store calls what the user chose.
const fn durability(chosen: crate::config::Durability) -> crate::store::kv::Durability {
    match chosen {
        crate::config::Durability::Power => crate::store::kv::Durability::PowerCut,
        crate::config::Durability::Process => crate::store::kv::Durability::Process,
    }
}

fn wake_all(core: &Core) {
    let keys = core.world().all_keys();
    for key in &keys {
        core.wake(key);
    }
}

/// Ends only when the lease is lost; without one, never.
async fn keep(lease: &mut Option<LeaseKeeper>) -> KeepError {
    match lease {
        Some(lease) => lease.keep().await,
        None => std::future::pending().await,
    }
}

/// Whether the Engine answers. The store belongs to one engine: another one is refused.
async fn check_engine(engine: &dyn Engine, store: &Store, is_needed_now: bool) -> Result<bool, AppError> {
    let info = match engine.info().await {
        Ok(info) => info,
        Err(error) if is_needed_now => return Err(error.into()),
        Err(error) => {
            tracing::warn!(error = %error, "the engine cannot be reached yet");
            return Ok(false);
        }
    };
    match store.engine_id()? {
        Some(known) if known != info.id => Err(AppError::OtherEngine { known, found: info.id }),
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
fn report_start(core: &Core, recovery: Option<&str>) -> Result<(), AppError> {
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
        let is_looked_at = objects.iter().all(|record| {
            record.status.observed_generation == record.status.generation
                && record.status.observed_ms >= core.started_ms
        });
        if is_looked_at {
            core.board.update_controller(|controller| controller.is_ready = true);
        }
        // The sender lives as long as the board, which `core` holds.
        if changes.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(ONCE_LOOK).await;
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

/// Whether any diagnostic refuses something.
pub fn has_errors(diagnostics: &[crds_schema::Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
