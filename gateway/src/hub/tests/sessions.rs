//! Sessions: each client hears what is its own.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::stage::{LegacyClient, Stage, nothing_more, server};
use crate::hub::InstanceHealth;
use crate::upstream::exchange::{Exchange, UpstreamError};
use crate::upstream::http::{Dress, HttpSession};
use crate::wire::object::RawObject;

#[tokio::test]
async fn sixty_four_clients_at_once_each_get_their_own_answers() {
    let stage = Stage::begin(None).await;
    let shuffled = |message: &Value, out: &super::stage::Out| {
        let (message, out) = (message.clone(), out.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..2_000))).await;
            let text = message["params"]["arguments"]["mine"].to_string();
            out.answer(&message, &json!({"content": [{"type": "text", "text": text}]}));
        });
    };
    stage.servers.run("a-1", server(false, &["mine"], shuffled));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__mine"]).await;
    let mut clients = JoinSet::new();
    for number in 0..64 {
        let client = stage.legacy(json!({})).await;
        clients.spawn(async move {
            for round in 0..20 {
                let mine = json!(format!("{number}/{round}"));
                let result = client.call_tool("a__mine", json!({"mine": mine})).await.unwrap();
                assert_eq!(result["content"][0]["text"], mine.to_string());
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert_eq!(stage.hub.sessions.len(), 64);
}

#[tokio::test]
async fn a_session_that_has_ended_or_never_was_is_not_found() {
    let stage = Stage::begin(None).await;
    let client = stage.legacy(json!({})).await;
    assert_eq!(client.call("ping", json!({}), |_, _| Value::Null).await, Ok(json!({})));
    let stranger = HttpSession { id: Some("guessed".to_owned()), version: "2025-11-25".to_owned() };
    let ask = async |session: &HttpSession| {
        client.link.call(Dress::Session(session), "ping", RawObject::default(), false).await.answer().await
    };
    assert_eq!(ask(&stranger).await, Err(UpstreamError::SessionLost));
    client.link.end(&client.session).await;
    assert_eq!(ask(&client.session).await, Err(UpstreamError::SessionLost));
    assert!(stage.hub.sessions.is_empty());
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_its_server() {
    let stage = Stage::begin(None).await;
    let heard: std::sync::Arc<std::sync::Mutex<Vec<Value>>> = std::sync::Arc::default();
    let noted = std::sync::Arc::clone(&heard);
    let hang = move |message: &Value, _: &super::stage::Out| noted.lock().unwrap().push(message.clone());
    stage.servers.run("a-1", server(true, &["hang"], hang));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__hang"]).await;
    let call = stage.modern_exchange("tools/call", json!({"name": "a__hang", "arguments": {}}));
    // Who hangs up cancels.
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    for _ in 0..300 {
        let heard = heard.lock().unwrap().clone();
        if let [call, cancel] = heard.as_slice() {
            assert_eq!(cancel["method"], "notifications/cancelled");
            assert_eq!(cancel["params"]["requestId"], call["id"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", heard.lock().unwrap());
}

#[tokio::test]
async fn an_id_that_is_under_way_is_not_taken_twice() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-1", server(true, &["hang", "echo"], |_, _| {}));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__hang"]).await;
    let client = stage.legacy(json!({})).await;
    // Each link counts its own ids from one.
    let (first, second) = (client.link.clone(), stage.link());
    let ask = async |link: &crate::upstream::http::HttpLink, name: &str| {
        let params = json!({"name": name, "arguments": {}}).to_string();
        let dress = Dress::Session(&client.session);
        link.call(dress, "tools/call", RawObject::parse(&params).unwrap(), false).await.answer().await
    };
    let number = client.call("ping", json!({}), |_, _| Value::Null).await;
    assert_eq!(number, Ok(json!({})));
    // The first link has used up two ids by now: the second catches up.
    for _ in 0..2 {
        ask(&second, "a__echo").await.unwrap();
    }
    let hanging = ask(&first, "a__hang");
    let twin = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ask(&second, "a__echo").await.unwrap()
    };
    tokio::select! {
        answer = hanging => panic!("{answer:?}"),
        twin = twin => assert!(format!("{twin:?}").contains("-32600"), "{twin:?}"),
    }
}

/// Whether a client is told more than the answer to its call.
async fn hears_talk(client: &LegacyClient) -> bool {
    let params = json!({"name": "a__talk", "arguments": {}}).to_string();
    let dress = Dress::Session(&client.session);
    let exchange = client.link.call(dress, "tools/call", RawObject::parse(&params).unwrap(), false).await;
    matches!(exchange, Exchange::Open(_))
}

#[tokio::test]
async fn what_a_server_says_to_nobody_goes_to_the_only_session_that_ever_used_it() {
    let stage = Stage::begin(None).await;
    let talk = |message: &Value, out: &super::stage::Out| {
        let params = json!({"level": "info", "data": "private"});
        out.say(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}));
        nothing_more(message, out);
    };
    stage.servers.run("a-1", server(true, &["talk"], talk));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__talk"]).await;
    let first = stage.legacy(json!({})).await;
    assert!(hears_talk(&first).await, "it is the only one");
    let second = stage.legacy(json!({})).await;
    assert!(!hears_talk(&second).await, "it could be the first one's");
    assert!(!hears_talk(&first).await);
}

#[tokio::test]
async fn what_a_server_says_after_it_was_attached_to_anew_is_not_for_whoever_comes_first_then() {
    let stage = Stage::begin(None).await;
    let talk = |message: &Value, out: &super::stage::Out| {
        // It is still about what the first session asked.
        let params = json!({"level": "info", "data": "private"});
        out.say(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}));
        nothing_more(message, out);
    };
    stage.servers.run("a-1", server(false, &["talk"], talk));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__talk"]).await;
    let (first, second) = (stage.legacy(json!({})).await, stage.legacy(json!({})).await);
    assert!(hears_talk(&first).await, "it is the only one");
    let attach_anew = async || {
        let mut health = stage.hub.health();
        let is_ready = |health: &BTreeMap<String, InstanceHealth>| health.get("a-1") == Some(&InstanceHealth::Ready);
        stage.servers.kill("a-1");
        health.wait_for(|health| !is_ready(health)).await.unwrap();
        health.wait_for(|health| is_ready(health)).await.unwrap();
    };
    attach_anew().await;
    assert!(hears_talk(&first).await, "it still is");
    attach_anew().await;
    assert!(!hears_talk(&second).await, "it is the first one's");
}
