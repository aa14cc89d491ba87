//! From nothing to 30 running containers on one network: Evenkeel against the very same calls made straight to the Engine, and
//! against Compose.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::Api;
use crate::proxy::{Call, Proxy};
use crate::report;
use crate::support::engine::{EngineAddress, TestBed, text_of};
use crate::workload::{find_compose, write_compose_file, write_manifests};

/// Containers.
const CONTAINERS: usize = 30;
/// What the bare API is tried with; the best counts.
const CONCURRENCIES: [usize; 4] = [2, 4, 8, 16];
/// How often each is measured, in turn.
const PAIRS: usize = 5;

/// Prints how long each takes.
pub(crate) fn measure(engine: &EngineAddress) {
    let api = Api::new(engine);
    let recorded = record(&api);
    let tried: Vec<f64> = CONCURRENCIES.iter().map(|concurrency| bare(&api, &recorded, *concurrency)).collect();
    let best = CONCURRENCIES.iter().zip(&tried).min_by(|a, b| a.1.total_cmp(b.1)).map_or(4, |(best, _)| *best);
    report::all(&format!("bare API at {CONCURRENCIES:?} at once, s; {best} is best"), &tried);
    let compose = find_compose();
    let (mut ours, mut theirs, mut composed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        theirs.push(bare(&api, &recorded, best));
        ours.push(evenkeel(engine, &[]));
        if let Some((command, _)) = &compose {
            composed.push(compose_up(engine, command));
        }
    }
    report::all("bare API, s", &theirs);
    report::all("evenkeel run --once, s", &ours);
    report::figure("cold: bare API, median", report::median(&theirs), "s");
    report::figure("cold: evenkeel run --once, median", report::median(&ours), "s");
    report::against_target(
        "cold: evenkeel / bare API, median of pairs",
        report::median_ratio(&ours, &theirs),
        "",
        1.03,
    );
    match &compose {
        Some((_, version)) => {
            report::all("compose up, s", &composed);
            report::figure(
                &format!("cold: compose {version} / bare API"),
                report::median_ratio(&composed, &theirs),
                "",
            );
            let ratio = report::median_ratio(&ours, &composed);
            report::against_target(&format!("cold: evenkeel / compose {version}, median of pairs"), ratio, "", 1.0);
        }
        None => println!("cold: no Compose here to compare with"),
    }
}

/// What Evenkeel asked the Engine for: the body of the network, and name and body of each container.
pub(crate) struct Recorded {
    network: String,
    network_id: String,
    /// Name and body.
    pub(crate) containers: Vec<(String, String)>,
}

impl Recorded {
    /// Reads it from what went through a proxy.
    pub(crate) fn from_calls(calls: &[Call], network_id: &str) -> Self {
        let posted = |path: &'static str| calls.iter().filter(move |call| call.path.starts_with(path));
        let containers = posted("/containers/create").filter(|call| !call.path.contains("evenkeel-lease"));
        let containers = containers.map(|call| {
            let name = call.path.split("name=").nth(1).unwrap().split('&').next().unwrap();
            (name.to_owned(), call.body.clone())
        });
        Self {
            network: posted("/networks/create").next().unwrap().body.clone(),
            network_id: network_id.to_owned(),
            containers: containers.collect(),
        }
    }
}

/// Runs Evenkeel once through a proxy, and keeps what it asked for.
fn record(api: &Api) -> Recorded {
    let proxy = Proxy::before(api);
    let bed = TestBed::new(proxy.address(), "cold");
    write_manifests(&bed, CONTAINERS, "Running");
    let run = bed.run_once();
    assert!(run.status.success(), "{}", text_of(&run));
    let network = bed.docker(&["network", "ls", "--quiet", "--no-trunc", "--filter", &label(&bed)]);
    let calls = proxy.calls();
    let beginnings = |method: &str, path: &str| {
        calls.iter().filter(|call| call.method == method && call.path.starts_with(path)).count()
    };
    println!(
        "  calls of one run: {} in all, {} creates, {} other POSTs, {} inspects of containers, {} lists",
        calls.len(),
        beginnings("POST", "/containers/create"),
        beginnings("POST", "/") - beginnings("POST", "/containers/create"),
        beginnings("GET", "/containers/") - beginnings("GET", "/containers/json"),
        beginnings("GET", "/containers/json") + beginnings("GET", "/networks"),
    );
    Recorded::from_calls(&calls, &network)
}

/// The same calls, straight to the Engine.
fn bare(api: &Api, recorded: &Recorded, concurrency: usize) -> f64 {
    let begun = Instant::now();
    let network = api.call("POST", "/networks/create", &recorded.network);
    let network_id = network["Id"].as_str().unwrap();
    let ids = Api::at_once(concurrency, &recorded.containers, |(name, body)| {
        api.create_and_start(name, &body.replace(&recorded.network_id, network_id))
    });
    let took = begun.elapsed().as_secs_f64();
    Api::at_once(4, &ids, |id| api.remove(id));
    api.call("DELETE", &format!("/networks/{network_id}"), "");
    took
}

/// The program, with a data directory that is new.
fn evenkeel(engine: &EngineAddress, arguments: &[&str]) -> f64 {
    let bed = TestBed::new(engine.clone(), "cold");
    write_manifests(&bed, CONTAINERS, "Running");
    let manifests = bed.manifests().display().to_string();
    let begun = Instant::now();
    let run = bed.evenkeel(&[&["run", "--once", "--manifests", &manifests], arguments].concat());
    let took = begun.elapsed().as_secs_f64();
    assert!(run.status.success(), "{}", text_of(&run));
    clean(&bed);
    took
}

fn compose_up(engine: &EngineAddress, command: &[String]) -> f64 {
    let directory = TempDir::with_prefix("evenkeel-bench-").unwrap();
    let file = write_compose_file(directory.path(), CONTAINERS);
    let compose = |arguments: &[&str]| {
        let mut run = Command::new(&command[0]);
        run.args(&command[1..]).args(["--project-name", "evenkeel-bench", "--file"]).arg(&file).args(arguments);
        let output = run.env("DOCKER_HOST", engine.as_str()).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "compose {}: {}", arguments.join(" "), text_of(&output));
    };
    let begun = Instant::now();
    compose(&["up", "--detach", "--no-build"]);
    let took = begun.elapsed().as_secs_f64();
    compose(&["down", "--timeout", "0"]);
    took
}

/// Removes the containers several at a time; the bed's own end removes them one by one.
pub(crate) fn clean(bed: &TestBed) {
    let api = Api::new(bed.engine());
    let filters = json!({ "label": [label(bed).trim_start_matches("label=")] }).to_string();
    let filters = filters.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let listed = api.call("GET", &format!("/containers/json?all=true&filters={filters}"), "");
    let ids: Vec<&str> = listed.as_array().unwrap().iter().filter_map(|one| one["Id"].as_str()).collect();
    Api::at_once(4, &ids, |id| api.remove(id));
    std::thread::sleep(Duration::from_millis(200));
}

/// Docker's filter for what is of a bed.
pub(crate) fn label(bed: &TestBed) -> String {
    format!("label=evenkeel.dev/instance={}", bed.instance())
}

/// A body without the labels by which Evenkeel knows its own.
pub(crate) fn as_strangers(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    body["Labels"] = json!({});
    body.to_string()
}
