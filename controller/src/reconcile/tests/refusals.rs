//! What the Engine refuses is told in its own words, tried again less and less often, and keeps nobody else waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::faulty_engine::FaultyEngine;
use super::stage::{Stage, deployment, key};
use crate::engine::Engine;
use crate::engine::simulated::{CallKind, CallOutcome, CallRecord, RequestFault, SimulatedEngine};

/// A call that the Engine refuses for a while.
struct Refusal {
    call: CallKind,
    status: u16,
    text: &'static str,
    /// What the condition says then.
    reason: &'static str,
}

const fn refusal(call: CallKind, status: u16, text: &'static str, reason: &'static str) -> Refusal {
    Refusal { call, status, text, reason }
}

/// Most of what an Engine of 20.10 was seen to refuse on the way from a manifest to a running container.
const REFUSALS: &[Refusal] = &[
    refusal(CallKind::CreateContainer, 400, "invalid hostname: \u{1b}[31m", "Invalid"),
    refusal(CallKind::CreateContainer, 500, "json: cannot unmarshal string into Go struct field", "Invalid"),
    refusal(CallKind::CreateContainer, 500, "no space left on device", "NoSpace"),
    refusal(CallKind::CreateContainer, 403, "<html>forbidden by a proxy</html>", "Forbidden"),
    refusal(
        CallKind::StartContainer,
        500,
        "OCI runtime create failed: pipe2: too many open files: unknown",
        "StartFailed",
    ),
    refusal(CallKind::StartContainer, 500, "OCI runtime create failed: exec format error: unknown", "StartFailed"),
    refusal(CallKind::StartContainer, 500, "fork: resource temporarily unavailable", "EngineError"),
    refusal(CallKind::StartContainer, 500, "Bind for 127.0.0.1:8080 failed: port is already allocated", "PortConflict"),
    refusal(CallKind::StartContainer, 500, "listen tcp4: bind: address already in use", "PortConflict"),
    refusal(CallKind::StartContainer, 500, "bind: cannot assign requested address", "Invalid"),
    refusal(
        CallKind::StartContainer,
        500,
        "no available IPv4 addresses on this network's address pools: back",
        "AddressConflict",
    ),
    refusal(CallKind::CreateNetwork, 403, "Pool overlaps with other one on this address space", "AddressConflict"),
    refusal(
        CallKind::CreateNetwork,
        404,
        "could not find an available, non-overlapping IPv4 address pool among the defaults",
        "AddressConflict",
    ),
    refusal(CallKind::ConnectNetwork, 403, "endpoint with name web-0 already exists in network front", "NameConflict"),
    refusal(CallKind::CreateVolume, 404, "plugin \"nosuch\" not found", "NotFound"),
    refusal(CallKind::PullImage, 500, "Head \"x\": no basic auth credentials", "RegistryDenied"),
    refusal(CallKind::PullImage, 500, "denied: requested access to the resource is denied", "RegistryDenied"),
    refusal(CallKind::PullImage, 500, "manifest unknown: manifest unknown", "ImagePullFailed"),
    refusal(CallKind::PullImage, 500, "toomanyrequests: You have reached your pull rate limit", "RegistryThrottled"),
    refusal(CallKind::PullImage, 500, "received unexpected HTTP status: 503", "RegistryUnavailable"),
    refusal(CallKind::PullImage, 500, "write /var/lib/docker/tmp/x: no space left on device", "NoSpace"),
];

/// How many tries there are in the first hour: at 1 s, 3 s, 7 s … then every five minutes, each a fifth sooner or later.
const TRIES_IN_AN_HOUR: usize = 24;
/// The same where a registry asked to be left alone for a while.
const TRIES_WHERE_THROTTLED: usize = 6;

fn manifests() -> String {
    let network = |name| format!("---\napiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: {{ name: {name} }}\n");
    let volume = "---\napiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: { name: data }\n";
    let fields = ", networks: [back, front], mounts: [{ volume: data, path: /data }], ports: [{ name: http, port: 80, publish: 8080 }]";
    [network("back"), network("front"), volume.to_owned(), deployment("web", "web:1", fields)].concat()
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_tried_ever_less_often_and_done_at_last() {
    for refusal in REFUSALS {
        let engine = Arc::new(SimulatedEngine::default());
        let fault = RequestFault::Fail { status: refusal.status, text: refusal.text.to_owned() };
        let call = refusal.call;
        engine.set_request_faults(move |asked| {
            let is_meant = asked.kind == call && asked.subject != "front";
            if is_meant { fault.clone() } else { RequestFault::None }
        });
        let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &manifests());
        sleep(Duration::from_hours(1)).await;

        let shown = refusal.text.replace('\u{1b}', "\\u{1b}");
        let victim = if call == CallKind::CreateNetwork {
            "Network/back"
        } else if call == CallKind::CreateVolume {
            "Volume/data"
        } else {
            "Deployment/web"
        };
        let record = stage.record(victim);
        assert_eq!(stage.reason(victim), refusal.reason, "{shown}: {record:?}");
        assert!(record.status.last_error.as_ref().is_some_and(|error| error.contains(&shown)), "{shown}: {record:?}");
        let events = stage.core.board.events(Some(&key(victim)), 0);
        assert!(events.iter().any(|event| event.reason == refusal.reason && event.message.contains(&shown)), "{shown}");
        let most = if refusal.reason == "RegistryThrottled" { TRIES_WHERE_THROTTLED } else { TRIES_IN_AN_HOUR };
        let tries = refused(&engine);
        assert!((2..=most).contains(&tries), "{tries} tries in an hour: {shown}");

        engine.clear_faults();
        stage.core.wake(&key(victim));
        sleep(Duration::from_mins(20)).await;
        for key in ["Network/back", "Volume/data", "Deployment/web"] {
            assert_eq!(stage.reason(key), "Converged", "{key} after: {shown}");
        }
        assert_eq!(engine.all_container_ids().len(), 1, "{shown}");
    }
}

/// How many calls were refused.
fn refused(engine: &SimulatedEngine) -> usize {
    let is_refused = |record: &CallRecord| matches!(record.outcome, CallOutcome::Refused { .. });
    engine.calls().iter().filter(|record| is_refused(record)).count()
}

/// What an Engine says of a container that does not want to go.
const REFUSED_REMOVALS: &[Refusal] = &[
    refusal(
        CallKind::StopContainer,
        500,
        "cannot stop container: tried to kill container, but did not receive an exit event",
        "EngineError",
    ),
    refusal(CallKind::RemoveContainer, 409, "removal of container 0123 is already in progress", "InUse"),
    refusal(CallKind::RemoveContainer, 409, "You cannot remove a running container 0123", "InUse"),
    refusal(
        CallKind::RemoveContainer,
        500,
        "driver \"overlay2\" failed to remove root filesystem: device or resource busy",
        "EngineError",
    ),
];

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_go_is_tried_ever_less_often() {
    for refusal in REFUSED_REMOVALS {
        let engine = Arc::new(SimulatedEngine::default());
        let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
        stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
        let fault = RequestFault::Fail { status: refusal.status, text: refusal.text.to_owned() };
        let call = refusal.call;
        engine.set_request_faults(move |asked| if asked.kind == call { fault.clone() } else { RequestFault::None });
        stage.want(&(deployment("web", "web:2", "") + &deployment("other", "other:1", "")));
        sleep(Duration::from_hours(1)).await;

        assert_eq!(stage.reason("Deployment/other"), "Converged", "{}", refusal.text);
        let events = stage.core.board.events(Some(&key("Deployment/web")), 0);
        assert!(events.iter().any(|event| event.reason == refusal.reason), "{}: {events:?}", refusal.text);
        let tries = refused(&engine);
        assert!((2..=TRIES_IN_AN_HOUR).contains(&tries), "{tries} tries in an hour: {}", refusal.text);
        let serving = |id: &String| engine.peek(id).is_some_and(|detail| detail.config.image == "web:2");
        assert!(engine.all_container_ids().iter().any(serving), "{}", refusal.text);

        engine.clear_faults();
        sleep(Duration::from_mins(10)).await;
        assert_eq!(stage.reason("Deployment/web"), "Converged", "{}", refusal.text);
        assert_eq!(engine.all_container_ids().len(), 2, "{}", refusal.text);
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_went_before_the_create_is_fetched_again() {
    let engine = Arc::new(SimulatedEngine::default());
    let stage = Stage::start(Arc::clone(&engine) as Arc<dyn Engine>, &deployment("web", "web:1", ""));
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    let mut answers = 0;
    engine.set_request_faults(move |asked| {
        answers += usize::from(asked.kind == CallKind::CreateContainer);
        let is_first = asked.kind == CallKind::CreateContainer && answers == 1;
        let text = "No such image: web:1".to_owned();
        if is_first { RequestFault::Fail { status: 404, text } } else { RequestFault::None }
    });
    engine.external_remove(&engine.all_container_ids()[0]).unwrap();
    let pulls = engine.call_counts().of(CallKind::PullImage);
    let begun = stage.core.clock.now_ms();
    stage.until("it is fetched", |_| engine.call_counts().of(CallKind::PullImage) == pulls + 1).await;
    stage.until("it serves again", |stage| stage.reason("Deployment/web") == "Converged").await;
    assert_eq!(engine.call_counts().of(CallKind::CreateContainer), 3);
    assert!(stage.core.clock.now_ms() - begun < 10_000, "it was backed off from, though nothing had failed");
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_warns_of_is_told() {
    let warning = "Published ports are discarded when using host network mode";
    let engine = FaultyEngine { warnings: vec![warning.to_owned()], ..FaultyEngine::default() };
    let stage = Stage::start(Arc::new(engine), &deployment("web", "web:1", ""));
    stage.until("it serves", |stage| stage.reason("Deployment/web") == "Converged").await;
    let events = stage.core.board.events(Some(&key("Deployment/web")), 0);
    let told = events.iter().find(|event| event.reason == "EngineWarning").map(|event| event.message.as_str());
    assert_eq!(told, Some(warning));
}
