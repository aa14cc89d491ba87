//! What a server asks of a client, and what the client says of it before it answers.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::stage::{LegacyClient, Out, Script, Stage, nothing_more, server};
use crate::config::{Endpoint, Instance, Isolation, ServerConfig, Sharing};
use crate::upstream::exchange::{Exchange, Next, Note};
use crate::upstream::http::Dress;
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::reply::result_reply;

/// A legacy server whose tool `ask` asks the client, with a token of progress, and gives back what it heard until it had the answer.
fn asking() -> Script {
    let (call, heard) = (Mutex::new(Value::Null), Mutex::new(Vec::new()));
    let base = server(false, &["ask"], nothing_more);
    Arc::new(move |message: &Value, out: &Out| {
        let method = message["method"].as_str().unwrap_or_default();
        if method == "tools/call" {
            *call.lock().unwrap() = message.clone();
            let params = json!({"message": "who?", "_meta": {"progressToken": "theirs", "vendor": 1}});
            out.say(&json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params}));
        } else if message["id"] == "q" {
            let text = Value::from(heard.lock().unwrap().drain(..).collect::<Vec<_>>()).to_string();
            out.answer(&call.lock().unwrap(), &json!({"content": [{"type": "text", "text": text}]}));
        } else if method.starts_with("notifications/") && method != "notifications/initialized" {
            heard.lock().unwrap().push(json!([method, message["params"]]));
        } else {
            base(message, out);
        }
    })
}

/// What the server heard until it had the answer of a client that says this before it answers; `TOKEN` is the token that it was given.
async fn heard(client: &LegacyClient, said: &[(&str, Value)]) -> Value {
    let params = json!({"name": "a__ask", "arguments": {}}).to_string();
    let dress = Dress::Session(&client.session);
    let exchange = client.link.call(dress, "tools/call", RawObject::parse(&params).unwrap(), false).await;
    let Exchange::Open(mut open) = exchange else { panic!("not asked") };
    loop {
        match open.next().await {
            Next::Note(Note::Request { id, params, .. }) => answer(client, &id, &params.unwrap(), said).await,
            Next::Note(note) => panic!("{note:?}"),
            Next::Answer(Ok(crate::upstream::exchange::Answer::Result(result))) => {
                let result: Value = serde_json::from_str(&result).unwrap();
                return serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
            }
            Next::Answer(answer) => panic!("{answer:?}"),
        }
    }
}

async fn answer(client: &LegacyClient, id: &Id, params: &str, said: &[(&str, Value)]) {
    let params: Value = serde_json::from_str(params).unwrap();
    let token = &params["_meta"]["progressToken"];
    assert!(token.is_number() && params["_meta"]["vendor"] == 1, "it is the gateway's own: {params}");
    for (method, params) in said {
        let params = params.to_string().replace("\"TOKEN\"", &token.to_string());
        client.link.notify(dress_of(client), method, Some(&params)).await.unwrap();
    }
    client.link.respond(&client.session, result_reply(id, r#"{"action":"decline"}"#)).await.unwrap();
}

fn dress_of(client: &LegacyClient) -> Dress<'_> {
    Dress::Session(&client.session)
}

#[tokio::test]
async fn progress_of_what_a_server_asked_goes_to_that_server_and_what_is_not_known_to_none() {
    let stage = Stage::begin(None).await;
    let ids = ["a-1", "a-2"];
    for id in ids {
        stage.servers.run(id, asking());
    }
    let instance = |id: &&str| Instance::of(id, Endpoint::Stdio);
    let sharing = Sharing { isolation: Isolation::PerSession, max: 8, is_on_demand: true, idle: None };
    let instances = ids.iter().map(instance).collect();
    stage.hub.set_servers(vec![ServerConfig { sharing, ..ServerConfig::of("a", instances) }]);
    stage.until_listed(&["a__ask"]).await;
    let (ann, bob) = (stage.legacy(json!({"elicitation": {}})).await, stage.legacy(json!({"elicitation": {}})).await);
    let said = [
        ("notifications/progress", json!({"progressToken": "TOKEN", "progress": 1, "vendor": [1]})),
        ("notifications/progress", json!({"progressToken": 999, "progress": 2})),
        ("notifications/progress", json!({"progressToken": "theirs", "progress": 3})),
        ("notifications/vendor", json!({"x": 1})),
        ("notifications/roots/list_changed", json!({})),
    ];
    let expected = json!([
        ["notifications/progress", {"progressToken": "theirs", "progress": 1, "vendor": [1]}],
        ["notifications/roots/list_changed", {}],
    ]);
    assert_eq!(heard(&ann, &said).await, expected);
    assert_eq!(heard(&bob, &said).await, expected);
    let denied = stage.hub.metrics.denied.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(denied, 6, "two that are for nothing under way, and one that is not known, of each");
    // Once it is answered there is nothing to report on.
    let late = json!({"progressToken": 1, "progress": 9}).to_string();
    ann.link.notify(dress_of(&ann), "notifications/progress", Some(&late)).await.unwrap();
    assert_eq!(heard(&ann, &[]).await, json!([]));
}
