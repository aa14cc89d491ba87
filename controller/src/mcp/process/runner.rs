//! The process of a gateway: a hub that is kept as the controller says, and goes on while the controller is away.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::{AuditConfig, Endpoint, GatewayConfig, ServerConfig};
use gateway::lease::LeaseBook;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::by_controller::{Asked, ByController, Incoming, not_there};
use super::line::{LINE_BYTES, write_line};
use super::wire::{Account, Answer, Fault, Hello, Opening, Order, Wanted};
use crate::mcp::directory::ensure_dir;
use crate::mcp::running::RunningHub;
use crate::wording::with_causes;

/// The pauses before the controller is asked for again: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long changes are gathered before the controller is told of them.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// How often is looked at what nobody tells of: sessions, and an address that could not be had.
const LOOK_TIME: Duration = Duration::from_secs(2);
/// The audit, in the state directory. No list of a server has this name: those end otherwise.
const AUDIT_FILE: &str = "audit.jsonl";

/// What a gateway's process is told when it starts; all else it hears from the controller.
#[derive(Debug, Clone)]
pub(crate) struct ProcessConfig {
    /// Where the controller waits for it.
    pub(crate) socket: PathBuf,
    /// Where lists, pins and the audit are kept.
    pub(crate) state_dir: PathBuf,
}

/// Serves until told to stop, and then until those that are being answered are, for a moment.
pub(crate) async fn run(config: ProcessConfig, stop: impl Future<Output = ()>) {
    let mut runner = Runner::new(config);
    tokio::select! {
        // What is dropped with it is a connection, and hubs that end all the same.
        () = runner.keep_connected() => {}
        () = stop => {}
    }
    runner.close_hub().await;
}

struct Runner {
    config: ProcessConfig,
    hub: Option<RunningHub>,
    /// Why there is no hub.
    fault: Option<String>,
    /// What the controller last said; nothing where it said that nothing is wanted.
    wanted: Option<Box<Wanted>>,
    /// What sessions and calls have to themselves.
    leases: Arc<LeaseBook>,
    /// Told when an instance answers otherwise than before.
    changed: Arc<Notify>,
}

impl Runner {
    fn new(config: ProcessConfig) -> Self {
        let leases = Arc::new(LeaseBook::of_what_is_lent(Arc::new(ByController(config.socket.clone()))));
        Self { config, hub: None, fault: None, wanted: None, leases, changed: Arc::default() }
    }

    /// Never ends: without a controller it goes on with what it knows.
    async fn keep_connected(&mut self) {
        let mut pause = PAUSES.0;
        let mut told = None;
        loop {
            let (has_met, error) = self.obey().await;
            if has_met {
                pause = PAUSES.0;
                told = None;
            }
            // The same again and again is no news.
            let error = with_causes(&error);
            if told.as_ref() != Some(&error) {
                let socket = self.config.socket.display();
                tracing::warn!(socket = %socket, error = %error, "there is no controller to follow, and it is asked for again and again");
                told = Some(error);
            }
            self.go_on_alone();
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Does what the controller says until it is gone. Returns whether it was there at all, and why it is not.
    async fn obey(&mut self) -> (bool, io::Error) {
        let (mut lines, mut write) = match greet(&ByController(self.config.socket.clone())).await {
            Ok(halves) => halves,
            Err(error) => return (false, error),
        };
        tracing::info!(socket = %self.config.socket.display(), "the controller is there");
        let mut told = None;
        loop {
            let order = tokio::select! {
                // Cancel-safe: lines keep what has come, a notify keeps its permit, and the rest is a sleep.
                order = lines.next::<Order>(LINE_BYTES) => match order {
                    Ok(Some(order)) => Some(order),
                    Ok(None) => return (true, io::ErrorKind::ConnectionReset.into()),
                    Err(error) => return (true, error),
                },
                () = self.changed.notified() => None,
                () = sleep(LOOK_TIME) => None,
            };
            match order {
                Some(Order::Serve(wanted)) => self.serve(wanted).await,
                Some(Order::Close(reason)) => self.let_nobody_in(&reason).await,
                None => sleep(GATHER_TIME).await,
            }
            let Some(account) = self.account().await else { continue };
            if told.as_ref() != Some(&account) {
                if let Err(error) = write_line(&mut write, &account).await {
                    // What it said last may not be read yet.
                    tracing::debug!(error = %error, "the controller does not hear");
                }
                told = Some(account);
            }
        }
    }

    async fn serve(&mut self, wanted: Box<Wanted>) {
        let config = self.own_config(&wanted.config);
        if self.hub.as_ref().is_some_and(|hub| *hub.config() != config) {
            self.close_hub().await;
        }
        let is_there =
            |id: &String| wanted.servers.iter().any(|server| server.instances.iter().any(|one| one.id == *id));
        let gone: Vec<String> = self.leases.ids().into_iter().filter(|id| !is_there(id)).collect();
        self.leases.forget(&gone);
        self.wanted = Some(wanted);
        self.open(config);
        self.give_servers(|servers| servers);
    }

    /// The settings of the controller, with the audit where this process has its files.
    fn own_config(&self, config: &GatewayConfig) -> GatewayConfig {
        let path = self.config.state_dir.join(AUDIT_FILE);
        let audit = config.audit.as_ref().map(|audit| AuditConfig { path, ..audit.clone() });
        GatewayConfig { audit, ..config.clone() }
    }

    fn open(&mut self, config: GatewayConfig) {
        if self.hub.is_some() {
            return;
        }
        if let Err(fault) = ensure_dir(&self.config.state_dir) {
            self.fault = Some(fault);
            return;
        }
        let attach = Arc::new(ByController(self.config.socket.clone()));
        let leases = Arc::clone(&self.leases);
        let state_dir = Some(self.config.state_dir.clone());
        match RunningHub::open(config, attach, state_dir, leases, Arc::clone(&self.changed)) {
            Ok(hub) => (self.hub, self.fault) = (Some(hub), None),
            Err(error) => self.fault = Some(with_causes(&error)),
        }
    }

    fn give_servers(&mut self, as_they_are: impl Fn(Vec<ServerConfig>) -> Vec<ServerConfig>) {
        if let (Some(hub), Some(wanted)) = (&mut self.hub, &self.wanted) {
            hub.set_servers(as_they_are(wanted.servers.clone()));
        }
    }

    async fn let_nobody_in(&mut self, reason: &str) {
        self.wanted = None;
        if self.hub.is_some() {
            tracing::info!(reason = reason, "the gateway is closed");
            self.close_hub().await;
        }
    }

    /// Ends the hub. It is kept until it has ended, so that whoever ends this process meanwhile waits for it as well.
    async fn close_hub(&mut self) {
        if let Some(hub) = &mut self.hub {
            hub.close().await;
        }
        self.hub = None;
    }

    /// Goes on with what can be reached without the controller: the streams of containers cannot, and nobody would start one.
    fn go_on_alone(&mut self) {
        self.give_servers(|mut servers| {
            for server in &mut servers {
                server.instances.retain(|instance| instance.endpoint != Endpoint::Stdio);
                server.sharing.is_on_demand = false;
                // Nobody stops what was to be stopped, nor starts what was to come in its place.
                server.is_being_replaced = false;
                for instance in &mut server.instances {
                    instance.is_leaving = false;
                }
            }
            servers
        });
    }

    /// How it is; nothing where nothing is wanted of it.
    async fn account(&mut self) -> Option<Account> {
        let wanted = self.wanted.as_ref()?;
        let config = self.own_config(&wanted.config);
        let listen = config.listen;
        if self.hub.is_none() {
            self.open(config);
            self.give_servers(|servers| servers);
        }
        let Some(hub) = &mut self.hub else {
            let fault = Fault::Open(self.fault.clone().unwrap_or_default());
            return Some(Account {
                listening: Err(fault),
                health: [].into(),
                taking_over: [].into(),
                leaving: [].into(),
                reviews: [].into(),
                demands: [].into(),
                status: gateway::hub::HubStatus::default(),
            });
        };
        let listening =
            hub.listen().await.map_err(|error| Fault::Listen(format!("cannot listen on {listen}: {error}")));
        let demands = hub.demands().into_iter().map(|(name, demand)| (name.to_string(), demand)).collect();
        let health = (*hub.health()).clone();
        // Asked for later, so that what is ready by the above is in it.
        let taking_over = (*hub.taking_over()).clone();
        let leaving = (*hub.leaving()).clone();
        let reviews = hub.reviews();
        Some(Account { listening, health, taking_over, leaving, reviews, demands, status: hub.status() })
    }
}

/// Connects to the controller, and is let in.
async fn greet(controller: &ByController) -> io::Result<(Incoming, OwnedWriteHalf)> {
    let own = Hello::own();
    let Asked { answer, lines, write } = controller.ask(&Opening::Gateway(own.clone())).await?;
    let Answer::Welcome(controller) = answer else { return Err(not_there()) };
    match Hello::misfit(&controller, &own) {
        None => Ok((lines, write)),
        Some(misfit) => Err(io::Error::other(misfit)),
    }
}
