//! Instances that are about to be stopped: what is under way on them ends there, and what is new waits for what comes in their place.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::stage::{Out, Stage, nothing_more, saying, server};
use crate::config::{CallLimits, Endpoint, Instance, ServerConfig};

/// Has the server `a` with these instances, each with whether it is about to be stopped.
fn want(stage: &Stage, instances: &[(&str, bool)], is_being_replaced: bool) {
    let instance = |(id, is_leaving): &(&str, bool)| Instance {
        id: (*id).to_owned(),
        run_ms: None,
        is_current: true,
        is_leaving: *is_leaving,
        endpoint: Endpoint::Stdio,
    };
    let calls = CallLimits { timeout: Duration::from_secs(30), ..CallLimits::default() };
    let config = ServerConfig::of("a", instances.iter().map(instance).collect());
    stage.hub.set_servers(vec![ServerConfig { calls, is_being_replaced, ..config }]);
}

/// A server whose calls say that they have begun, and are answered once they are released.
struct Held {
    begun: Arc<Notify>,
    release: Arc<Notify>,
}

impl Held {
    fn run(stage: &Stage, id: &str) -> Self {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell_begun, released) = (Arc::clone(&begun), Arc::clone(&release));
        let slow = move |message: &Value, out: &Out| {
            let (message, out, released) = (message.clone(), out.clone(), Arc::clone(&released));
            tell_begun.notify_one();
            tokio::spawn(async move {
                released.notified().await;
                saying("old")(&message, &out);
            });
        };
        stage.servers.run(id, server(true, &["who"], slow));
        Self { begun, release }
    }
}

async fn until_leaving(stage: &Stage, expected: &[(&str, bool)]) {
    let expected = expected.iter().map(|(id, is_busy)| ((*id).to_owned(), *is_busy)).collect();
    let mut leaving = stage.hub.leaving();
    let told = leaving.wait_for(|leaving| **leaving == expected);
    timeout(Duration::from_secs(10), told).await.expect("it is told").unwrap();
}

#[tokio::test]
async fn what_is_about_to_be_stopped_gets_no_new_call_and_new_calls_wait_for_what_comes_in_its_place() {
    let stage = Stage::begin(None).await;
    let old = Held::run(&stage, "a-old");
    want(&stage, &[("a-old", false)], false);
    stage.until_listed(&["a__who"]).await;
    let who = || async {
        let result = stage.modern("tools/call", json!({"name": "a__who", "arguments": {}})).await;
        result.unwrap()["content"][0]["text"].clone()
    };
    let updating = async {
        old.begun.notified().await;
        want(&stage, &[("a-old", true)], true);
        until_leaving(&stage, &[("a-old", true)]).await;
        let replacing = async {
            // The second call waits by now.
            let mut demands = stage.hub.demands();
            let waits = demands.wait_for(|demands| demands["a"].waiting == 1);
            timeout(Duration::from_secs(10), waits).await.expect("it waits").unwrap();
            old.release.notify_one();
            until_leaving(&stage, &[("a-old", false)]).await;
            // It is stopped, and the new one is started.
            want(&stage, &[], true);
            stage.servers.remove("a-old");
            stage.servers.run("a-new", server(true, &["who"], saying("new")));
            want(&stage, &[("a-new", false)], true);
        };
        tokio::join!(who(), replacing).0
    };
    let (first, second) = tokio::join!(who(), updating);
    assert_eq!([first, second], ["old", "new"]);
    until_leaving(&stage, &[]).await;
}

#[tokio::test]
async fn what_waits_for_a_replacement_that_does_not_come_any_more_is_refused() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-old", server(true, &["who"], nothing_more));
    want(&stage, &[("a-old", false)], false);
    stage.until_listed(&["a__who"]).await;
    want(&stage, &[("a-old", true)], true);
    let giving_up = async {
        let mut demands = stage.hub.demands();
        let waits = demands.wait_for(|demands| demands["a"].waiting == 1);
        timeout(Duration::from_secs(10), waits).await.expect("it waits").unwrap();
        want(&stage, &[], false);
    };
    let call = stage.modern("tools/call", json!({"name": "a__who", "arguments": {}}));
    let (refused, ()) = tokio::join!(call, giving_up);
    assert_eq!(refused.unwrap_err()["code"], -31001);
}

#[tokio::test]
async fn one_that_goes_on_after_all_is_given_calls_again() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-old", server(true, &["who"], saying("old")));
    want(&stage, &[("a-old", false)], false);
    stage.until_listed(&["a__who"]).await;
    want(&stage, &[("a-old", true)], true);
    until_leaving(&stage, &[("a-old", false)]).await;
    want(&stage, &[("a-old", false)], false);
    let result = stage.modern("tools/call", json!({"name": "a__who", "arguments": {}})).await.unwrap();
    assert_eq!(result["content"][0]["text"], "old");
}

#[tokio::test]
async fn calls_on_an_instance_of_a_server_that_is_removed_are_told_of_until_they_end() {
    let stage = Stage::begin(None).await;
    let old = Held::run(&stage, "a-old");
    want(&stage, &[("a-old", false)], false);
    stage.until_listed(&["a__who"]).await;
    let removing = async {
        old.begun.notified().await;
        stage.hub.set_servers(Vec::new());
        until_leaving(&stage, &[("a-old", true)]).await;
        old.release.notify_one();
    };
    let (answer, ()) = tokio::join!(stage.modern("tools/call", json!({"name": "a__who", "arguments": {}})), removing);
    assert_eq!(answer.unwrap()["content"][0]["text"], "old");
    until_leaving(&stage, &[]).await;
}
