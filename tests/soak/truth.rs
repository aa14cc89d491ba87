//! What is true by Docker's own account, against what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::meddler::MEDDLED;
use super::wanted::{Choice, Shape, Wanted};
use crate::support::engine::{TestBed, Which};
use crate::support::http;
use crate::support::look::{changing_calls, counter};
use crate::support::seen::Seen;

/// Everything in which Docker, and what the controller tells, differ from what is wanted.
pub(super) fn differences(bed: &TestBed, wanted: &Wanted) -> Vec<String> {
    let mut differences = Vec::new();
    let all = bed.seen();
    let network_ids = network_ids(bed, &mut differences, wanted);
    for (shape, choice) in wanted.deployments() {
        let of_shape: Vec<&Seen> = all.iter().filter(|seen| seen.object == shape.name).collect();
        let ordinals: Vec<&str> = of_shape.iter().map(|seen| seen.ordinal.as_str()).collect();
        let slots: BTreeSet<&str> = ordinals.iter().copied().collect();
        if ordinals.len() != choice.replicas || slots.len() != choice.replicas {
            differences.push(format!("{}: containers {ordinals:?} for {} replicas", shape.name, choice.replicas));
        }
        for seen in of_shape {
            for difference in differences_of(bed, seen, shape, choice, &network_ids) {
                differences.push(format!("{}: {difference}", seen.name));
            }
        }
    }
    let names: BTreeSet<&str> = wanted.deployments().map(|(shape, _)| shape.name).collect();
    let orphans = all.iter().filter(|seen| !names.contains(seen.object.as_str()));
    differences.extend(orphans.map(|seen| format!("{} is an orphan", seen.name)));
    let known = all.len() + 1;
    let labelled = bed.containers(Which::All, &[]).len();
    if labelled > known {
        differences.push(format!("{labelled} containers bear the instance's label, and not {known}, with the lease"));
    }
    differences.extend(what_the_controller_lacks(bed, wanted));
    differences
}

/// The ids of the bed's networks by their names; says what is missing, too many or there twice.
fn network_ids(bed: &TestBed, differences: &mut Vec<String>, wanted: &Wanted) -> BTreeMap<String, String> {
    let names = bed.network_names();
    let expected: BTreeSet<String> =
        wanted.networks().iter().map(|name| format!("{}_{name}", bed.namespace())).collect();
    if names != expected.into_iter().collect::<Vec<_>>() {
        differences.push(format!("networks: {names:?}"));
    }
    let to_id = |name: String| {
        let id = bed.inspect("network", &name)["Id"].as_str().unwrap_or_default().to_owned();
        (name, id)
    };
    names.into_iter().chain(["bridge".to_owned()]).map(to_id).collect()
}

fn differences_of(
    bed: &TestBed,
    seen: &Seen,
    shape: &Shape,
    choice: Choice,
    network_ids: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut expect = |what: &str, found: &str, expected: &str| {
        if found != expected {
            differences.push(format!("{what} is `{found}` and not `{expected}`"));
        }
    };
    expect("the state", &seen.status, "running");
    if !seen.health.is_empty() {
        expect("the health", &seen.health, "healthy");
    }
    expect("the image", &seen.image, shape.image(choice));
    expect("the version", seen.variable("VERSION"), &choice.version.to_string());
    expect("the note", seen.variable("NOTE"), &choice.note.map(|note| note.to_string()).unwrap_or_default());
    expect("the memory", &seen.memory_bytes.to_string(), &(choice.memory_mib << 20).to_string());
    expect("whether it is restarted", &seen.is_armed.to_string(), "true");
    expect("whether it has another name", &seen.name.contains(MEDDLED).to_string(), "false");
    let own = |name: &&str| format!("{}_{name}", bed.namespace());
    let networks: BTreeSet<String> = match shape.networks {
        [] => BTreeSet::from(["bridge".to_owned()]),
        networks => networks.iter().map(own).collect(),
    };
    let networks: BTreeMap<&String, Option<&String>> =
        networks.iter().map(|name| (name, network_ids.get(name))).collect();
    let joined: BTreeMap<&String, Option<&String>> = seen.networks.iter().map(|(name, id)| (name, Some(id))).collect();
    expect("what it has joined", &format!("{joined:?}"), &format!("{networks:?}"));
    let volumes: BTreeSet<String> = shape.volume.iter().map(own).collect();
    expect("what it mounts", &format!("{:?}", seen.volumes), &format!("{volumes:?}"));
    differences
}

/// What the controller knows that is not as wanted: each object in its last version and ready, and no fault.
fn what_the_controller_lacks(bed: &TestBed, wanted: &Wanted) -> Vec<String> {
    let Ok(answer) = bed.get("/api/v1/objects") else { return vec!["the controller does not answer".to_owned()] };
    let answer = answer.json();
    let items: Vec<&Value> = answer["items"].as_array().into_iter().flatten().collect();
    let mut lacks = Vec::new();
    if items.len() != wanted.objects() {
        lacks.push(format!("the controller knows {} objects and not {}", items.len(), wanted.objects()));
    }
    for item in items {
        let status = &item["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
        if ready["status"] != "True" || status["generation"] != status["observedGeneration"] {
            let (kind, name) = (&item["manifest"]["kind"], &item["manifest"]["metadata"]["name"]);
            lacks.push(format!("{kind} {name} is not ready: {} {}", ready["reason"], ready["message"]));
        }
    }
    let view = bed.controller_view();
    if view["diagnostics"].as_array().is_none_or(|diagnostics| !diagnostics.is_empty()) {
        lacks.push(format!("faults: {}", view["diagnostics"]));
    }
    lacks
}

/// Fails the test where anything is done, or happens to a container, in a converged world.
pub(super) fn check_quiet(bed: &TestBed, duration: Duration, at: &str) {
    let look = || bed.seen().into_iter().map(|seen| (seen.id, seen.name, seen.started_at)).collect::<Vec<_>>();
    let calls = || changing_calls(bed);
    let before = (look(), calls());
    thread::sleep(duration);
    assert_eq!((look(), calls()), before, "{at}: something goes on in a converged world");
    assert_eq!(counter(bed, "evenkeel_panics_caught_total", ""), 0, "{at}");
}

/// Fails the test where the published port does not lead to the site.
pub(super) fn check_site(wanted: &Wanted, at: &str) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wanted.port));
    let answer = http::get(address, "/");
    assert!(answer.is_ok_and(|answer| answer.status == 404), "{at}: the site does not answer");
}

/// What the volumes are known to hold, by the deployment that mounts them: a line for each time they were looked at.
#[derive(Debug, Default)]
pub(super) struct Markers(BTreeMap<&'static str, String>);

impl Markers {
    /// Fails the test where a volume does not hold every line that it was given, and gives it another.
    pub(super) fn check_and_add(&mut self, bed: &TestBed, wanted: &Wanted, line: &str, at: &str) {
        for (shape, _) in wanted.deployments().filter(|(shape, _)| shape.volume.is_some()) {
            let id = bed.await_running(shape.name, 1).remove(0);
            let script = format!("touch /data/marker; cat /data/marker; echo {line} >>/data/marker");
            let found = bed.docker(&["exec", &id, "/bin/sh", "-c", &script]);
            let expected = self.0.entry(shape.name).or_default();
            assert_eq!(found, expected.trim(), "{at}: what {} has in its volume", shape.name);
            writeln!(expected, "{line}").unwrap();
        }
    }
}
