//! A hub in another process, as the keeper has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::config::{GatewayConfig, ServerConfig};
use gateway::hub::{Attach, Demand, HubStatus};
use gateway::lease::LeaseBook;
use gateway::pin::Review;
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::door;
use super::link::{Link, Presence};
use super::wire::Fault;
use crate::mcp::report::{GatewayState, HealthMap, has_released};

/// How long the path of a socket may be, in bytes: what the system takes, but for the end of the text.
const PATH_BYTES: usize = 107;
/// How long a process may be away before the controller asks its servers itself: a restart is no reason to.
const GRACE_TIME: Duration = Duration::from_secs(10);
/// How long a process has to hear that it is not wanted any more.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// A hub in another process. When this is dropped, the process is alone, and goes on with what it knows.
#[derive(Debug)]
pub(in crate::mcp) struct ProcessHub {
    config: GatewayConfig,
    servers: Option<Vec<ServerConfig>>,
    link: Arc<Link>,
    socket: PathBuf,
    /// Holds one task.
    door: JoinSet<()>,
}

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mcp) enum Expectation {
    /// It is, and has said how it is.
    There,
    /// It may be at any moment.
    OnItsWay,
    /// It is not.
    Away,
}

impl ProcessHub {
    /// Begins to wait for the process at a socket. `changed` is told whenever it is otherwise than before.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(in crate::mcp) fn open(
        config: GatewayConfig,
        socket: PathBuf,
        attach: Arc<dyn Attach>,
        leases: Arc<LeaseBook>,
        changed: Arc<Notify>,
    ) -> io::Result<Self> {
        let listener = bind(&socket)?;
        let link = Arc::new(Link::new(attach, leases, changed));
        let mut door = JoinSet::new();
        door.spawn(door::keep(listener, Arc::clone(&link)));
        Ok(Self { config, servers: None, link, socket, door })
    }

    /// Sets it otherwise: the process opens its hub anew where that is news.
    pub(in crate::mcp) fn set_config(&mut self, config: &GatewayConfig) {
        if self.config != *config {
            self.config = config.clone();
            if let Some(servers) = &self.servers {
                self.link.order(&self.config, servers);
            }
        }
    }

    /// Says which servers there are now.
    pub(in crate::mcp) fn set_servers(&mut self, servers: Vec<ServerConfig>) {
        if self.servers.as_ref() != Some(&servers) {
            self.link.order(&self.config, &servers);
            self.servers = Some(servers);
        }
    }

    /// Whether the process is there.
    pub(in crate::mcp) fn expectation(&self) -> Expectation {
        match self.link.presence() {
            Presence::Away(since, _) if since.elapsed() >= GRACE_TIME => Expectation::Away,
            Presence::There(Some(_)) => Expectation::There,
            Presence::Away(..) | Presence::There(None) => Expectation::OnItsWay,
        }
    }

    /// How it serves.
    pub(in crate::mcp) fn state(&self) -> GatewayState {
        let account = match self.link.presence() {
            Presence::Away(_, Some(misfit)) => return GatewayState::Failed("VersionMismatch", misfit.why),
            Presence::Away(_, None) => return GatewayState::NotConnected(self.socket.clone()),
            Presence::There(None) => return GatewayState::Starting,
            Presence::There(Some(account)) => account,
        };
        match &account.listening {
            Ok(address) => GatewayState::Serving(*address),
            Err(Fault::Open(why)) => GatewayState::Failed("AuditFault", why.clone()),
            Err(Fault::Listen(why)) => GatewayState::Failed("ListenFailed", why.clone()),
        }
    }

    /// How every instance is, as far as the process says.
    pub(in crate::mcp) fn health(&self) -> Arc<HealthMap> {
        Arc::new(self.link.account().map(|account| account.health.clone()).unwrap_or_default())
    }

    /// The instances that must not replace older ones yet. To be asked for after [`Self::health`].
    pub(in crate::mcp) fn taking_over(&self) -> Arc<BTreeSet<String>> {
        Arc::new(self.link.account().map(|account| account.taking_over.clone()).unwrap_or_default())
    }

    /// Whether nothing is under way on an instance, and nothing new can be; `None` where that cannot be said yet. A process that is away for
    /// longer is taken to have ended.
    pub(in crate::mcp) fn has_released(&self, id: &str) -> Option<bool> {
        match self.link.account() {
            Some(account) => Some(has_released(id, &account.health, &account.leaving)),
            None => (self.expectation() == Expectation::Away).then_some(true),
        }
    }

    /// What is not approved of each of its servers, as far as the process says.
    pub(in crate::mcp) fn reviews(&self) -> BTreeMap<String, Review> {
        self.link.account().map(|account| account.reviews.clone()).unwrap_or_default()
    }

    /// What is needed of each of its servers, as far as the process says.
    pub(in crate::mcp) fn demands(&self) -> BTreeMap<Arc<str>, Demand> {
        self.link.demands()
    }

    /// How the hub is, as far as the process says.
    pub(in crate::mcp) fn status(&self) -> Option<HubStatus> {
        self.link.account().map(|account| account.status)
    }

    /// Ends it for good: the process lets nobody in any more.
    pub(in crate::mcp) async fn close(mut self, reason: &str) {
        self.link.close(reason);
        let is_gone = async {
            while matches!(self.link.presence(), Presence::There(_)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(GOODBYE_TIME, is_gone).await.is_err() {
            tracing::debug!(socket = %self.socket.display(), "the process of a gateway does not hear");
        }
        self.door.shutdown().await;
    }
}

impl Drop for ProcessHub {
    fn drop(&mut self) {
        // Without it whoever connects is told at once that nobody is there.
        drop(fs::remove_file(&self.socket));
    }
}

/// Listens at a path that only the own user may connect to; what a controller left there when it was killed is removed.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let length = path.as_os_str().as_bytes().len();
    if length > PATH_BYTES {
        let message = format!(
            "it is {length} bytes long, and {PATH_BYTES} is the limit of sockets: choose a shorter data directory"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // The directory lets nobody else in, so that nobody is there before the mode is.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}
