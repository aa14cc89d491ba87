//! What takes over from an instance that serves is compared with what is approved before it does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::stage::{Out, Stage, saying, server};
use crate::config::PinPolicy;
use crate::hub::InstanceHealth;
use crate::pin::{Approval, Doubt, DoubtKind};

/// Has the server `a` serve `add` and `who` with all of it approved, and a new instance that lists these tools and answers.
async fn updated(pin: PinPolicy, tools: &[&str]) -> Stage {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-old", server(true, &["add", "who"], saying("old")));
    stage.want_pinned("a", &["a-old"], PinPolicy::Warn);
    stage.until_listed(&["a__add", "a__who"]).await;
    stage.servers.run("a-new", server(true, tools, saying("new")));
    stage.want_succession("a", &["a-new"], &["a-old"], pin);
    let mut health = stage.hub.health();
    let is_ready = health.wait_for(|health| health.get("a-new") == Some(&InstanceHealth::Ready));
    timeout(Duration::from_secs(10), is_ready).await.unwrap().unwrap();
    stage
}

async fn who(stage: &Stage) -> Value {
    let result = stage.modern("tools/call", json!({"name": "a__who", "arguments": {}})).await;
    result.unwrap()["content"][0]["text"].clone()
}

fn approve_all(stage: &Stage) -> Option<usize> {
    let doubts: Arc<Vec<Doubt>> = stage.hub.doubts().borrow().clone();
    let definitions = doubts.iter().map(|doubt| (doubt.tool.clone(), doubt.hash.clone())).collect();
    stage.hub.approve(&Approval { server: "a".to_owned(), definitions })
}

#[tokio::test]
async fn where_pins_are_enforced_what_lists_something_else_takes_over_once_it_is_approved() {
    let stage = updated(PinPolicy::Enforce, &["who", "more"]).await;
    assert!(stage.hub.taking_over().borrow().contains("a-new"), "it must not replace the old one");
    assert_eq!(stage.tools().await, ["a__add", "a__who"]);
    assert_eq!(who(&stage).await, "old");
    let doubts: Arc<Vec<Doubt>> = stage.hub.doubts().borrow().clone();
    let [more, add] = doubts.as_slice() else { panic!("{doubts:?}") };
    assert!(matches!(more.kind, DoubtKind::New(_)) && more.tool == "more" && more.is_waiting, "{more:?}");
    assert!(add.kind == DoubtKind::Removed && add.tool == "add" && add.is_waiting, "{add:?}");
    assert_eq!(approve_all(&stage), Some(2));
    assert!(!stage.hub.taking_over().borrow().contains("a-new"));
    assert_eq!(stage.tools().await, ["a__more", "a__who"]);
    assert_eq!(who(&stage).await, "new");
    // The old one is stopped.
    stage.want_succession("a", &["a-new"], &[], PinPolicy::Enforce);
    assert!(stage.hub.doubts().borrow().is_empty());
    assert_eq!(stage.tools().await, ["a__more", "a__who"]);
}

#[tokio::test]
async fn what_lists_what_is_approved_takes_over_by_itself_and_so_does_anything_where_pins_only_warn() {
    let stage = updated(PinPolicy::Enforce, &["add", "who"]).await;
    assert!(stage.hub.taking_over().borrow().is_empty());
    assert_eq!(who(&stage).await, "new");
    let stage = updated(PinPolicy::Warn, &["who", "more"]).await;
    assert!(stage.hub.taking_over().borrow().is_empty());
    assert_eq!(who(&stage).await, "new");
    assert_eq!(stage.tools().await, ["a__more", "a__who"]);
}

#[tokio::test]
async fn without_an_older_one_that_answers_what_is_not_approved_is_hidden() {
    let stage = updated(PinPolicy::Enforce, &["who", "more"]).await;
    stage.want_succession("a", &["a-new"], &[], PinPolicy::Enforce);
    assert_eq!(who(&stage).await, "new");
    assert_eq!(stage.tools().await, ["a__who"]);
    let doubts: Arc<Vec<Doubt>> = stage.hub.doubts().borrow().clone();
    assert!(doubts.len() == 2 && doubts.iter().all(|doubt| !doubt.is_waiting), "{doubts:?}");
    let status = stage.hub.status();
    assert_eq!((status.tools, status.hidden), (2, 1));
}

#[tokio::test]
async fn while_the_one_that_serves_is_reached_anew_nothing_goes_to_the_one_that_waits() {
    let stage = Stage::begin(None).await;
    // A call of `add` is never answered.
    let silent = |message: &Value, out: &Out| {
        if message["params"]["name"] == "who" {
            saying("old")(message, out);
        }
    };
    stage.servers.run("a-old", server(true, &["add", "who"], silent));
    stage.want_pinned("a", &["a-old"], PinPolicy::Warn);
    stage.until_listed(&["a__add", "a__who"]).await;
    stage.servers.run("a-new", server(true, &["who", "more"], saying("new")));
    stage.want_succession("a", &["a-new"], &["a-old"], PinPolicy::Enforce);
    let mut health = stage.hub.health();
    let is_ready = health.wait_for(|health| health.get("a-new") == Some(&InstanceHealth::Ready));
    timeout(Duration::from_secs(10), is_ready).await.unwrap().unwrap();
    for _ in 0..3 {
        let add = stage.modern("tools/call", json!({"name": "a__add", "arguments": {}}));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stage.servers.kill("a-old");
        };
        let (broken, ()) = tokio::join!(add, kill);
        broken.unwrap_err();
        let mut tries = 0;
        // Lost more than once, it is not waited for.
        while let Err(error) = stage.modern("tools/call", json!({"name": "a__who", "arguments": {}})).await {
            assert!(error["message"].as_str().unwrap_or_default().contains("not ready") && tries < 200, "{error}");
            tries += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(who(&stage).await, "old");
        assert_eq!(stage.tools().await, ["a__add", "a__who"]);
        assert!(stage.hub.taking_over().borrow().contains("a-new"));
    }
}
