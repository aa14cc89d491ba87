//! The app: a controller on this host. It locks the data directory, opens the store, reaches the Engine, serves the API, and ends
//! everything in order.

use std::future::Future;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::board::Board;
use crate::clock::Clock;
use crate::config::{Config, EngineAddress};
use crate::controller::{Controller, ControllerError, Exclusion, Mode, Parts, Settings};
use crate::engine::docker::DockerEngine;
use crate::engine::simulated::{ImageConfig, Program, SimulatedEngine};
use crate::engine::{Engine, EngineError};
use crate::holder::Holder;
use crate::http::server::{Api, ListenError, Listener, serve};
use crate::http::token::Token;
use crate::identity::{self, IdentityError};
use crate::intake::PruneSettings;
use crate::lock::{DataDirLock, LockError};
use crate::metrics::Metrics;
use crate::once::Outcome;
use crate::source::Source;
use crate::source::directory::Directory;
use crate::store::recovery::{OpenError, Recovery, StoreConfig, open};
use crate::store::{Store, StoreError};

/// A controller on this host, ready to run.
#[derive(Debug)]
pub struct App {
    controller: Controller,
    board: Arc<Board>,
    api: Option<(Listener, Api)>,
    stop: watch::Sender<bool>,
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

/// Why a controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another controller has the data directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The key or the token is at fault.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Open(#[source] Box<OpenError>),
    /// The store in memory cannot be made.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// The Engine's address cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The controller cannot start, or go on.
    #[error(transparent)]
    Controller(#[from] ControllerError),
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
}

impl AppError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(error) => Some(error.hint().to_owned()),
            Self::Identity(error) => Some(error.hint()),
            Self::Open(error) => Some(error.hint().to_owned()),
            Self::Controller(error) => error.hint(),
            Self::Engine(_) => Some("is Docker running? `evenkeel doctor` looks".into()),
            Self::Listen(_) => Some("use another `--listen` address, or end what uses it".into()),
            Self::Store(_) | Self::Io { .. } => None,
        }
    }
}

/// The image that the demo makes of this program. A simulated Engine has it already.
pub const DEMO_IMAGE: &str = concat!("evenkeel.dev/demo:", env!("CARGO_PKG_VERSION"));

/// The Engine at an address.
///
/// # Errors
/// When the address cannot be used.
pub fn connect(address: &EngineAddress) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(match address {
        EngineAddress::Simulated => {
            let engine = SimulatedEngine::demo(Clock::of_the_host().now_ms());
            // Each process has a simulated Engine of its own, so that none finds what another one packed.
            engine.store_image(DEMO_IMAGE, ImageConfig::plain(), Program::forever());
            Arc::new(engine)
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
        let (store, recovery) = open_store(&config).await?;
        let board = Arc::new(Board::default());
        board.update_controller(|controller| controller.is_simulated = is_simulated);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let parts = Parts {
            identity: local.identity.clone(),
            me,
            data_dir_id: local.data_dir_id.clone(),
            engine,
            store,
            recovery: recovery.as_ref().and_then(Recovery::report).map(str::to_owned),
            is_restricted: recovery.as_ref().is_some_and(Recovery::is_first_pass_restricted),
            source: config.manifests.clone().map(|root| Arc::new(Directory::new(root)) as Arc<dyn Source>),
            board: Arc::clone(&board),
            metrics,
            clock: Clock::of_the_host(),
            mcp_dir: Some(config.data_dir.join("mcp")),
            settings: settings_of(&config, start, is_simulated),
        };
        let controller = Controller::open(parts).await?;
        let (stop, stopped) = watch::channel(false);
        let api = if start.is_serving {
            let listener = Listener::bind(&config.listen).await?;
            let token = Token::new(local.api_token.clone());
            let words = controller.words();
            Some((listener, Api::new(Arc::clone(&board), Arc::new(registry), token, words, stopped)))
        } else {
            None
        };
        Ok(Self { controller, board, api, stop, _lock: lock })
    }

    /// What readers see.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
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
        let mut serving = JoinSet::new();
        if let Some((listener, api)) = self.api.take() {
            serving.spawn(serve(listener, api));
        }
        let outcome = self.controller.run(told_to_stop).await;
        // Nobody listens any more when the server has ended already.
        self.stop.send_replace(true);
        serving.shutdown().await;
        Ok(outcome?)
    }
}

/// The store on disk; in memory where the engine is.
async fn open_store(config: &Config) -> Result<(Store, Option<Recovery>), AppError> {
    if config.engine == EngineAddress::Simulated {
        return Ok((Store::in_memory()?, None));
    }
    let settings = StoreConfig { durability: durability(config.durability), ..StoreConfig::new(&config.data_dir) };
    let opened = tokio::task::spawn_blocking(move || open(&settings))
        .await
        .map_err(|error| AppError::Io { operation: "open the store", source: std::io::Error::other(error) })?;
    let opened = opened.map_err(|error| AppError::Open(Box::new(error)))?;
    Ok((opened.store, Some(opened.recovery)))
}

fn settings_of(config: &Config, start: StartOptions, is_simulated: bool) -> Settings {
    Settings {
        resync: config.resync,
        start_concurrency: config.start_concurrency,
        prune: PruneSettings {
            limit_percent: config.prune_limit.0,
            delay_ms: i64::try_from(config.prune_delay.as_millis()).unwrap_or(i64::MAX),
        },
        mode: if config.once { Mode::Once(config.once_timeout) } else { Mode::Continuous },
        exclusion: match (is_simulated, start.take_over) {
            // Nobody shares it.
            (true, _) => Exclusion::None,
            (false, true) => Exclusion::TakeOver,
            (false, false) => Exclusion::Lease,
        },
    }
}

/// What the store calls what the user chose.
const fn durability(chosen: crate::config::Durability) -> crate::store::kv::Durability {
    match chosen {
        crate::config::Durability::Power => crate::store::kv::Durability::PowerCut,
        crate::config::Durability::Process => crate::store::kv::Durability::Process,
    }
}
