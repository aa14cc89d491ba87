//! All candidates over the same servers, for as long as a run lasts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::message;
use crate::place::{Place, SERVERS, TOOLS, Way, server_name};
use crate::program::{Program, free_ports, hub_path, own_path};
use crate::tool::Era;

/// How long a candidate may take to list everything.
const LIST_TIME: Duration = Duration::from_mins(1);

/// All candidates.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Runs the clients: one thread, as one core has more to do than drive them.
    pub(crate) runtime: Runtime,
    /// Fifteen servers by HTTP, and one that lists as many tools as all of them, for each era.
    pub(crate) backends: Vec<Backends>,
    /// A hub over them, for each era.
    pub(crate) hubs: Vec<Hub>,
    /// The same on one thread.
    pub(crate) narrow_hubs: Vec<Hub>,
    /// A bare nginx before them, with a port for each era.
    pub(crate) nginx: Option<(Program, Vec<SocketAddr>)>,
    /// A bare hop of the hub's own libraries, for each era.
    pub(crate) hops: Vec<(Program, Place)>,
    /// Another build of the hub, for each era, where one is to be compared.
    pub(crate) other_hubs: Vec<Hub>,
    /// Other gateways, of 2025-11-25 alone.
    pub(crate) others: Vec<(Program, Place)>,
    /// Where everybody writes.
    pub(crate) directory: TempDir,
}

/// Servers by HTTP in one process.
#[derive(Debug)]
pub(crate) struct Backends {
    /// The process.
    pub(crate) program: Program,
    /// The addresses of the fifteen, and last that of the one.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// A hub in its process.
#[derive(Debug)]
pub(crate) struct Hub {
    /// The process.
    pub(crate) program: Program,
    /// How it is reached.
    pub(crate) place: Place,
}

impl Backends {
    /// Starts them.
    pub(crate) fn start(era: Era) -> Self {
        let addresses = free_ports(SERVERS + 1);
        let mut command = Command::new(own_path());
        command.args(["http-server", era.name()]);
        for (index, address) in addresses.iter().enumerate() {
            let tools = if index == SERVERS { SERVERS * TOOLS } else { TOOLS };
            command.arg(format!("{}={tools}", address.port()));
        }
        let program = Program::start(&mut command, "KILL");
        for address in &addresses {
            await_port(*address);
        }
        Self { program, addresses }
    }
}

/// What a hub is started with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind<'a> {
    /// Servers by HTTP.
    Http(&'a [SocketAddr]),
    /// Servers by their standard streams, which the hub starts.
    Stdio,
}

impl Hub {
    /// Starts a hub with an audit and a rule, on as many threads as there are cores. `more`: further arguments.
    pub(crate) fn start(name: &str, era: Era, behind: Behind<'_>, directory: &Path, more: &[String]) -> Self {
        Self::start_program(&hub_path(), name, era, behind, directory, more)
    }

    /// The same, of a hub that tells there what it has allocated.
    pub(crate) fn start_counted(
        name: &str,
        era: Era,
        behind: Behind<'_>,
        directory: &Path,
        told_at: SocketAddr,
    ) -> Self {
        let program = hub_path().with_file_name("counted-hub");
        Self::start_program(&program, name, era, behind, directory, &[format!("held={told_at}")])
    }

    fn start_program(
        program: &Path,
        name: &str,
        era: Era,
        behind: Behind<'_>,
        directory: &Path,
        more: &[String],
    ) -> Self {
        let address = free_ports(1)[0];
        let mut command = Command::new(program);
        command.arg(address.to_string()).arg(format!("audit={}", directory.join(format!("{name}.jsonl")).display()));
        command.arg("allow=s*").args(more);
        for server in 0..SERVERS {
            let name = server_name(server);
            command.arg(match behind {
                Behind::Http(addresses) => format!("{name}=http://{}/mcp", addresses[server]),
                Behind::Stdio => format!("{name}=stdio:{},stdio-server,{}", own_path().display(), era.name()),
            });
        }
        let program = Program::start(&mut command, "TERM");
        Self { program, place: Place { name: "hub", era, way: Way::Gateway(address, "__"), token: None } }
    }
}

impl Stage {
    /// Starts everybody and waits until all list everything.
    pub(crate) fn build() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir_in(own_path().parent().unwrap()).unwrap();
        let backends: Vec<Backends> = Era::ALL.into_iter().map(Backends::start).collect();
        let start_hubs = |name: &'static str, program: &Path, more: &[String]| -> Vec<Hub> {
            let start = |(era, backends): (Era, &Backends)| {
                let behind = Behind::Http(&backends.addresses);
                let file = format!("{name}-{}", era.name());
                let mut hub = Hub::start_program(program, &file, era, behind, directory.path(), more);
                hub.place.name = name;
                hub
            };
            Era::ALL.into_iter().zip(&backends).map(start).collect()
        };
        let hubs = start_hubs("hub", &hub_path(), &[]);
        let narrow_hubs = start_hubs("hub on one thread", &hub_path(), &["runtime=one-thread".to_owned()]);
        let other_hub = std::env::var_os("EVENKEEL_BENCH_OTHER_HUB");
        let other_hubs = other_hub.map(|program| start_hubs("other hub", Path::new(&program), &[])).unwrap_or_default();
        let nginx = start_nginx(&backends, directory.path());
        let hops = Era::ALL.into_iter().zip(&backends).map(|(era, backends)| start_hop(era, backends)).collect();
        let others = start_others(&backends[1], directory.path());
        let stage = Self { runtime, backends, hubs, narrow_hubs, nginx, hops, other_hubs, others, directory };
        for (index, era) in Era::ALL.into_iter().enumerate() {
            let others = stage.others.iter().map(|(_, place)| place.clone()).filter(|place| place.era == era);
            for place in stage.places(index, era).into_iter().chain(others) {
                let took = stage.await_list(&place);
                println!("{} ({}) lists everything, asked for {} ms", place.name, era.name(), took.as_millis());
            }
        }
        stage
    }

    /// All candidates for clients of an era, the direct connection first and nginx second.
    pub(crate) fn places(&self, index: usize, era: Era) -> Vec<Place> {
        let addresses = self.backends[index].addresses[..SERVERS].to_vec();
        let mut places = vec![Place { name: "direct", era, way: Way::Direct(addresses), token: None }];
        if let Some((_, ports)) = &self.nginx {
            places.push(Place { name: "nginx", era, way: Way::Hop(ports[index], ""), token: None });
        }
        places.push(self.hops[index].1.clone());
        places.extend(
            [&self.hubs, &self.narrow_hubs, &self.other_hubs]
                .iter()
                .filter_map(|hubs| Some(hubs.get(index)?.place.clone())),
        );
        places
    }

    /// Asks until everything that there is is listed, and says how long that took.
    pub(crate) fn await_list(&self, place: &Place) -> Duration {
        let begun = Instant::now();
        let last = match place.way {
            Way::Gateway(..) => place.tool(SERVERS - 1).replace("000", "009"),
            Way::Direct(_) | Way::Hop(..) => "tool_009".to_owned(),
        };
        let wanted = match place.way {
            Way::Gateway(..) => SERVERS * TOOLS,
            Way::Direct(_) | Way::Hop(..) => TOOLS,
        };
        self.runtime.block_on(async {
            while begun.elapsed() < LIST_TIME {
                if let Some(body) = list_once(place).await
                    && body.contains(&last)
                    && body.matches("\"inputSchema\"").count() == wanted
                {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            unreachable!("{} does not list everything", place.name);
        });
        begun.elapsed()
    }
}

/// One look at a list, over a connection of its own.
async fn list_once(place: &Place) -> Option<String> {
    let mut client = Client::connect(place, 0).await?;
    let session = match place.era {
        Era::Modern => None,
        Era::Legacy => {
            let session = client.send(&message::initialize(place, 0)).await?.session;
            client.send(&message::initialized(place, 0, session.as_deref())).await?;
            session
        }
    };
    let reply = client.send(&message::list(place, session.as_deref())).await?;
    if session.is_some() {
        client.send(&message::end(place, 0, session.as_deref())).await?;
    }
    String::from_utf8(reply.body).ok()
}

fn await_port(address: SocketAddr) {
    let begun = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A bare nginx: one hop with connections that are kept, and nothing else.
fn start_nginx(backends: &[Backends], directory: &Path) -> Option<(Program, Vec<SocketAddr>)> {
    let Some(program) = std::env::var_os("EVENKEEL_BENCH_NGINX") else {
        println!("SKIPPED: there is no nginx to compare with: scripts/bench.sh fetches one");
        return None;
    };
    let ports = free_ports(backends.len());
    let prefix = directory.join("nginx");
    std::fs::create_dir_all(&prefix).unwrap();
    let mut http = String::new();
    for ((backends, port), era) in backends.iter().zip(&ports).zip(Era::ALL) {
        let era = era.name();
        let mut locations = String::new();
        for (index, address) in backends.addresses.iter().take(SERVERS).enumerate() {
            let name = server_name(index);
            writeln!(http, "upstream {era}{index} {{ server {address}; keepalive 64; }}").unwrap();
            writeln!(locations, "location = /{name}/mcp {{ proxy_pass http://{era}{index}/mcp; }}").unwrap();
        }
        writeln!(http, "server {{ listen {port}; {locations} }}").unwrap();
    }
    let config = format!(
        "daemon off; pid nginx.pid; error_log stderr; worker_processes auto;\nevents {{ worker_connections 1024; }}\nhttp {{\naccess_log off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 1h; proxy_http_version 1.1; proxy_set_header Connection \"\";\nclient_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n{http}}}\n"
    );
    std::fs::write(prefix.join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(&prefix).args(["-c", "nginx.conf", "-e", "stderr"]);
    let nginx = Program::start(&mut command, "TERM");
    for port in &ports {
        await_port(*port);
    }
    Some((nginx, ports))
}

fn start_hop(era: Era, backends: &Backends) -> (Program, Place) {
    let address = free_ports(1)[0];
    let mut command = Command::new(own_path());
    command.args(["hop", &address.port().to_string()]);
    for (index, server) in backends.addresses.iter().take(SERVERS).enumerate() {
        command.arg(format!("{}={server}", server_name(index)));
    }
    (Program::start(&mut command, "KILL"), Place { name: "hyper hop", era, way: Way::Hop(address, ""), token: None })
}

/// Two other gateways of 2025-11-25, where there are any.
fn start_others(backends: &Backends, directory: &Path) -> Vec<(Program, Place)> {
    let mut others = Vec::new();
    let address = free_ports(1)[0];
    let port = address.port().to_string();
    if let Some(program) = std::env::var_os("EVENKEEL_BENCH_MCP_PROXY") {
        // It has servers by stdio alone, which it starts.
        let mut command = Command::new(program);
        command.args(["--port", &port, "--log-level", "ERROR"]).stderr(Stdio::null());
        for server in 0..SERVERS {
            let started = format!("{} stdio-server legacy", own_path().display());
            command.args(["--named-server", &server_name(server), &started]);
        }
        let way = Way::Hop(address, "/servers");
        others.push((
            Program::start(&mut command, "KILL"),
            Place { name: "mcp-proxy", era: Era::Legacy, way, token: None },
        ));
    }
    let address = free_ports(1)[0];
    let port = address.port().to_string();
    if let Some(program) = std::env::var_os("EVENKEEL_BENCH_FASTMCP") {
        let url = |server: usize| format!("http://{}/mcp", backends.addresses[server]);
        let servers = (0..SERVERS).map(|server| (server_name(server), serde_json::json!({ "url": url(server) })));
        let servers: serde_json::Map<String, serde_json::Value> = servers.collect();
        let file = directory.join("mcp.json");
        std::fs::write(&file, serde_json::json!({ "mcpServers": servers }).to_string()).unwrap();
        let mut command = Command::new(program);
        command.arg("run").arg(&file).args(["--transport", "http", "--no-banner", "--log-level", "ERROR"]);
        command.args(["--port", &port, "--path", "/mcp"]).stderr(Stdio::null());
        let way = Way::Gateway(address, "_");
        others.push((
            Program::start(&mut command, "KILL"),
            Place { name: "fastmcp", era: Era::Legacy, way, token: None },
        ));
    }
    if others.len() < 2 {
        println!("SKIPPED: other gateways are missing that scripts/bench.sh can fetch");
    }
    others
}
