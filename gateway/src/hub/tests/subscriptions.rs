//! Subscriptions to resources: one to the server for all who want it, and updates to those alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::stage::{LegacyClient, Out, Script, Stage, nothing_more, server};
use crate::config::{Endpoint, Instance, Isolation, ServerConfig, Sharing};
use crate::hub::InstanceHealth;
use crate::upstream::exchange::{Exchange, Next, Note, OpenExchange};

/// How long nothing may come for it to count as nothing.
const QUIET: Duration = Duration::from_millis(300);
/// No test waits longer.
const IN_TIME: Duration = Duration::from_mins(1);

/// What a server was told: `+` and `-` before the URIs.
pub(super) type Told = Arc<Mutex<Vec<String>>>;

/// A server with these resources, which it tells of to those who subscribed once its tool `touch` is called. It refuses `x://refused`.
pub(super) fn library(is_modern: bool, uris: &'static [&'static str], told: &Told) -> Script {
    let told = Arc::clone(told);
    let open: Mutex<Vec<(Value, BTreeSet<String>)>> = Mutex::default();
    let subscribed: Mutex<BTreeSet<String>> = Mutex::default();
    let touch = |_: &Value, _: &Out| {};
    let base = server(is_modern, &["echo", "touch"], touch);
    Arc::new(move |message, out| {
        let params = &message["params"];
        let uri = params["uri"].as_str().or(params["arguments"]["uri"].as_str()).unwrap_or_default().to_owned();
        let note = |sign: &str, uri: &str| told.lock().unwrap().push(format!("{sign}{uri}"));
        let answer = |mut result: Value| {
            if is_modern {
                for (key, value) in [("resultType", "complete"), ("cacheScope", "private")] {
                    result[key] = value.into();
                }
            }
            out.answer(message, &result);
        };
        let capabilities = json!({"tools": {}, "resources": {"subscribe": true}});
        match message["method"].as_str().unwrap_or_default() {
            "server/discover" if is_modern => {
                answer(json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities}));
            }
            "initialize" if !is_modern => answer(
                json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "s", "version": "1"}}),
            ),
            "resources/list" => {
                let listed: Vec<Value> = uris.iter().map(|uri| json!({"uri": uri, "name": uri})).collect();
                answer(json!({"resources": listed}));
            }
            "resources/templates/list" => answer(json!({"resourceTemplates": []})),
            "resources/subscribe" if uri == "x://refused" => out.fail(message, -32002, "not this one"),
            "resources/subscribe" if !is_modern => {
                note("+", &uri);
                subscribed.lock().unwrap().insert(uri);
                answer(json!({}));
            }
            "resources/unsubscribe" if !is_modern => {
                note("-", &uri);
                subscribed.lock().unwrap().remove(&uri);
                answer(json!({}));
            }
            "subscriptions/listen" if is_modern => {
                let wanted = params["notifications"]["resourceSubscriptions"].as_array().cloned().unwrap_or_default();
                let taken: BTreeSet<String> = wanted.iter().map(|uri| uri.as_str().unwrap().to_owned()).collect();
                let taken: BTreeSet<String> = taken.into_iter().filter(|uri| uri != "x://refused").collect();
                for uri in &taken {
                    note("+", uri);
                }
                let meta = json!({"io.modelcontextprotocol/subscriptionId": message["id"]});
                let params = json!({"notifications": {"resourceSubscriptions": taken}, "_meta": meta});
                out.say(
                    &json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}),
                );
                open.lock().unwrap().push((message["id"].clone(), taken));
            }
            "notifications/cancelled" => {
                let ended = &params["requestId"];
                open.lock().unwrap().retain(|(id, uris)| {
                    if id == ended {
                        for uri in uris {
                            note("-", uri);
                        }
                    }
                    id != ended
                });
            }
            "tools/call" if params["name"] == "touch" => {
                // As many URIs as there are words.
                for uri in uri.split(' ') {
                    let ids: Vec<Value> = open
                        .lock()
                        .unwrap()
                        .iter()
                        .filter(|(_, uris)| uris.contains(uri))
                        .map(|(id, _)| id.clone())
                        .collect();
                    let legacy = subscribed.lock().unwrap().contains(uri).then_some(Value::Null);
                    for id in ids.into_iter().chain(legacy) {
                        let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
                        let params = json!({"uri": uri, "_meta": meta});
                        out.say(
                            &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params}),
                        );
                    }
                }
                answer(json!({"content": []}));
            }
            _ => base(message, out),
        }
    })
}

/// A client of 2025-11-25 with its stream.
pub(super) struct Reader {
    client: LegacyClient,
    stream: Receiver<Note>,
}

impl Reader {
    pub(super) async fn begin(stage: &Stage) -> Self {
        let client = stage.legacy(json!({})).await;
        let stream = client.link.listen_on(&client.session).await.unwrap().unwrap();
        Self { client, stream }
    }

    pub(super) async fn ask(&self, method: &str, uri: &str) -> Result<Value, Value> {
        self.client.call(method, json!({"uri": uri}), |_, _| Value::Null).await
    }

    pub(super) async fn subscribe(&self, uri: &str) {
        assert_eq!(self.ask("resources/subscribe", uri).await, Ok(json!({})));
    }

    pub(super) async fn unsubscribe(&self, uri: &str) {
        assert_eq!(self.ask("resources/unsubscribe", uri).await, Ok(json!({})));
    }

    /// The resource that it is told of next.
    pub(super) async fn must_hear(&mut self) -> String {
        self.hears_within(IN_TIME).await.expect("it is told of something")
    }

    /// The resource that it is told of next; none where it is told of nothing.
    pub(super) async fn hears(&mut self) -> Option<String> {
        self.hears_within(QUIET).await
    }

    async fn hears_within(&mut self, time: Duration) -> Option<String> {
        loop {
            let note = timeout(time, self.stream.recv()).await.ok()??;
            if let Some(uri) = updated(&note) {
                return Some(uri);
            }
        }
    }
}

fn updated(note: &Note) -> Option<String> {
    let Note::Notification { method, params } = note else { return None };
    let params: Value = serde_json::from_str(params.as_deref().unwrap_or("{}")).unwrap();
    (method == "notifications/resources/updated").then(|| params["uri"].as_str().unwrap().to_owned())
}

/// A client of 2026-07-28 with its stream.
struct Listener(OpenExchange);

impl Listener {
    /// Begins, and gives what was acknowledged.
    async fn begin(stage: &Stage, uris: &[&str]) -> (Self, Value) {
        let params = json!({"notifications": {"resourceSubscriptions": uris}});
        let Exchange::Open(mut open) = stage.modern_exchange("subscriptions/listen", params).await else {
            panic!("no stream")
        };
        let Next::Note(Note::Notification { method, params }) = open.next().await else { panic!("no note") };
        assert_eq!(method, "notifications/subscriptions/acknowledged");
        let params: Value = serde_json::from_str(&params.unwrap()).unwrap();
        (Self(open), params["notifications"]["resourceSubscriptions"].clone())
    }

    async fn must_hear(&mut self) -> String {
        self.hears_within(IN_TIME).await.expect("it is told of something")
    }

    async fn hears(&mut self) -> Option<String> {
        self.hears_within(QUIET).await
    }

    async fn hears_within(&mut self, time: Duration) -> Option<String> {
        match timeout(time, self.0.next()).await.ok()? {
            Next::Note(note) => updated(&note),
            Next::Answer(answer) => panic!("{answer:?}"),
        }
    }
}

pub(super) async fn touch(stage: &Stage, server: &str, uri: &str) {
    let params = json!({"name": format!("{server}__touch"), "arguments": {"uri": uri}});
    stage.modern("tools/call", params).await.unwrap();
}

/// Waits until a server was told this.
pub(super) async fn until_told(told: &Told, expected: &[&str]) {
    for _ in 0..1_000 {
        if *told.lock().unwrap() == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?} instead of {expected:?}", told.lock().unwrap());
}

const OLD: &[&str] = &["old://a", "both://a"];
const NEW: &[&str] = &["new://a", "both://a", "x://refused"];

/// Servers of both eras, of which `new` is the first that has `both://a`, and what each is told.
async fn two_servers() -> (Stage, Told, Told) {
    let stage = Stage::begin(None).await;
    let (old, new) = (Told::default(), Told::default());
    stage.servers.run("old-1", library(false, OLD, &old));
    stage.servers.run("new-1", library(true, NEW, &new));
    stage.want(&[("new", &["new-1"], &[]), ("old", &["old-1"], &[])]);
    stage.until_listed(&["new__echo", "new__touch", "old__echo", "old__touch"]).await;
    (stage, old, new)
}

#[tokio::test]
async fn an_update_reaches_those_who_subscribed_and_nobody_else_whatever_they_speak() {
    let (stage, _, _) = two_servers().await;
    for (server, uri) in [("old", "old://a"), ("new", "new://a")] {
        let (mut reader, mut other, mut idle) =
            (Reader::begin(&stage).await, Reader::begin(&stage).await, Reader::begin(&stage).await);
        reader.subscribe(uri).await;
        other.subscribe("both://a").await;
        let (mut listener, taken) = Listener::begin(&stage, &[uri, "there://is/none"]).await;
        assert_eq!(taken, json!([uri]));
        let (mut deaf, _) = Listener::begin(&stage, &["both://a"]).await;
        touch(&stage, server, uri).await;
        assert_eq!(reader.must_hear().await, uri, "{server}, to a session");
        assert_eq!(listener.must_hear().await, uri, "{server}, to a stream");
        for heard in
            [reader.hears().await, listener.hears().await, other.hears().await, idle.hears().await, deaf.hears().await]
        {
            assert_eq!(heard, None, "{server}");
        }
    }
}

#[tokio::test]
async fn an_update_of_another_server_that_has_the_same_uri_is_for_nobody_who_subscribed_to_the_first() {
    let (stage, old, new) = two_servers().await;
    let mut reader = Reader::begin(&stage).await;
    reader.subscribe("both://a").await;
    assert_eq!(*new.lock().unwrap(), ["+both://a"]);
    // Some tell of whatever happens to them.
    stage.servers.run(
        "old-1",
        Arc::new({
            let base = library(false, OLD, &old);
            move |message: &Value, out: &Out| {
                if message["params"]["name"] == "touch" {
                    let params = json!({"uri": "both://a"});
                    out.say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params}));
                }
                base(message, out);
            }
        }),
    );
    restart(&stage, "old-1").await;
    touch(&stage, "old", "both://a").await;
    assert_eq!(reader.hears().await, None);
    touch(&stage, "new", "both://a").await;
    assert_eq!(reader.must_hear().await, "both://a");
}

#[tokio::test]
async fn the_server_is_told_of_the_first_who_subscribes_and_of_the_last_who_does_not_any_more() {
    let (stage, old, new) = two_servers().await;
    for (server, uri, told) in [("old", "old://a", &old), ("new", "new://a", &new)] {
        let (subscribe, unsubscribe) = (format!("+{uri}"), format!("-{uri}"));
        let (mut first, second) = (Reader::begin(&stage).await, Reader::begin(&stage).await);
        first.subscribe(uri).await;
        second.subscribe(uri).await;
        let (mut listener, _) = Listener::begin(&stage, &[uri]).await;
        second.unsubscribe(uri).await;
        second.unsubscribe(uri).await;
        touch(&stage, server, uri).await;
        assert_eq!(first.must_hear().await, uri, "{server}");
        assert_eq!(listener.must_hear().await, uri, "{server}");
        assert_eq!(*told.lock().unwrap(), [subscribe.as_str()], "{server}");
        // A session that ends unsubscribes, and so does a stream that is closed.
        first.client.link.end(&first.client.session).await;
        drop(listener);
        until_told(told, &[&subscribe, &unsubscribe]).await;
    }
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_is_none() {
    for is_modern in [true, false] {
        let stage = Stage::begin(None).await;
        let told = Told::default();
        let id = if is_modern { "new-1" } else { "old-1" };
        stage.servers.run(id, library(is_modern, NEW, &told));
        stage.want(&[("a", &[id], &[])]);
        stage.until_ready(id).await;
        stage.until_listed(&["a__echo", "a__touch"]).await;
        let reader = Reader::begin(&stage).await;
        let error = reader.ask("resources/subscribe", "x://refused").await.unwrap_err();
        assert_eq!(error["code"], if is_modern { -32602 } else { -32002 }, "{error}");
        let session = stage.hub.sessions.all().pop().unwrap();
        assert!(crate::session::ClientSession::lock(&session.subscriptions).is_empty());
        let (_listener, taken) = Listener::begin(&stage, &["x://refused", "new://a"]).await;
        assert_eq!(taken, json!(["new://a"]));
        assert_eq!(*told.lock().unwrap(), ["+new://a"]);
    }
}

pub(super) async fn restart(stage: &Stage, id: &str) {
    let mut health = stage.hub.health();
    stage.servers.kill(id);
    let gone = health.wait_for(|health| health.get(id) != Some(&InstanceHealth::Ready));
    timeout(IN_TIME, gone).await.unwrap().unwrap();
    stage.until_ready(id).await;
}

#[tokio::test]
async fn subscriptions_are_renewed_at_an_instance_that_was_restarted_or_took_over() {
    for is_modern in [true, false] {
        let stage = Stage::begin(None).await;
        let uris: &[&str] = &["x://a", "x://b"];
        let (first, second) = (Told::default(), Told::default());
        stage.servers.run("a-1", library(is_modern, uris, &first));
        stage.servers.run("a-2", library(is_modern, uris, &second));
        stage.want(&[("a", &["a-1"], &[])]);
        stage.until_listed(&["a__echo", "a__touch"]).await;
        let (mut reader, idle) = (Reader::begin(&stage).await, Reader::begin(&stage).await);
        reader.subscribe("x://a").await;
        idle.subscribe("x://b").await;
        idle.unsubscribe("x://b").await;
        let (mut listener, _) = Listener::begin(&stage, &["x://a"]).await;
        until_told(&first, &["+x://a", "+x://b", "-x://b"]).await;
        first.lock().unwrap().clear();
        // Its next run knows nothing of it.
        stage.servers.run("a-1", library(is_modern, uris, &first));
        restart(&stage, "a-1").await;
        until_told(&first, &["+x://a"]).await;
        stage.want(&[("a", &["a-2"], &["a-1"])]);
        until_told(&second, &["+x://a"]).await;
        stage.want(&[("a", &["a-2"], &[])]);
        // It may have been updated while nobody listened, which is told: once for each renewal.
        for _ in 0..2 {
            assert_eq!([reader.must_hear().await, listener.must_hear().await], ["x://a", "x://a"]);
        }
        assert_eq!((reader.hears().await, listener.hears().await), (None, None));
        touch(&stage, "a", "x://a").await;
        assert_eq!(reader.must_hear().await, "x://a");
        assert_eq!(listener.must_hear().await, "x://a");
    }
}

#[tokio::test]
async fn who_has_an_instance_to_himself_hears_of_its_resources_alone() {
    let stage = Stage::begin(None).await;
    let told = [Told::default(), Told::default(), Told::default()];
    let ids = ["a-0", "a-1", "a-2"];
    let instance = |id: &&str| Instance::of(id, Endpoint::Stdio);
    for (id, told) in ids.iter().zip(&told) {
        stage.servers.run(id, library(false, &["x://a"], told));
    }
    let sharing = Sharing { isolation: Isolation::PerSession, max: 8, is_on_demand: true, idle: None };
    let instances = ids.iter().map(instance).collect();
    stage.hub.set_servers(vec![ServerConfig { sharing, ..ServerConfig::of("a", instances) }]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    let (mut first, mut second) = (Reader::begin(&stage).await, Reader::begin(&stage).await);
    first.subscribe("x://a").await;
    second.subscribe("x://a").await;
    let count = told.iter().filter(|told| *told.lock().unwrap() == ["+x://a"]).count();
    assert_eq!(count, 2, "{told:?}");
    let params = json!({"name": "a__touch", "arguments": {"uri": "x://a"}});
    first.client.call("tools/call", params, |_, _| Value::Null).await.unwrap();
    assert_eq!(first.must_hear().await, "x://a");
    assert_eq!(second.hears().await, None);
    let sharing = Sharing { isolation: Isolation::PerCall, ..sharing };
    let instances = ids.iter().map(instance).collect();
    stage.hub.set_servers(vec![ServerConfig { sharing, ..ServerConfig::of("a", instances) }]);
    let error = second.ask("resources/subscribe", "x://a").await.unwrap_err();
    assert_eq!(error["code"], -32601, "{error}");
    assert_eq!(Listener::begin(&stage, &["x://a"]).await.1, Value::Null);
}

#[tokio::test]
async fn whoever_falls_behind_is_told_of_all_that_he_missed() {
    for is_modern in [true, false] {
        let stage = Stage::begin(None).await;
        let uris: Vec<&'static str> = (0..300).map(|number| &*format!("x://{number}").leak()).collect();
        let all: BTreeSet<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        stage.servers.run("a-1", library(is_modern, uris.clone().leak(), &Told::default()));
        stage.want(&[("a", &["a-1"], &[])]);
        stage.until_listed(&["a__echo", "a__touch"]).await;
        let mut reader = Reader::begin(&stage).await;
        for uri in &uris[..200] {
            reader.subscribe(uri).await;
        }
        let (mut listener, taken) = Listener::begin(&stage, &uris).await;
        assert_eq!(taken.as_array().unwrap().len(), 300);
        // All at once are more than wait anywhere.
        touch(&stage, "a", &uris.join(" ")).await;
        let (mut first, mut second) = (BTreeSet::new(), BTreeSet::new());
        while first.len() < 200 {
            first.insert(reader.must_hear().await);
        }
        while second.len() < 300 {
            second.insert(listener.must_hear().await);
        }
        assert!(first.iter().all(|uri| uris[..200].contains(&uri.as_str())), "{is_modern}: {first:?}");
        assert_eq!(second, all, "{is_modern}");
    }
}

#[tokio::test]
async fn a_gateway_that_ends_ends_subscriptions_with_a_result() {
    let stage = Stage::begin(None).await;
    stage.servers.run("a-1", server(true, &["echo"], nothing_more));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo"]).await;
    let (mut listener, _) = Listener::begin(&stage, &[]).await;
    stage.end().await;
    let Next::Answer(Ok(answer)) = timeout(IN_TIME, listener.0.next()).await.unwrap() else { panic!("no answer") };
    let crate::upstream::exchange::Answer::Result(result) = answer else { panic!("{answer:?}") };
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["resultType"], "complete");
    assert!(result["_meta"]["io.modelcontextprotocol/subscriptionId"].is_number(), "{result}");
}

#[tokio::test]
async fn an_update_that_a_flood_of_others_drowns_is_told_though_lists_are_being_gathered_meanwhile() {
    let stage = Stage::begin(None).await;
    let base = library(false, &["x://a"], &Told::default());
    let script = move |message: &Value, out: &Out| {
        if message["params"]["name"] != "touch" {
            return base(message, out);
        }
        out.say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"}));
        out.answer(message, &json!({"content": []}));
        let out = out.clone();
        tokio::spawn(async move {
            // The gateway waits for further changes of lists by now.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let note =
                |uri| json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}});
            out.say_all(std::iter::repeat_n("x://nobodys", 300).chain(["x://a"]).map(note));
        });
    };
    stage.servers.run("a-1", Arc::new(script));
    stage.want(&[("a", &["a-1"], &[])]);
    stage.until_listed(&["a__echo", "a__touch"]).await;
    let mut reader = Reader::begin(&stage).await;
    reader.subscribe("x://a").await;
    touch(&stage, "a", "").await;
    assert_eq!(reader.must_hear().await, "x://a");
}
