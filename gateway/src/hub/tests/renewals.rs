//! Subscriptions that were refused, or whose server was away: they are asked for again, and nobody who holds one is forgotten.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Out, Script, Stage};
use super::subscriptions::{Reader, Told, library, restart, touch, until_told};

/// A server that refuses every subscription while it is told to, and notes that with `!`.
fn moody(base: Script, told: &Told, refuses: &Arc<AtomicBool>) -> Script {
    let (told, refuses) = (Arc::clone(told), Arc::clone(refuses));
    Arc::new(move |message: &Value, out: &Out| {
        if message["method"] == "resources/subscribe" && refuses.load(Ordering::Relaxed) {
            told.lock().unwrap().push(format!("!{}", message["params"]["uri"].as_str().unwrap()));
            return out.fail(message, -32603, "not now");
        }
        base(message, out);
    })
}

/// A legacy server that refuses to renew a subscription of a session to `x://a`.
async fn refused_renewal() -> (Stage, Told, Arc<AtomicBool>, Reader) {
    let stage = Stage::begin(None).await;
    let (told, refuses) = (Told::default(), Arc::new(AtomicBool::new(false)));
    stage.servers.run("a-1", moody(library(false, &["x://a", "x://b"], &told), &told, &refuses));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    let reader = Reader::begin(&stage).await;
    reader.subscribe("x://a").await;
    refuses.store(true, Ordering::Relaxed);
    restart(&stage, "a-1").await;
    until_told(&told, &["+x://a", "!x://a"]).await;
    refuses.store(false, Ordering::Relaxed);
    told.lock().unwrap().clear();
    (stage, told, refuses, reader)
}

#[tokio::test]
async fn a_refused_renewal_is_asked_for_again_however_often_something_else_changes() {
    let (stage, told, _, mut reader) = refused_renewal().await;
    let restless = async {
        loop {
            stage.want(&[("a", &["a-1"], &[])]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = until_told(&told, &["+x://a"]) => {}
        () = restless => {}
    }
    assert_eq!(reader.must_hear().await, "x://a", "it may have been updated meanwhile");
}

#[tokio::test]
async fn whoever_subscribes_to_what_was_refused_has_it_asked_for_anew() {
    let (stage, told, refuses, mut reader) = refused_renewal().await;
    let mut other = Reader::begin(&stage).await;
    other.subscribe("x://a").await;
    assert_eq!(*told.lock().unwrap(), ["+x://a"]);
    assert_eq!(reader.must_hear().await, "x://a", "it may have been updated meanwhile");
    while other.hears().await.is_some() {}
    touch(&stage, "a", "x://a").await;
    assert_eq!([reader.must_hear().await, other.must_hear().await], ["x://a", "x://a"]);
    refuses.store(true, Ordering::Relaxed);
    assert_eq!(other.ask("resources/subscribe", "x://b").await.unwrap_err()["code"], -32603);
}

#[tokio::test]
async fn a_renewal_tells_a_session_of_all_that_it_subscribed_to() {
    let stage = Stage::begin(None).await;
    let uris: Vec<&'static str> = (0..600).map(|number| &*format!("x://{number}").leak()).collect();
    let script = library(false, uris.clone().leak(), &Told::default());
    stage.servers.run("a-1", script);
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    let mut reader = Reader::begin(&stage).await;
    for uri in &uris {
        reader.subscribe(uri).await;
    }
    restart(&stage, "a-1").await;
    let mut heard = BTreeSet::new();
    while heard.len() < uris.len() {
        heard.insert(reader.must_hear().await);
    }
    assert!(heard.iter().all(|uri| uris.contains(&uri.as_str())), "{heard:?}");
}

#[tokio::test]
async fn a_server_that_leaves_and_comes_back_is_told_of_what_is_still_wanted() {
    let stage = Stage::begin(None).await;
    let told = Told::default();
    stage.servers.run("a-1", library(false, &["x://a"], &told));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    let mut reader = Reader::begin(&stage).await;
    reader.subscribe("x://a").await;
    stage.want(&[]);
    stage.until_listed(&[]).await;
    told.lock().unwrap().clear();
    stage.servers.run("a-1", library(false, &["x://a"], &told));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    until_told(&told, &["+x://a"]).await;
    assert_eq!(reader.must_hear().await, "x://a", "it may have been updated meanwhile");
    touch(&stage, "a", "x://a").await;
    assert_eq!(reader.must_hear().await, "x://a");
    reader.unsubscribe("x://a").await;
    until_told(&told, &["+x://a", "-x://a"]).await;
}

#[tokio::test]
async fn a_modern_server_has_a_few_streams_open_however_many_resources_are_wanted_one_by_one() {
    let stage = Stage::begin(None).await;
    let uris: Vec<&'static str> = (0..30).map(|number| &*format!("x://{number:02}").leak()).collect();
    let base = library(true, uris.clone().leak(), &Told::default());
    let open: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let seen = Arc::clone(&open);
    stage.servers.run(
        "a-1",
        Arc::new(move |message, out| {
            let params = &message["params"];
            if params["notifications"]["resourceSubscriptions"].is_array() {
                seen.lock().unwrap().insert(message["id"].to_string());
            }
            seen.lock().unwrap().remove(&params["requestId"].to_string());
            base(message, out);
        }),
    );
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    let mut reader = Reader::begin(&stage).await;
    for uri in &uris {
        reader.subscribe(uri).await;
    }
    let until_few = async {
        while open.lock().unwrap().len() > 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), until_few).await;
    assert!(waited.is_ok(), "{:?}", open.lock().unwrap());
    for uri in &uris {
        touch(&stage, "a", uri).await;
        assert_eq!(reader.must_hear().await, *uri);
    }
    assert_eq!(reader.ask("resources/unsubscribe", uris[0]).await, Ok(json!({})));
    touch(&stage, "a", uris[0]).await;
    assert_eq!(reader.hears().await, None);
}
