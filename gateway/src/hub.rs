//! The hub: the servers behind the gateway, what they list together, and everything that requests share.

mod approval;
mod change;
mod keeper;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::AbortHandle;

use crate::audit::{AuditError, AuditLog, Questions};
use crate::catalogue::{Catalogue, Contribution};
use crate::config::{GatewayConfig, ServerConfig};
use crate::lease::LeaseBook;
use crate::metrics::{Gauges, Metrics, ServerGauges};
use crate::pin::{Doubt, PinBook};
use crate::secrets::{KnownSecrets, SecretBook, Secrets, SecretsSince};
pub use crate::server::Demand;
use crate::server::Server;
use crate::server::departed::Departed;
pub use crate::server::instance::InstanceHealth;
use crate::server::instance::Surroundings;
use crate::sessions::Sessions;
use crate::subscription::Subscriptions;
use crate::upstream::client::Clients;
use crate::upstream::stdio::Attached;
pub use change::{Change, change_method};

/// How many changes of the catalogue wait for a stream; whoever falls behind is told that everything changed.
const CHANGES_LENGTH: usize = 32;
/// How often idle sessions and instances are looked for.
const REAP_TIME: Duration = Duration::from_secs(5);
/// Where pins are kept, among the lists. No server has this name: it has an underscore.
const PINS_FILE: &str = "_pins.json";

/// Attaches to the standard streams of an instance.
#[async_trait]
pub trait Attach: Send + Sync + fmt::Debug {
    /// The streams of a running instance.
    async fn attach(&self, instance: &str) -> io::Result<Attached>;
}

/// What a hub is made of.
#[derive(Debug)]
pub struct HubParts {
    /// How it is set.
    pub config: GatewayConfig,
    /// Attaches to standard streams.
    pub attach: Arc<dyn Attach>,
    /// Where lists are kept over a restart; nowhere when absent.
    pub state_dir: Option<PathBuf>,
    /// Which instances somebody has to himself: the same for all hubs that reach the same instances.
    pub leases: Arc<LeaseBook>,
}

/// The hub.
#[derive(Debug)]
pub struct Hub {
    /// How it is set.
    pub config: GatewayConfig,
    /// The sessions of legacy clients.
    pub sessions: Sessions,
    /// What is written down.
    pub audit: AuditLog,
    /// Writes down what servers ask of clients.
    pub questions: Arc<Questions>,
    /// What is counted.
    pub metrics: Metrics,
    attach: Arc<dyn Attach>,
    clients: Arc<Clients>,
    state_dir: Option<PathBuf>,
    leases: Arc<LeaseBook>,
    servers: RwLock<BTreeMap<Arc<str>, Arc<Server>>>,
    known_secrets: KnownSecrets,
    secret_book: Mutex<SecretBook>,
    catalogue: RwLock<Arc<Catalogue>>,
    pins: Mutex<PinBook>,
    doubts: watch::Sender<Arc<Vec<Doubt>>>,
    dirty: Arc<Notify>,
    health: watch::Sender<Arc<BTreeMap<String, InstanceHealth>>>,
    taking_over: watch::Sender<Arc<BTreeSet<String>>>,
    departed: Arc<Departed>,
    leaving: watch::Sender<Arc<BTreeMap<String, bool>>>,
    demands: watch::Sender<BTreeMap<Arc<str>, Demand>>,
    changes: broadcast::Sender<Change>,
    /// By server, those that somebody holds: a server that leaves and comes back finds its own.
    subscriptions: Mutex<BTreeMap<String, Weak<Subscriptions>>>,
    keeper: Mutex<Option<AbortHandle>>,
}

/// How a hub is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubStatus {
    /// How many servers there are.
    pub servers: usize,
    /// How many of them answer, and have what they list served.
    pub ready: usize,
    /// How many tools they list.
    pub tools: usize,
    /// How many of those nobody sees, since they are not approved.
    pub hidden: usize,
    /// How many sessions there are.
    pub sessions: usize,
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner) {
            keeper.abort();
        }
    }
}

impl Hub {
    /// A hub without servers. Must be called within a runtime.
    ///
    /// # Errors
    /// When the audit log cannot be opened.
    pub fn open(parts: HubParts) -> Result<Arc<Self>, AuditError> {
        let HubParts { config, attach, state_dir, leases } = parts;
        let audit = match &config.audit {
            Some(audit) => AuditLog::open(&audit.path, audit.rotation)?,
            None => AuditLog::disabled(),
        };
        if let Some(directory) = &state_dir {
            let made = std::fs::create_dir_all(directory);
            made.map_err(|source| AuditError { path: directory.clone(), source })?;
        }
        let file = state_dir.as_ref().map(|directory| directory.join(PINS_FILE));
        let pins =
            PinBook::open(file.clone()).map_err(|source| AuditError { path: file.unwrap_or_default(), source })?;
        let catalogue = Catalogue::new(config.naming, config.rules.clone(), BTreeMap::new());
        let known_secrets = KnownSecrets::default();
        let has_values = config.audit.as_ref().is_some_and(|audit| audit.has_values);
        let questions = Questions { audit: audit.clone(), has_values };
        let hub = Arc::new(Self {
            questions: Arc::new(questions),
            sessions: Sessions::new(config.limits.sessions, config.limits.session_idle),
            config,
            audit,
            metrics: Metrics::default(),
            attach,
            clients: Arc::default(),
            state_dir,
            leases,
            servers: RwLock::default(),
            known_secrets,
            secret_book: Mutex::default(),
            catalogue: RwLock::new(Arc::new(catalogue)),
            pins: Mutex::new(pins),
            doubts: watch::Sender::new(Arc::default()),
            dirty: Arc::new(Notify::new()),
            health: watch::Sender::new(Arc::default()),
            taking_over: watch::Sender::new(Arc::default()),
            departed: Arc::default(),
            leaving: watch::Sender::new(Arc::default()),
            demands: watch::Sender::new(BTreeMap::new()),
            changes: broadcast::Sender::new(CHANGES_LENGTH),
            subscriptions: Mutex::default(),
            keeper: Mutex::default(),
        });
        *hub.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(hub.keep());
        Ok(hub)
    }

    /// Says which servers there are, and where they run. What is the same goes on as it is.
    pub fn set_servers(&self, configs: Vec<ServerConfig>) {
        let secrets = self.secret_book.lock().unwrap_or_else(PoisonError::into_inner).learn(&configs);
        self.known_secrets.set(secrets);
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<Arc<str>> = configs.iter().map(|config| config.name.as_str().into()).collect();
        servers.retain(|name, server| {
            let is_kept = names.contains(name);
            if !is_kept {
                server.remove();
            }
            is_kept
        });
        for config in configs {
            let config = Arc::new(config);
            let name: Arc<str> = config.name.as_str().into();
            let server = servers.entry(name).or_insert_with(|| {
                let file = self.state_dir.as_ref().map(|directory| directory.join(format!("{}.json", config.name)));
                let surroundings = Surroundings {
                    server: config.name.as_str().into(),
                    attach: Arc::clone(&self.attach),
                    clients: Arc::clone(&self.clients),
                    dirty: Arc::clone(&self.dirty),
                    changes: self.changes.clone(),
                    limit: config.calls.result_bytes,
                    leases: Arc::clone(&self.leases),
                    subscriptions: self.subscriptions_of(&config.name),
                    secrets: self.known_secrets.clone(),
                    departed: Arc::clone(&self.departed),
                };
                Arc::new(Server::new(Arc::clone(&config), surroundings, file))
            });
            server.set_config(&config);
        }
        drop(servers);
        self.rebuild();
    }

    /// The subscriptions to a server, which clients may have held while it was away.
    fn subscriptions_of(&self, server: &str) -> Arc<Subscriptions> {
        let mut known = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, held| held.strong_count() > 0);
        let held = known.get(server).and_then(Weak::upgrade);
        held.unwrap_or_else(|| {
            let new = Subscriptions::new(server);
            known.insert(server.to_owned(), Arc::downgrade(&new));
            new
        })
    }

    /// What must go nowhere now.
    pub fn secrets(&self) -> Arc<Secrets> {
        self.known_secrets.now()
    }

    /// What must go nowhere from now on, with what must not now.
    pub fn secrets_since(&self) -> SecretsSince {
        self.known_secrets.since(self.secrets())
    }

    /// Whether arguments and results are written down too.
    pub fn has_values(&self) -> bool {
        self.questions.has_values
    }

    /// How each instance is, by its id.
    pub fn health(&self) -> watch::Receiver<Arc<BTreeMap<String, InstanceHealth>>> {
        self.health.subscribe()
    }

    /// The instances that answer, and must not replace older ones yet: calls are under way on those, or what they list is not approved. Of an
    /// instance that [`Self::health`] says is ready this is known beforehand.
    pub fn taking_over(&self) -> watch::Receiver<Arc<BTreeSet<String>>> {
        self.taking_over.subscribe()
    }

    /// The instances that are given nothing new to do, each with whether calls are under way on it: those that are to be stopped, and those
    /// that are gone from what is wanted for as long as calls are under way on them.
    pub fn leaving(&self) -> watch::Receiver<Arc<BTreeMap<String, bool>>> {
        self.leaving.subscribe()
    }

    /// What is needed of each server, as of the last time that somebody began or ceased to wait or to have an instance to himself.
    pub fn demands(&self) -> watch::Receiver<BTreeMap<Arc<str>, Demand>> {
        self.demands.subscribe()
    }

    /// What is needed of each server now.
    pub fn look_at_demands(&self) -> BTreeMap<Arc<str>, Demand> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers.iter().map(|(name, server)| (Arc::clone(name), server.demand())).collect()
    }

    /// Ends what has been silent for too long, and gives back what nobody uses. [`Self::serve`] does it every few seconds.
    pub fn reap(&self) {
        self.sessions.reap();
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner).clone();
        for session in self.sessions.all() {
            // Without a word of its own, what a session has to itself it has to its end.
            session.leases.release_idle(|name| servers.get(name).and_then(|server| server.config().sharing.idle));
        }
        for server in servers.values() {
            server.release_idle();
        }
    }

    /// How the hub is.
    pub fn status(&self) -> HubStatus {
        let told = Arc::clone(&self.health.borrow());
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let ready = servers.values().filter(|server| server.is_ready(&told)).count();
        let catalogue = self.catalogue();
        let tools = catalogue.servers.values().map(|contribution| contribution.listing.tools.len()).sum();
        let hidden = catalogue.servers.values().map(Contribution::hidden_tools).sum();
        HubStatus { servers: servers.len(), ready, tools, hidden, sessions: self.sessions.len() }
    }

    /// A server by its name.
    pub fn server(&self, name: &str) -> Option<Arc<Server>> {
        self.servers.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// What all servers list.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_pins(&self) -> MutexGuard<'_, PinBook> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes of the catalogue from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// The gauges of this moment.
    pub fn gauges(&self) -> Gauges {
        let status = self.status();
        let instances = self.health.borrow().values().filter(|health| **health == InstanceHealth::Ready).count();
        let demands = self.look_at_demands();
        let sum = |count: fn(&Demand) -> usize| demands.values().map(count).sum();
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let by_server = servers.iter().map(|(name, server)| ServerGauges {
            name: Arc::clone(name),
            counted: Arc::clone(&server.metrics),
            catalogue_age: server.listed_ago().map(|ago| ago.as_secs()),
        });
        Gauges {
            demand: (sum(|demand| demand.leased), sum(|demand| demand.waiting)),
            by_server: by_server.collect(),
            sessions: status.sessions,
            servers: (status.servers, status.ready),
            instances,
            tools: status.tools,
            audit_failures: self.audit.failures(),
        }
    }

    /// Answers clients until told to stop, and then until those that are being answered are.
    pub async fn serve(self: &Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let hub = Arc::downgrade(self);
        let reaper = tokio::spawn(async move {
            loop {
                tokio::time::sleep(REAP_TIME).await;
                let Some(hub) = hub.upgrade() else { return };
                hub.reap();
            }
        });
        crate::edge::serve(Arc::clone(self), listener, stop).await;
        reaper.abort();
        // Nobody can answer any more.
        for session in self.sessions.all() {
            session.give_up_asked();
        }
    }

    /// Answers one client over a stream that is no socket, until it hangs up.
    pub async fn serve_stream<S>(self: &Arc<Self>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (_never, end) = watch::channel(false);
        crate::edge::serve_stream(Arc::clone(self), stream, end, None).await;
    }
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
