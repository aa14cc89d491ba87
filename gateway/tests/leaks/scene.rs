//! A hub with an audit and a rule, and servers of every kind behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::{
    Action, AuditConfig, Endpoint, GatewayConfig, Instance, Isolation, PinPolicy, Rule, ServerConfig, Sharing,
};
use gateway::hub::{Hub, HubParts};
use gateway::lease::LeaseBook;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::http_server::{Conduct, HttpServer};
use super::program::{NUMBER_SIGN, Programs};
use super::stage::{IN_TIME, at, config, eventually};
use super::wire::{begin_session, legacy, modern, read_until, request, send};

/// The tool of each server that a client is shown: by streams, by HTTP, and by an instance of a session's or a call's own.
pub(super) const TOOLS: [&str; 6] = ["old__t", "new__t", "site__t", "web__t", "lent__t", "once__t"];
/// How many more there are, that are not shown: one of each server by streams.
const DENIED: usize = 4;
/// The servers by streams whose instances are for all, and are exchanged.
const EXCHANGED: [&str; 2] = ["old", "new"];
/// The servers whose instances are for one alone.
const LENT: [(&str, Isolation); 2] = [("lent", Isolation::PerSession), ("once", Isolation::PerCall)];
/// How many of those there may be of each.
const MOST: usize = 4;

/// All of it.
pub(super) struct Scene {
    pub(super) address: SocketAddr,
    hub: Arc<Hub>,
    /// Servers by HTTP, of either era. Each breaks off where a call says so.
    sites: [HttpServer; 2],
    /// Told of each call that hangs.
    hung: Arc<Notify>,
    /// The number of the instances that are exchanged, while there are any.
    exchanged: watch::Sender<Option<u32>>,
    /// A session that lasts.
    pub(super) session: String,
    tasks: JoinSet<()>,
    /// Where the audit is.
    _directory: TempDir,
}

impl Scene {
    pub(super) async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let everything = || vec!["*".to_owned()];
        let rule = |tools, action| Rule { principals: everything(), servers: everything(), tools, action };
        let rules = vec![rule(vec!["denied".to_owned()], Action::Deny), rule(everything(), Action::Allow)];
        let audit = Some(AuditConfig::to(directory.path().join("audit.jsonl")));
        let config = GatewayConfig { audit, rules, ..GatewayConfig::on(address) };
        let (programs, leases) = (Programs::default(), Arc::<LeaseBook>::default());
        let hung = Arc::clone(&programs.hung);
        let parts = HubParts { config, attach: Arc::new(programs), state_dir: None, leases: Arc::clone(&leases) };
        let hub = Hub::open(parts).unwrap();
        let site = |is_modern| {
            let hung = Arc::clone(&hung);
            HttpServer::start(is_modern, move |asked| conduct(&asked.message, &hung))
        };
        let sites = [site(false).await, site(true).await];
        let (exchanged, wanted) = watch::channel(Some(0));
        let mut tasks = JoinSet::new();
        let serving = Arc::clone(&hub);
        tasks.spawn(async move { serving.serve(listener, std::future::pending()).await });
        let always = [("site", &sites[0]), ("web", &sites[1])];
        let always = always.map(|(name, site)| self::config(name, at(site.address), PinPolicy::Warn)).to_vec();
        tasks.spawn(keep(Arc::clone(&hub), leases, wanted, always));
        eventually(|| hub.status().tools == TOOLS.len() + DENIED).await;
        let session = begin_session(address, "", json!({"elicitation": {}})).await;
        Self { address, hub, sites, hung, exchanged, session, tasks, _directory: directory }
    }

    /// Has everything ended that belongs to it.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }

    /// Has the instances of two servers go, and others come.
    pub(super) async fn exchange_instances(&self, number: u32) {
        let until_known = async |tools: usize| eventually(|| self.hub.status().tools == tools).await;
        self.exchanged.send_replace(None);
        until_known(TOOLS.len() + DENIED - 2 * EXCHANGED.len()).await;
        self.exchanged.send_replace(Some(number));
        until_known(TOOLS.len() + DENIED).await;
    }

    /// Has the audit written, and lets go of what only this test keeps.
    pub(super) async fn rest(&self) {
        self.hub.audit.settled().await;
        for site in &self.sites {
            *site.asked.lock().unwrap() = Vec::new();
        }
    }

    /// Has a request answered, and something be in its answer.
    pub(super) async fn ask(&self, request: String, wanted: &str) {
        let reply = send(self.address, request).await;
        assert!(reply.body.contains(wanted) || reply.head.contains(wanted), "no {wanted}: {reply:?}");
    }

    /// Has a call answered, and something be in its answer.
    pub(super) async fn call(&self, name: &str, arguments: Value, wanted: &str) {
        self.ask(self.modern("tools/call", json!({"name": name, "arguments": arguments})), wanted).await;
    }

    /// A request of 2026-07-28.
    pub(super) fn modern(&self, method: &str, params: Value) -> String {
        modern(self.address, "", method, params)
    }

    /// A request in a session.
    pub(super) fn legacy(&self, session: &str, method: &str, params: &Value) -> String {
        self.say(session, &json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))
    }

    /// A message in a session.
    pub(super) fn say(&self, session: &str, message: &Value) -> String {
        legacy(self.address, "", session, &message.to_string())
    }

    /// A request of HTTP about a session.
    pub(super) fn with(&self, line: &str, session: &str) -> String {
        request(line, &format!("Host: {}\r\nMcp-Session-Id: {session}\r\n", self.address), "")
    }

    /// Something done in a session that is ended then.
    pub(super) async fn in_session(&self, work: impl AsyncFnOnce(&str)) {
        let session = begin_session(self.address, "", json!({"elicitation": {}})).await;
        work(&session).await;
        self.ask(self.with("DELETE /mcp", &session), "200 OK").await;
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn begin_to_ask(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Sends a request, waits until something of its answer is there, and goes away.
    pub(super) async fn hear(&self, request: &str, wanted: &str) {
        read_until(&mut self.begin_to_ask(request).await, wanted).await;
    }

    /// Sends a request whose call hangs, and goes away once it does.
    pub(super) async fn hang_up(&self, request: &str) {
        let _stream = self.begin_to_ask(request).await;
        self.until_it_hangs().await;
    }

    pub(super) async fn until_it_hangs(&self) {
        timeout(IN_TIME, self.hung.notified()).await.expect("it reaches its server");
    }
}

/// What a server by HTTP does about a call that says so: it breaks off, or hangs.
fn conduct(message: &Value, hung: &Notify) -> Option<Conduct> {
    let says = |word: &str| message["params"]["arguments"][word] == true;
    if says("hang") {
        hung.notify_one();
        return Some(Conduct::Stop(Vec::new()));
    }
    says("break").then(|| Conduct::Say(Vec::new()))
}

/// Keeps the servers that are wanted, and of what is lent as many instances as are lent and waited for, and one where nobody waits.
async fn keep(
    hub: Arc<Hub>,
    leases: Arc<LeaseBook>,
    mut wanted: watch::Receiver<Option<u32>>,
    always: Vec<ServerConfig>,
) {
    let mut demands = hub.demands();
    let mut running: BTreeMap<&str, Vec<Instance>> = BTreeMap::new();
    let mut number = 0;
    loop {
        let needed = hub.look_at_demands();
        let mut configs = always.clone();
        if let Some(number) = *wanted.borrow_and_update() {
            configs.extend(EXCHANGED.map(|name| {
                let config = config(name, Endpoint::Stdio, PinPolicy::Warn);
                ServerConfig { instances: vec![numbered(name, number)], ..config }
            }));
        }
        for (name, isolation) in LENT {
            let demand = needed.get(name).copied().unwrap_or_default();
            let instances = running.entry(name).or_default();
            let used_up = instances.extract_if(.., |instance| leases.is_used_up(&instance.id));
            leases.forget(&used_up.map(|instance| instance.id).collect::<Vec<_>>());
            while instances.len() < (demand.leased + demand.waiting.max(1)).min(MOST) {
                number += 1;
                instances.push(numbered(name, number));
            }
            let sharing = Sharing { isolation, max: MOST, is_on_demand: true, idle: None };
            let instances = instances.clone();
            configs.push(ServerConfig { instances, sharing, ..config(name, Endpoint::Stdio, PinPolicy::Warn) });
        }
        hub.set_servers(configs);
        tokio::select! {
            Ok(()) = demands.changed() => {}
            Ok(()) = wanted.changed() => {}
            else => return,
        }
        // Not for each of many at once.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// An instance that there was never before.
fn numbered(name: &str, number: u32) -> Instance {
    let id = format!("{name}{NUMBER_SIGN}{number}");
    Instance { id, run_ms: None, is_current: true, is_leaving: false, endpoint: Endpoint::Stdio }
}
