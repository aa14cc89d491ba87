//! The hub itself, and the programs that it starts.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use gateway::config::{
    Action, AuditConfig, CallLimits, Endpoint, GatewayConfig, Instance, Isolation, Rotation, Rule, ServerConfig,
    Sharing,
};
use gateway::hub::{Attach, Hub, HubParts};
use gateway::lease::LeaseBook;
use gateway::upstream::stdio::Attached;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;

/// How many processes of a program there may be, where each session has one to itself.
const MOST: usize = 256;
/// Stands in the id of an instance before its number.
const NUMBER_SIGN: char = '#';

/// Starts a program for each attach: its arguments stand in the instance's id.
#[derive(Debug)]
struct Programs;

#[async_trait]
impl Attach for Programs {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let program = instance.rsplit_once(NUMBER_SIGN).map_or(instance, |(program, _)| program);
        let mut words = program.split(',');
        let mut command = Command::new(words.next().unwrap_or_default());
        let mut child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take());
        // From here on it ends with its output.
        let child = EndedChild(Some(child));
        let (Some(input), Some(output)) = pipes else { return Err(io::Error::other("no pipe")) };
        let input = pipe::Sender::from_owned_fd(input.into())?;
        let output = Output { pipe: pipe::Receiver::from_owned_fd(output.into())?, _child: child };
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

/// A process that is ended with this. Not tokio's own, which the released program is built without.
#[derive(Debug)]
struct EndedChild(Option<Child>);

impl Drop for EndedChild {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        child.kill().ok();
        // Until it has ended nobody else is held up.
        std::thread::spawn(move || child.wait());
    }
}

/// What a process says.
#[derive(Debug)]
struct Output {
    pipe: pipe::Receiver,
    _child: EndedChild,
}

impl AsyncRead for Output {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

/// Runs one, as the arguments say, until the program is told to end.
///
/// # Errors
///
/// What the arguments say cannot be done.
pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    rustix::thread::disable_transparent_huge_pages(true).ok();
    let is_one_thread = std::env::args().any(|argument| argument == "runtime=one-thread");
    let mut builder = if is_one_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:3010".to_owned()).parse()?;
    let mut servers = Vec::new();
    let (mut audit, mut state_dir, mut rules, mut sharing) = (None, None, Vec::new(), Sharing::default());
    for argument in arguments {
        let (name, place) = argument.split_once('=').ok_or("write NAME=PLACE")?;
        match name {
            "audit" => {
                // One older file alone: millions of calls would fill a disk.
                let rotation = Rotation { max_backups: Some(1), ..Rotation::default() };
                audit = Some(AuditConfig { rotation, ..AuditConfig::to(place.into()) });
                continue;
            }
            "allow" => {
                let (everybody, every_tool) = (vec!["*".to_owned()], vec!["*".to_owned()]);
                let servers = vec![place.to_owned()];
                rules.push(Rule { principals: everybody, servers, tools: every_tool, action: Action::Allow });
                continue;
            }
            "state" => {
                state_dir = Some(PathBuf::from(place));
                continue;
            }
            "isolation" => {
                sharing = Sharing { isolation: Isolation::PerSession, max: MOST, is_on_demand: true, idle: None };
                continue;
            }
            "runtime" | "held" => continue,
            _ => {}
        }
        let (id, endpoint) = if let Some(program) = place.strip_prefix("stdio:") {
            (program.to_owned(), Endpoint::Stdio)
        } else {
            let rest = place.strip_prefix("http://").ok_or("write http://ADDRESS/PATH or stdio:PROGRAM")?;
            let (address, path) = rest.split_once('/').unwrap_or((rest, "mcp"));
            let host = address.to_owned();
            let (address, path) = (address.parse()?, format!("/{path}"));
            (place.to_owned(), Endpoint::Http { address, path, host, headers: BTreeMap::new() })
        };
        let calls = CallLimits { concurrency: 4_096, ..CallLimits::default() };
        let instance = Instance { id, run_ms: None, is_current: true, is_leaving: false, endpoint };
        servers.push(ServerConfig { calls, sharing, ..ServerConfig::of(name, vec![instance]) });
    }
    let config = GatewayConfig { audit, rules, ..GatewayConfig::on(listen) };
    let leases = Arc::new(LeaseBook::default());
    let hub = Hub::open(HubParts { config, attach: Arc::new(Programs), state_dir, leases: Arc::clone(&leases) })?;
    if sharing.is_on_demand {
        tokio::spawn(run_on_demand(Arc::clone(&hub), leases, servers));
    } else {
        hub.set_servers(servers);
    }
    let listener = tokio::net::TcpListener::bind(listen).await?;
    writeln!(io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    hub.serve(listener, async move {
        stop.recv().await;
    })
    .await;
    Ok(())
}

/// Runs as many processes of each program as sessions need, and one more for the next.
async fn run_on_demand(hub: Arc<Hub>, leases: Arc<LeaseBook>, servers: Vec<ServerConfig>) {
    let mut demands = hub.demands();
    let mut running: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
    let mut number = 0_u64;
    loop {
        let needed = hub.look_at_demands();
        let mut configs = Vec::new();
        for server in &servers {
            let demand = needed.get(server.name.as_str()).copied().unwrap_or_default();
            let instances = running.entry(server.name.clone()).or_default();
            instances.retain(|instance| !leases.is_used_up(&instance.id));
            while instances.len() < (demand.leased + demand.waiting.max(1)).min(MOST) {
                let Some(program) = server.instances.first() else { break };
                number += 1;
                instances.push(Instance { id: format!("{}{NUMBER_SIGN}{number}", program.id), ..program.clone() });
            }
            configs.push(ServerConfig { instances: instances.clone(), ..server.clone() });
        }
        hub.set_servers(configs);
        if demands.changed().await.is_err() {
            return;
        }
    }
}
