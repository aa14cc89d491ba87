//! Calls through the gateway of a controller to fifteen MCP servers by their standard streams, each in a container of its own.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::message::{self, Repeated};
use crate::place::{Place, SERVERS, Way, server_name};
use crate::process::cpu_time;
use crate::report;
use crate::support::engine::{EngineAddress, TestBed, run_to_end, text_of};
use crate::support::mcp::{await_tools_of, free_address, gateway, token};
use crate::support::scene::object;
use crate::tool::Era;

/// The image: this program, which takes `stdio-server ERA`.
const IMAGE: &str = "evenkeel.bench/stdio-server:1";
/// How many sessions call at once.
const SESSIONS: usize = 64;
/// How often each sort of request has its turn, after one to warm up, and for how long.
const TURNS: (usize, Duration) = (15, Duration::from_millis(500));

/// Prints how many calls go through, beside what the gateway answers by itself.
pub(crate) fn measure(engine: &EngineAddress) {
    import(engine);
    for era in Era::ALL {
        measure_era(engine, era);
    }
}

fn measure_era(engine: &EngineAddress, era: Era) {
    let mut bed = TestBed::new(engine.clone(), &format!("contained-{}", era.name()));
    let address = free_address();
    let names: Vec<String> = (0..SERVERS).map(server_name).collect();
    let spec = format!("spec:\n  image: {IMAGE}\n  pullPolicy: Never\n  args: [stdio-server, {}]\n", era.name());
    let servers: String = names.iter().map(|name| object("McpServer", name, &spec)).collect();
    bed.write("mcp.yaml", &(servers + &gateway(address)));
    bed.start();
    let token = token(&bed);
    await_tools_of(address, &token, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let place = Place { name: "hub", era, way: Way::Gateway(address, "__") };
    let pid = bed.controller_pid().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut callers = runtime.block_on(callers(&place, &token));
    let mut askers = runtime.block_on(askers(&place, address));
    let (mut calls, mut answers, mut micros) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=TURNS.0 {
        let before = cpu_time(pid);
        let (count, rate) = runtime.block_on(run(&mut callers));
        let used = cpu_time(pid).saturating_sub(before).as_secs_f64() * 1e6 / report::number(count);
        let (_, own) = runtime.block_on(run(&mut askers));
        if round > 0 {
            calls.push(rate);
            answers.push(own);
            micros.push(used);
        }
    }
    let what = |figure: &str| format!("{figure}, {}", era.name());
    report::all("calls a second", &calls);
    report::at_least_target(&what("calls a second to 15 containers"), report::median(&calls), "", 10_000.0);
    report::figure(&what("  of what the gateway answers itself"), report::median_ratio(&calls, &answers), "");
    report::figure(&what("  time of the controller on a core"), report::median(&micros), "µs");
}

/// Makes the image of this program, with the libraries that it is loaded with.
fn import(engine: &EngineAddress) {
    let program = std::env::current_exe().unwrap();
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::copy(&program, root.join("bench")).unwrap();
    let libraries = Command::new("ldd").arg(&program).output().unwrap();
    for library in String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|word| word.starts_with('/')) {
        let copy = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(library, copy).unwrap();
    }
    let archive = folder.path().join("image.tar");
    run_to_end(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."));
    let archive = archive.display().to_string();
    let import = engine.docker(&["import", "--change", "ENTRYPOINT [\"/bench\"]", &archive, IMAGE]);
    assert!(import.status.success(), "cannot import `{IMAGE}`: {}", text_of(&import));
}

/// Sessions that call tools, of one server after another, each on its own connection.
async fn callers(place: &Place, token: &str) -> Vec<(Client, Repeated)> {
    let mut members = Vec::new();
    for server in 0..SESSIONS {
        let mut client = Client::connect(place, server).await.unwrap();
        let mut session = None;
        if place.era == Era::Legacy {
            session = client.expect(&with_token(message::initialize(place, server), token)).await.session;
            client.expect(&with_token(message::initialized(place, server, session.as_deref()), token)).await;
        }
        let call = message::call(place, server % SERVERS, session.as_deref());
        members.push((client, Repeated::new(with_token(call, token))));
    }
    members
}

/// As many connections that ask whether the gateway lives.
async fn askers(place: &Place, address: SocketAddr) -> Vec<(Client, Repeated)> {
    let mut members = Vec::new();
    for server in 0..SESSIONS {
        let client = Client::connect(place, server).await.unwrap();
        members.push((client, Repeated::new(format!("GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes())));
    }
    members
}

fn with_token(request: Vec<u8>, token: &str) -> Vec<u8> {
    let request = String::from_utf8(request).unwrap();
    request.replacen("\r\nhost: ", &format!("\r\nauthorization: Bearer {token}\r\nhost: "), 1).into_bytes()
}

/// Everybody sends one request after the other. Returns how many were answered, and how many a second.
async fn run(members: &mut [(Client, Repeated)]) -> (usize, f64) {
    let begun = Instant::now();
    let all = members.iter_mut().map(|(client, request)| async move {
        let mut count = 0_usize;
        while begun.elapsed() < TURNS.1 {
            client.expect(request.next()).await;
            count += 1;
        }
        count
    });
    let count = futures_util::future::join_all(all).await.into_iter().sum();
    (count, report::number(count) / begun.elapsed().as_secs_f64())
}
