//! What tests look at: containers, conditions, events and counters.

use std::time::Duration;

use serde_json::Value;

use super::engine::{TestBed, Which, eventually};

/// How long the controller may take for anything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A Deployment named `name` that does nothing and ends quickly; `more` are further lines of its spec, as a flow mapping without braces.
pub(crate) fn deployment(name: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(
        "---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: $ns }}\n\
         spec: {{ image: \"$image\", command: [/bin/sleep, \"3600\"], init: true, stop: {{ grace: 1s }}{comma}{more} }}\n"
    )
}

/// A Network or Volume with a spec written as a flow mapping.
pub(crate) fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: evenkeel.dev/v1\nkind: {kind}\nmetadata: {{ name: {name}, namespace: $ns }}\nspec: {spec}\n"
    )
}

/// The names of the containers of a Deployment, sorted.
pub(crate) fn names_of(bed: &TestBed, which: Which, deployment: &str) -> Vec<String> {
    bed.containers(which, &[&format!("label=evenkeel.dev/name={deployment}")])
}

/// The only container of a Deployment.
///
/// # Panics
/// When there is none, or more than one.
pub(crate) fn container_of(bed: &TestBed, deployment: &str) -> Value {
    let names = names_of(bed, Which::All, deployment);
    assert_eq!(names.len(), 1, "containers of `{deployment}`: {names:?}");
    bed.inspect("container", &names[0])
}

/// Its full id.
pub(crate) fn id_of(bed: &TestBed, deployment: &str) -> String {
    container_of(bed, deployment)["Id"].as_str().unwrap().to_owned()
}

/// A container's name without the slash.
pub(crate) fn name_in(container: &Value) -> String {
    container["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned()
}

/// Waits until the only container of a Deployment is as `check` says, and returns it.
pub(crate) fn await_container(
    bed: &TestBed,
    deployment: &str,
    description: &str,
    check: impl Fn(&Value) -> bool,
) -> Value {
    eventually(description, PATIENCE, || {
        let names = names_of(bed, Which::All, deployment);
        let [name] = names.as_slice() else { return None };
        Some(bed.inspect("container", name)).filter(|container| check(container))
    })
}

/// Waits until the only container of a Deployment runs, and is not paused.
pub(crate) fn await_running(bed: &TestBed, deployment: &str) -> Value {
    await_container(bed, deployment, &format!("the container of `{deployment}` runs"), |container| {
        container["State"]["Status"] == "running"
    })
}

/// One condition of an object, as the API serves it; `null` when it is not known.
pub(crate) fn condition(bed: &TestBed, kind: &str, name: &str, condition_type: &str) -> Value {
    let path = format!("/api/v1/objects/{kind}/{}/{name}", bed.namespace());
    let Ok(answer) = bed.get(&path) else { return Value::Null };
    if answer.status != 200 {
        return Value::Null;
    }
    let record = answer.json();
    let conditions = record["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == condition_type).unwrap_or_default()
}

/// Waits until an object's condition `Ready` is true.
pub(crate) fn await_ready(bed: &TestBed, kind: &str, name: &str) {
    eventually(&format!("{kind}/{name} is ready"), PATIENCE, || {
        (condition(bed, kind, name, "Ready")["status"] == "True").then_some(())
    });
}

/// Waits until an object is not ready for this reason, and returns the condition's message.
pub(crate) fn await_not_ready(bed: &TestBed, kind: &str, name: &str, reason: &str) -> String {
    eventually(&format!("{kind}/{name} is not ready: {reason}"), PATIENCE, || {
        let ready = condition(bed, kind, name, "Ready");
        let is_found = ready["status"] == "False" && ready["reason"] == reason;
        is_found.then(|| ready["message"].as_str().unwrap_or_default().to_owned())
    })
}

/// The events of an object with this reason, as the API serves them.
pub(crate) fn events_of(bed: &TestBed, kind: &str, name: &str, reason: &str) -> Vec<Value> {
    let path = format!("/api/v1/events?for={kind}/{}/{name}", bed.namespace());
    let answer = bed.get(&path).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let items = answer.json()["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().filter(|event| event["reason"] == reason).collect()
}

/// Waits for a warning about an object that says what was found, and returns its message.
pub(crate) fn await_warning(bed: &TestBed, kind: &str, name: &str, reason: &str) -> String {
    eventually(&format!("a warning {reason} about {kind}/{name}"), PATIENCE, || {
        let event = events_of(bed, kind, name, reason).into_iter().next_back()?;
        assert_eq!(event["type"], "Warning", "{event}");
        event["message"].as_str().map(str::to_owned)
    })
}

/// The sum of a counter over all its series whose labels hold a text.
pub(crate) fn counter(bed: &TestBed, name: &str, label: &str) -> u64 {
    let text = bed.get("/metrics").unwrap().body;
    let is_series = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
    text.lines().filter(is_series).map(|line| value(line).unwrap_or_else(|| panic!("not a number: {line}"))).sum()
}

/// How many changing calls the controller has made.
pub(crate) fn changing_calls(bed: &TestBed) -> u64 {
    let all = counter(bed, "evenkeel_engine_calls_total", "");
    all - counter(bed, "evenkeel_engine_calls_total", "operation=\"inspect_container\"")
}

/// Waits until the controller has looked at every object `times` times more and found nothing to do.
pub(crate) fn await_settled_passes(bed: &TestBed, times: u64) {
    let objects = counter(bed, "evenkeel_objects", "");
    let before = counter(bed, "evenkeel_reconciles_total", "Settled");
    eventually("the controller looks again, and is content", PATIENCE, || {
        let now = counter(bed, "evenkeel_reconciles_total", "Settled");
        (now >= before + objects * times).then_some(())
    });
}
