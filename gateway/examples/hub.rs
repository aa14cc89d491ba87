//! A hub without a controller, for tests and measurements: `hub ADDRESS NAME=http://ADDRESS/PATH NAME=stdio:PROGRAM,ARGUMENT… …`.
//! Prints the address that it listens on. `audit=FILE` has it write an audit, `allow=GLOB` a rule by which the servers of that name may be
//! used and no others, `state=DIRECTORY` keep lists over a restart, and `runtime=one-thread` run on one thread and not on as many as there are
//! cores.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use gateway::config::{Action, AuditConfig, CallLimits, Endpoint, GatewayConfig, Instance, Rule, ServerConfig};
use gateway::hub::{Attach, Hub, HubParts};
use gateway::upstream::stdio::Attached;

/// Starts a program for each attach: its arguments stand in the instance's id.
#[derive(Debug)]
struct Programs;

#[async_trait]
impl Attach for Programs {
    async fn attach(&self, instance: &str) -> std::io::Result<Attached> {
        let mut words = instance.split(',');
        let mut command = tokio::process::Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let missing = || std::io::Error::other("no pipe");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        tokio::spawn(async move { child.wait().await });
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let is_one_thread = std::env::args().any(|argument| argument == "runtime=one-thread");
    let mut builder = if is_one_thread {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:3010".to_owned()).parse()?;
    let mut servers = Vec::new();
    let (mut audit, mut state_dir, mut rules) = (None, None, Vec::new());
    for argument in arguments {
        let (name, place) = argument.split_once('=').ok_or("write NAME=PLACE")?;
        match name {
            "audit" => {
                audit = Some(AuditConfig { path: place.into(), has_values: false });
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
            "runtime" => continue,
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
        let instance = Instance { id, run_ms: None, is_current: true, endpoint };
        servers.push(ServerConfig { calls, ..ServerConfig::of(name, vec![instance]) });
    }
    let config = GatewayConfig { audit, rules, ..GatewayConfig::on(listen) };
    let hub = Hub::open(HubParts { config, attach: Arc::new(Programs), state_dir })?;
    hub.set_servers(servers);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    writeln!(std::io::stdout(), "http://{}/mcp", listener.local_addr()?)?;
    let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    hub.serve(listener, async move {
        stop.recv().await;
    })
    .await;
    Ok(())
}
