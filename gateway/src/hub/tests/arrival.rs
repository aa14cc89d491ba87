//! Calls that wait for an instance that may be reached at any moment, as after a restart of the gateway, and those that do not.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::stage::{Out, Stage, nothing_more, server};
use crate::config::{GatewayConfig, ServerConfig};
use crate::era::Era;
use crate::hub::{Hub, HubParts, InstanceHealth};
use crate::policy::Principal;
use crate::relay::Caller;
use crate::server::NoInstance;

/// A hub that listed `a__echo` before it was started again, and knows no instance of it yet.
async fn started_again() -> (tempfile::TempDir, Stage) {
    let directory = tempfile::tempdir().unwrap();
    let servers = {
        let stage = Stage::begin(Some(directory.path())).await;
        stage.servers.run("a-1", server(true, &["echo"], nothing_more));
        stage.want(&[("a", &["a-1"], &[])]);
        stage.until_listed(&["a__echo"]).await;
        stage.servers.clone()
    };
    let stage = Stage::begin_with(Some(directory.path()), servers).await;
    stage.want(&[("a", &[], &[])]);
    (directory, stage)
}

/// Calls, and meanwhile does something once the call waits.
async fn call_during(stage: &Stage, meanwhile: impl Future<Output = ()>) -> Result<Value, Value> {
    let meanwhile = async {
        while stage.hub.look_at_demands()["a"].waiting == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        meanwhile.await;
    };
    let (answer, ()) = tokio::join!(stage.modern("tools/call", json!({"name": "a__echo", "arguments": {}})), meanwhile);
    answer
}

#[tokio::test]
async fn a_call_after_a_start_waits_until_the_gateway_is_told_of_an_instance_and_has_reached_it() {
    let (_directory, stage) = started_again().await;
    let answer = call_during(&stage, async { stage.want(&[("a", &["a-1"], &[])]) }).await;
    assert_eq!(answer.unwrap()["content"][0]["text"], "{}");
}

#[tokio::test]
async fn a_call_after_a_start_fails_as_soon_as_it_is_known_that_the_instance_cannot_be_reached() {
    let (_directory, stage) = started_again().await;
    stage.servers.remove("a-1");
    let answer = call_during(&stage, async { stage.want(&[("a", &["a-1"], &[])]) }).await;
    let error = answer.unwrap_err();
    assert_eq!((&error["code"], &error["message"]), (&json!(-31001), &json!("`a` is not ready: try again later")));
}

#[tokio::test]
async fn a_call_waits_for_an_instance_that_is_lost_and_reached_again() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-1", server(true, &["echo"], nothing_more));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo"]).await;
    stage.servers.kill("a-1");
    let mut health = stage.hub.health();
    health.wait_for(|health| matches!(health["a-1"], InstanceHealth::Failed(_))).await.unwrap();
    let answer = call_during(&stage, async {}).await;
    assert_eq!(answer.unwrap()["content"][0]["text"], "{}");
}

fn anybody() -> Caller {
    Caller {
        principal: Principal::anonymous(),
        era: Era::Modern,
        session: None,
        capabilities: "{}".into(),
        client_info: "{}".into(),
        log_level: None,
    }
}

/// How a call ends of a server without an instance, and how long it waited, `after` so long.
async fn call_without_instance(hub: &Hub, after: Duration) -> (NoInstance, Duration) {
    tokio::time::sleep(after).await;
    let server = hub.server("a").unwrap();
    let begun = Instant::now();
    let error = match server.pick_now() {
        Ok(_) => server.acquire(&anybody()).await.unwrap_err(),
        Err(error) => error,
    };
    (error, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_there_may_be_an_instance_that_the_gateway_was_not_told_of() {
    let config = GatewayConfig::on(([127, 0, 0, 1], 0).into());
    let attach = Arc::new(super::stage::Servers::default());
    let hub = Hub::open(HubParts { config, attach, state_dir: None, leases: Arc::default() }).unwrap();
    hub.set_servers(vec![ServerConfig::of("a", Vec::new())]);
    let not_ready = NoInstance::NotReady("is not ready: try again later".to_owned());
    for (after, expected) in [(4, 6), (0, 0), (100, 0)] {
        let (error, waited) = call_without_instance(&hub, Duration::from_secs(after)).await;
        // The clock of timers has steps of a millisecond.
        assert_eq!((error, waited.as_millis() / 10), (not_ready.clone(), expected * 100), "after {after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_ten_seconds_for_an_instance_that_says_nothing() {
    let config = GatewayConfig::on(([127, 0, 0, 1], 0).into());
    let servers = super::stage::Servers::default();
    servers.run("a-1", Arc::new(|_: &Value, _: &Out| {}));
    let attach = Arc::new(servers);
    let hub = Hub::open(HubParts { config, attach, state_dir: None, leases: Arc::default() }).unwrap();
    let instance = crate::config::Instance {
        id: "a-1".to_owned(),
        run_ms: None,
        is_current: true,
        is_leaving: false,
        endpoint: crate::config::Endpoint::Stdio,
    };
    hub.set_servers(vec![ServerConfig::of("a", vec![instance])]);
    let (_, waited) = call_without_instance(&hub, Duration::ZERO).await;
    assert!(waited > Duration::ZERO && waited <= Duration::from_millis(10_005), "{waited:?}");
}
