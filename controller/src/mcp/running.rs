//! A hub that runs, with or without a listener.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::audit::AuditError;
use gateway::config::{GatewayConfig, ServerConfig};
use gateway::hub::{Attach, Demand, Hub, HubParts, HubStatus};
use gateway::lease::LeaseBook;
use gateway::pin::Review;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::report::{HealthMap, has_released};

/// How long a hub that is closed may take to end its connections: longer than it gives them.
const END_TIME: Duration = Duration::from_millis(2_500);

/// A hub, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct RunningHub {
    hub: Arc<Hub>,
    config: GatewayConfig,
    servers: Vec<ServerConfig>,
    listener: Option<Serving>,
    /// Tells when the health of an instance changes, or what servers list.
    _watching: JoinSet<()>,
}

/// A listener that is served.
#[derive(Debug)]
struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Holds one task.
    task: JoinSet<()>,
}

impl RunningHub {
    /// Begins to ask servers, as soon as there are some. `changed` is told whenever one answers otherwise than before.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub(super) fn open(
        config: GatewayConfig,
        attach: Arc<dyn Attach>,
        state_dir: Option<PathBuf>,
        leases: Arc<LeaseBook>,
        changed: Arc<Notify>,
    ) -> Result<Self, AuditError> {
        let hub = Hub::open(HubParts { config: config.clone(), attach, state_dir, leases })?;
        let mut health = hub.health();
        let mut taking_over = hub.taking_over();
        let mut leaving = hub.leaving();
        let mut doubts = hub.doubts();
        let mut demands = hub.demands();
        let mut lists = hub.changes();
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            loop {
                let is_open = tokio::select! {
                    // All are receivers, and only say "look": what is lost when one wins is heard of next.
                    changed = health.changed() => changed.is_ok(),
                    changed = taking_over.changed() => changed.is_ok(),
                    changed = leaving.changed() => changed.is_ok(),
                    changed = doubts.changed() => changed.is_ok(),
                    changed = demands.changed() => changed.is_ok(),
                    list = lists.recv() => !matches!(list, Err(RecvError::Closed)),
                };
                if !is_open {
                    return;
                }
                changed.notify_one();
            }
        });
        Ok(Self { hub, config, servers: Vec::new(), listener: None, _watching: watching })
    }

    /// How it was set.
    pub(super) fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// Listens, unless it does already. Returns where.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) async fn listen(&mut self) -> std::io::Result<SocketAddr> {
        // One that has ended by itself, as by a panic, is begun anew.
        if let Some(serving) = &mut self.listener
            && serving.task.try_join_next().is_none()
        {
            return Ok(serving.address);
        }
        let listener = TcpListener::bind(self.config.listen).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let hub = Arc::clone(&self.hub);
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Nothing is ever sent: the end of the sender is what is waited for.
            hub.serve(listener, async { drop(stopped.await) }).await;
        });
        self.listener = Some(Serving { address, stop, task });
        Ok(address)
    }

    /// Says which servers there are now.
    pub(super) fn set_servers(&mut self, servers: Vec<ServerConfig>) {
        if self.servers != servers {
            self.servers.clone_from(&servers);
            self.hub.set_servers(servers);
        }
    }

    /// How every instance is.
    pub(super) fn health(&self) -> Arc<HealthMap> {
        Arc::clone(&self.hub.health().borrow())
    }

    /// The instances that must not replace older ones yet. To be asked for after [`Self::health`].
    pub(super) fn taking_over(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.hub.taking_over().borrow())
    }

    /// The instances that are given nothing new to do, each with whether calls are under way on it.
    pub(super) fn leaving(&self) -> Arc<BTreeMap<String, bool>> {
        Arc::clone(&self.hub.leaving().borrow())
    }

    /// Whether nothing is under way on an instance, and nothing new can be.
    pub(super) fn has_released(&self, id: &str) -> bool {
        has_released(id, &self.health(), &self.leaving())
    }

    /// What is not approved of each of its servers, by name.
    pub(super) fn reviews(&self) -> BTreeMap<String, Review> {
        Review::of_each(&self.hub.doubts().borrow())
    }

    /// What is needed of each of its servers now.
    pub(super) fn demands(&self) -> BTreeMap<Arc<str>, Demand> {
        self.hub.look_at_demands()
    }

    /// How it is itself.
    pub(super) fn status(&self) -> HubStatus {
        self.hub.status()
    }

    /// Ends it: nobody comes in any more, what is under way has a moment to end, and all of it is in the audit.
    /// Whoever is stopped in the midst of it calls it again.
    pub(super) async fn close(&mut self) {
        if let Some(Serving { stop, mut task, address }) = self.listener.take() {
            drop(stop);
            if timeout(END_TIME, task.join_next()).await.is_err() {
                tracing::warn!(address = %address, "connections do not end");
            }
            task.shutdown().await;
        }
        self.hub.audit.settled().await;
    }
}
