//! Instances that a session or a call has to itself, and instances that are started when they are needed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stage::{Out, Script, Servers, Stage, nothing_more, server};
use crate::config::{CallLimits, Endpoint, Instance, Isolation, ServerConfig, Sharing};
use crate::hub::{Demand, Hub};

/// Every instance that was ever started.
type Started = Arc<Mutex<Vec<String>>>;
/// Those that run.
type Running = Arc<Mutex<BTreeSet<String>>>;

/// Runs instances of the server `a` as the hub needs them, as whoever keeps containers does.
struct Runner {
    started: Started,
    running: Running,
    _task: JoinSet<()>,
}

impl Runner {
    /// `spare`: how many are ready beyond those that are in use.
    fn begin(stage: &Stage, sharing: Sharing, spare: usize, script: impl Fn() -> Script + Send + 'static) -> Self {
        let (started, running) = (Started::default(), Running::default());
        let (hub, servers) = (Arc::clone(&stage.hub), stage.servers.clone());
        let mut task = JoinSet::new();
        let shared = (Arc::clone(&started), Arc::clone(&running));
        task.spawn(async move {
            loop {
                let demand = hub.look_at_demands().get("a").copied().unwrap_or_default();
                keep(&hub, &servers, sharing, total(sharing, spare, demand), &script, &shared);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { started, running, _task: task }
    }

    fn started(&self) -> usize {
        self.started.lock().unwrap().len()
    }

    /// Waits until so many run.
    async fn until_running(&self, count: usize) {
        for _ in 0..1_000 {
            if self.running.lock().unwrap().len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?} run, and not {count}", self.running.lock().unwrap());
    }
}

fn total(sharing: Sharing, spare: usize, demand: Demand) -> usize {
    let needed = match sharing.isolation {
        Isolation::Shared => usize::from(demand.waiting > 0 || demand.is_in_use),
        Isolation::PerSession | Isolation::PerCall => demand.leased + spare.max(demand.waiting),
    };
    needed.max(usize::from(!demand.is_known)).min(sharing.max)
}

fn keep(
    hub: &Hub,
    servers: &Servers,
    sharing: Sharing,
    total: usize,
    script: &impl Fn() -> Script,
    (started, running): &(Started, Running),
) {
    let mut running = running.lock().unwrap();
    running.retain(|id| {
        let is_kept = !hub.leases.is_used_up(id);
        if !is_kept {
            servers.remove(id);
        }
        is_kept
    });
    while running.len() < total {
        let mut started = started.lock().unwrap();
        let id = format!("a-{}", started.len());
        started.push(id.clone());
        servers.run(&id, script());
        running.insert(id);
    }
    while running.len() > total
        && let Some(idle) = running.iter().find(|id| hub.leases.is_fresh(id)).cloned()
    {
        running.remove(&idle);
        servers.remove(&idle);
    }
    let instance = |id: &String| Instance {
        id: id.clone(),
        run_ms: None,
        is_current: true,
        is_leaving: false,
        endpoint: Endpoint::Stdio,
    };
    let calls = CallLimits { timeout: Duration::from_secs(5), ..CallLimits::default() };
    let config = ServerConfig { calls, sharing, ..ServerConfig::of("a", running.iter().map(instance).collect()) };
    hub.set_servers(vec![config]);
}

fn alone(isolation: Isolation, max: usize) -> Sharing {
    Sharing { isolation, max, is_on_demand: true, idle: None }
}

/// A server that counts its calls.
fn counter() -> Script {
    let count = AtomicU64::new(0);
    server(false, &["count"], move |message, out| {
        if message.get("id").is_some() {
            let text = (count.fetch_add(1, Ordering::Relaxed) + 1).to_string();
            out.answer(message, &json!({"content": [{"type": "text", "text": text}]}));
        }
    })
}

fn text(result: Result<Value, Value>) -> String {
    result.unwrap()["content"][0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_session_has_an_instance_of_its_own_that_nobody_has_after_it() {
    let stage = Stage::begin(None).await;
    let runner = Runner::begin(&stage, alone(Isolation::PerSession, 8), 1, counter);
    stage.until_listed(&["a__count"]).await;
    let (one, other) = (stage.legacy(json!({})).await, stage.legacy(json!({})).await);
    for expected in ["1", "2", "3"] {
        assert_eq!(text(one.call_tool("a__count", json!({})).await), expected);
    }
    assert_eq!(text(other.call_tool("a__count", json!({})).await), "1");
    runner.until_running(3).await;
    one.link.end(&one.session).await;
    runner.until_running(2).await;
    let third = stage.legacy(json!({})).await;
    assert_eq!(text(third.call_tool("a__count", json!({})).await), "1");
    assert_eq!(text(other.call_tool("a__count", json!({})).await), "2");
    other.link.end(&other.session).await;
    third.link.end(&third.session).await;
    runner.until_running(1).await;
    assert!(runner.started() <= 5, "{:?}", runner.started.lock().unwrap());
}

#[tokio::test]
async fn a_session_is_told_at_once_when_there_may_be_no_more() {
    let stage = Stage::begin(None).await;
    let _runner = Runner::begin(&stage, alone(Isolation::PerSession, 1), 1, counter);
    stage.until_listed(&["a__count"]).await;
    let (one, other) = (stage.legacy(json!({})).await, stage.legacy(json!({})).await);
    assert_eq!(text(one.call_tool("a__count", json!({})).await), "1");
    let refused = other.call_tool("a__count", json!({})).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("each with a session of its own"), "{refused}");
    one.link.end(&one.session).await;
    for _ in 0..1_000 {
        if other.call_tool("a__count", json!({})).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the instance of a session that has ended is not made up for");
}

#[tokio::test]
async fn each_call_has_an_instance_of_its_own() {
    let stage = Stage::begin(None).await;
    let runner = Runner::begin(&stage, alone(Isolation::PerCall, 2), 0, counter);
    stage.until_listed(&["a__count"]).await;
    let client = stage.legacy(json!({})).await;
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        let params = json!({"name": "a__count", "arguments": {}});
        calls.spawn(stage.modern_exchange("tools/call", params).await.answer());
    }
    for answer in calls.join_all().await {
        assert!(format!("{answer:?}").contains(r#"\"text\":\"1\""#), "{answer:?}");
    }
    assert_eq!(text(client.call_tool("a__count", json!({})).await), "1");
    runner.until_running(0).await;
    assert!(runner.started() >= 7);
}

#[tokio::test]
async fn what_is_started_when_it_is_needed_lists_its_tools_while_it_does_not_run() {
    let stage = Stage::begin(None).await;
    let sharing =
        Sharing { isolation: Isolation::Shared, max: 1, is_on_demand: true, idle: Some(Duration::from_millis(200)) };
    let runner = Runner::begin(&stage, sharing, 0, counter);
    stage.until_listed(&["a__count"]).await;
    runner.until_running(0).await;
    assert_eq!(stage.tools().await, ["a__count"]);
    let client = stage.legacy(json!({})).await;
    assert_eq!(text(client.call_tool("a__count", json!({})).await), "1");
    assert_eq!(text(client.call_tool("a__count", json!({})).await), "2");
    runner.until_running(0).await;
    assert_eq!(text(client.call_tool("a__count", json!({})).await), "1");
    assert_eq!(runner.started(), 3);
}

/// A modern server with one resource, which counts how often that is listened to.
fn watched(listened: &Arc<AtomicU64>) -> Script {
    let listened = Arc::clone(listened);
    let tools = server(true, &["echo"], nothing_more);
    Arc::new(move |message, out| {
        let with = |mut result: Value| {
            result["resultType"] = "complete".into();
            out.answer(message, &result);
        };
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" => {
                with(json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}, "resources": {}}}));
            }
            "resources/list" => with(json!({"resources": [{"uri": "test://watched", "name": "watched"}]})),
            "subscriptions/listen" if message["params"]["notifications"]["resourceSubscriptions"].is_array() => {
                listened.fetch_add(1, Ordering::Relaxed);
            }
            "resources/templates/list" => with(json!({"resourceTemplates": []})),
            _ => tools(message, out),
        }
    })
}

#[tokio::test]
async fn a_client_subscribes_to_a_resource_of_a_modern_server_that_is_not_there_yet() {
    let stage = Stage::begin(None).await;
    let sharing =
        Sharing { isolation: Isolation::Shared, max: 1, is_on_demand: true, idle: Some(Duration::from_millis(200)) };
    let listened = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&listened);
    let runner = Runner::begin(&stage, sharing, 0, move || watched(&count));
    stage.until_listed(&["a__echo"]).await;
    let client = stage.legacy(json!({})).await;
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        runner.until_running(0).await;
        let answer = client.call(method, json!({"uri": "test://watched"}), |_, _| Value::Null).await;
        assert_eq!(answer, Ok(json!({})), "{method}");
        for _ in 0..1_000 {
            if listened.load(Ordering::Relaxed) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(listened.load(Ordering::Relaxed), 1, "{method}");
    }
}

#[tokio::test]
async fn a_session_whose_instance_dies_loses_its_calls_and_gets_another() {
    let stage = Stage::begin(None).await;
    let runner = Runner::begin(&stage, alone(Isolation::PerSession, 8), 1, || {
        server(false, &["echo", "hang"], |_: &Value, _: &Out| {})
    });
    stage.until_listed(&["a__echo", "a__hang"]).await;
    let client = Arc::new(stage.legacy(json!({})).await);
    text(client.call_tool("a__echo", json!({})).await);
    let own = runner.running.lock().unwrap().iter().find(|id| stage.hub.leases.is_taken(id)).cloned().unwrap();
    let hanging = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.call_tool("a__hang", json!({})).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    stage.servers.remove(&own);
    let lost = hanging.await.unwrap().unwrap_err();
    assert!(lost["message"].as_str().unwrap().contains("gone"), "{lost}");
    text(client.call_tool("a__echo", json!({})).await);
    assert!(stage.hub.leases.is_used_up(&own));
}

#[tokio::test]
async fn a_server_over_standard_streams_asks_the_client_whose_it_is_alone() {
    let stage = Stage::begin(None).await;
    let asking = || -> Script {
        let (asked, may_ask) = (Arc::new(Mutex::new(Value::Null)), Arc::new(Mutex::new(false)));
        let base = server(false, &["ask"], nothing_more);
        Arc::new(move |message: &Value, out: &Out| {
            if message["method"] == "initialize" {
                *may_ask.lock().unwrap() = message["params"]["capabilities"].get("elicitation").is_some();
            }
            if message["method"] == "tools/call" && *may_ask.lock().unwrap() {
                *asked.lock().unwrap() = message.clone();
                out.say(&json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "who?"}}));
            } else if message["id"] == "q" {
                let text = message["result"]["content"]["name"].clone();
                out.answer(&asked.lock().unwrap(), &json!({"content": [{"type": "text", "text": text}]}));
            } else {
                base(message, out);
            }
        })
    };
    let _runner = Runner::begin(&stage, alone(Isolation::PerSession, 8), 1, asking);
    stage.until_listed(&["a__ask"]).await;
    let can = stage.legacy(json!({"elicitation": {}})).await;
    let cannot = stage.legacy(json!({})).await;
    let params = json!({"name": "a__ask", "arguments": {}});
    let told = can
        .call("tools/call", params.clone(), |method, params| {
            assert_eq!((method, params["message"].as_str()), ("elicitation/create", Some("who?")));
            json!({"action": "accept", "content": {"name": "ann"}})
        })
        .await;
    assert_eq!(text(told), "ann");
    let refused = cannot.call("tools/call", params, |_, _| panic!("it is not asked")).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn whoever_stops_waiting_needs_nothing_any_more() {
    let stage = Stage::begin(None).await;
    let runner = Runner::begin(&stage, alone(Isolation::PerCall, 4), 0, counter);
    stage.until_listed(&["a__count"]).await;
    runner.until_running(0).await;
    for _ in 0..20 {
        // Dropped in the middle: whoever hangs up cancels.
        let params = json!({"name": "a__count", "arguments": {}});
        drop(tokio::time::timeout(Duration::from_millis(3), stage.modern("tools/call", params)).await);
    }
    // That somebody hung up is seen a moment later.
    let mut last = Demand::default();
    for _ in 0..1_000 {
        last = stage.hub.look_at_demands()["a"];
        if (last.leased, last.waiting) == (0, 0) {
            return runner.until_running(0).await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{last:?}");
}

#[tokio::test]
async fn whoever_waits_for_a_server_that_is_removed_is_told_at_once() {
    let stage = Stage::begin(None).await;
    let sharing = Sharing { idle: Some(Duration::from_millis(100)), ..alone(Isolation::Shared, 1) };
    let runner = Runner::begin(&stage, sharing, 0, counter);
    stage.until_listed(&["a__count"]).await;
    runner.until_running(0).await;
    // Nobody starts anything any more.
    drop(runner);
    let calls = CallLimits { timeout: Duration::from_hours(1), ..CallLimits::default() };
    stage.hub.set_servers(vec![ServerConfig { calls, sharing, ..ServerConfig::of("a", Vec::new()) }]);
    let client = stage.legacy(json!({})).await;
    let waiting = tokio::spawn(async move { client.call_tool("a__count", json!({})).await });
    while stage.hub.look_at_demands()["a"].waiting == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stage.hub.set_servers(Vec::new());
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("not there any more"), "{refused}");
}
