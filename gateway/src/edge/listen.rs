//! Subscriptions of modern clients: one stream that says what has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Response;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::Way;
use super::body::{Body, events};
use super::entry::Entry;
use super::post::Posted;
use crate::catalogue::{ListKind, View};
use crate::hub::{Change, Hub, change_method};
use crate::relay::Caller;
use crate::server::{NoInstance, Server};
use crate::subscription::{RESOURCES_LIMIT, Subscription};
use crate::upstream::exchange::Answer;
use crate::wire::id::Id;
use crate::wire::object::{RawObject, quote};
use crate::wire::reply::{notification, result_reply};
use crate::wire::sse::{event_text, one_line};

/// How many messages wait for the stream at most.
const STREAM_LENGTH: usize = 64;
/// How long servers have to say whether they tell of their resources. Of those that say nothing the client is told once they do.
const CLAIM_TIME: Duration = Duration::from_secs(5);

/// What a client wants to hear of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    lists: BTreeSet<ListKind>,
    resources: BTreeSet<String>,
}

/// What a client hears of.
#[derive(Debug, Default)]
struct Heard {
    lists: BTreeSet<ListKind>,
    resources: BTreeMap<String, Subscription>,
}

const FLAGS: [(&str, ListKind); 3] = [
    ("toolsListChanged", ListKind::Tools),
    ("promptsListChanged", ListKind::Prompts),
    ("resourcesListChanged", ListKind::Resources),
];

impl Wanted {
    fn read(fields: &RawObject<'_>) -> Self {
        let wanted = fields.get("notifications").and_then(RawObject::parse).unwrap_or_default();
        let lists =
            FLAGS.into_iter().filter(|(flag, _)| wanted.get(flag) == Some("true")).map(|(_, kind)| kind).collect();
        let resources: Vec<String> =
            wanted.get("resourceSubscriptions").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Self { lists, resources: resources.into_iter().take(RESOURCES_LIMIT).collect() }
    }

    /// Whose the resources are. What the client may not see, or is a secret, is nobody's.
    fn servers(&self, hub: &Hub, view: &View) -> Vec<(Arc<Server>, Vec<String>)> {
        let secrets = hub.secrets();
        let mut by_server: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
        for uri in self.resources.iter().filter(|uri| !secrets.is_refused(uri)) {
            if let Some(target) = view.resource(uri) {
                by_server.entry(target.server).or_default().push(uri.clone());
            }
        }
        by_server.into_iter().filter_map(|(name, uris)| Some((hub.server(&name)?, uris))).collect()
    }
}

/// What the audit says of the resources that were asked for.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    /// Whose they are, where they are all one server's.
    server: Option<Arc<str>>,
    /// Nothing else was asked for, and the rules withhold all of them.
    is_denied: bool,
}

impl Summary {
    fn of(wanted: &Wanted, view: &View) -> Self {
        let mut servers = BTreeSet::new();
        let mut is_denied = wanted.lists.is_empty() && !wanted.resources.is_empty();
        for uri in &wanted.resources {
            let seen = view.resource(uri);
            let withheld = if seen.is_none() { view.withheld(ListKind::Resources, uri) } else { None };
            is_denied &= withheld.is_some();
            servers.insert(seen.or(withheld).map(|target| target.server));
        }
        let only = servers.pop_first().flatten().filter(|_| servers.is_empty());
        Self { server: only, is_denied }
    }
}

impl Heard {
    fn to_json(&self) -> String {
        let mut fields = RawObject::default();
        for (flag, _) in FLAGS.into_iter().filter(|(_, kind)| self.lists.contains(kind)) {
            fields.set(flag, "true");
        }
        if !self.resources.is_empty() {
            let uris: Vec<String> = self.resources.keys().map(|uri| quote(uri)).collect();
            fields.set("resourceSubscriptions", format!("[{}]", uris.join(",")));
        }
        fields.to_json()
    }

    /// The notifications of a change, where it is heard of, without their tag.
    fn notices(&self, change: &Change) -> Vec<(&'static str, RawObject<'static>)> {
        match change {
            Change::List(kind) if self.lists.contains(kind) => {
                change_method(*kind).map(|method| (method, RawObject::default())).into_iter().collect()
            }
            Change::Resources(watched) => {
                let subscribed = self.resources.values().filter(|known| watched.contains(&known.watched));
                subscribed.map(|known| updated(&known.watched.uri)).collect()
            }
            Change::List(_) => Vec::new(),
        }
    }

    /// What whoever fell behind is told: that everything has changed.
    fn missed(&self) -> Vec<(&'static str, RawObject<'static>)> {
        let lists = self.lists.iter().flat_map(|kind| self.notices(&Change::List(*kind)));
        lists.chain(self.resources.keys().map(|uri| updated(uri))).collect()
    }
}

fn updated(uri: &str) -> (&'static str, RawObject<'static>) {
    let mut params = RawObject::default();
    params.set("uri", quote(uri));
    ("notifications/resources/updated", params)
}

/// Opens a subscription: the acknowledgement first, then what was asked for and nothing else, each with the subscription's id. Where the
/// gateway ends, its result is the last.
pub(super) fn subscribe(
    posted: Posted<'_>,
    caller: Arc<Caller>,
    view: &View,
    id: Id,
    fields: &RawObject<'_>,
    mut entry: Entry,
) -> Response<Body> {
    let Posted { hub, scope, way: Way { mut end, .. }, .. } = posted;
    let wanted = Wanted::read(fields);
    let servers = wanted.servers(&hub, view);
    let summary = Summary::of(&wanted, view);
    if !wanted.resources.is_empty() {
        let uris: Vec<&str> = wanted.resources.iter().map(String::as_str).collect();
        entry.is_for_all(summary.server.as_deref(), &uris.join(" "));
    }
    let (tx, rx) = mpsc::channel(STREAM_LENGTH);
    // From before anything is subscribed to: nothing is missed after it.
    let mut changes = hub.changes();
    tokio::spawn(async move {
        // The subscription is in the audit once it has ended, and what is heard ends with it. One that hears nothing is from the beginning; to
        // the client it looks like one to what is not there.
        let entry = if summary.is_denied {
            entry.end(&hub, "denied", None, 0).await;
            None
        } else {
            Some(entry)
        };
        let weak = Arc::downgrade(&hub);
        drop(hub);
        let tag = format!("{{\"io.modelcontextprotocol/subscriptionId\":{}}}", id.as_json());
        let say = async |method: &str, mut params: RawObject<'_>| {
            params.set("_meta", tag.as_str());
            tx.send(event_text(&one_line(&notification(method, Some(&params.to_json()))))).await.is_ok()
        };
        let claiming = join_all(servers.into_iter().map(|(server, uris)| claim(server, &caller, uris)));
        let claimed = tokio::select! {
            // Cancelled on purpose: whoever hung up wants nothing. The order is fixed so that a run can be repeated.
            biased;
            claimed = claiming => claimed,
            () = tx.closed() => return,
        };
        let subscriptions = claimed.into_iter().flatten();
        let resources = subscriptions.map(|subscription| (subscription.watched.uri.clone(), subscription)).collect();
        let heard = Heard { lists: wanted.lists, resources };
        let mut accepted = RawObject::default();
        accepted.set("notifications", heard.to_json());
        if !say("notifications/subscriptions/acknowledged", accepted).await {
            return;
        }
        loop {
            let change = tokio::select! {
                // Cancel-safe: two receivers, and a look whether anybody reads. The order is fixed so that a run can be repeated.
                biased;
                () = until_ending(&mut end) => {
                    let result = format!("{{\"resultType\":\"complete\",\"_meta\":{tag}}}");
                    // Whoever hung up does not need it.
                    drop(tx.send(event_text(&one_line(&result_reply(&id, &result)))).await);
                    break;
                }
                change = changes.recv() => change,
                () = tx.closed() => break,
            };
            let due = match change {
                Ok(change) => heard.notices(&change),
                Err(RecvError::Lagged(_)) => heard.missed(),
                Err(RecvError::Closed) => break,
            };
            for (method, params) in due {
                if !say(method, params).await {
                    return;
                }
            }
        }
        if let (Some(hub), Some(entry)) = (weak.upgrade(), entry) {
            tracing::debug!(principal = %caller.principal.name, scope = ?scope, "a subscription ended");
            entry.end(&hub, "ok", None, 0).await;
        }
    });
    events(rx)
}

/// Waits for the end of the gateway. Cancel-safe.
async fn until_ending(end: &mut watch::Receiver<bool>) {
    if end.wait_for(|is_ending| *is_ending).await.is_err() {
        // Nobody would say so.
        std::future::pending::<()>().await;
    }
}

/// Has a server tell of resources. Those that it refuses are left out; those that it cannot be asked for now it is asked for later.
async fn claim(server: Arc<Server>, caller: &Caller, uris: Vec<String>) -> Vec<Subscription> {
    let Some(place) = server.place_of(caller) else { return Vec::new() };
    let until = Instant::now() + CLAIM_TIME;
    let instance = match timeout_at(until, server.acquire(caller)).await {
        Ok(Ok(instance)) => Some(instance),
        Ok(Err(NoInstance::Busy(_))) => return Vec::new(),
        Ok(Err(NoInstance::NotReady(_))) | Err(_) => None,
    };
    if let Some(instance) = &instance {
        instance.ask_anew(&uris.iter().cloned().collect());
    }
    let subscriptions: Vec<_> = uris.iter().map(|uri| server.subscriptions().add(place.clone(), uri)).collect();
    let Some(instance) = instance else { return subscriptions };
    let mut heard = Vec::new();
    for subscription in subscriptions {
        let taken = timeout_at(until, instance.until_taken(&subscription.watched.uri)).await;
        if !matches!(taken, Ok(Ok(Answer::Error(_)))) {
            heard.push(subscription);
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::{Heard, Wanted};
    use crate::catalogue::ListKind;
    use crate::hub::Change;
    use crate::subscription::{Place, Subscriptions};
    use crate::wire::object::RawObject;

    #[test]
    fn only_what_was_asked_for_is_told() {
        let fields = RawObject::parse(
            r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a://b"],"more":1}}"#,
        )
        .unwrap();
        let Wanted { lists, resources } = Wanted::read(&fields);
        let (server, other) = (Subscriptions::new("s"), Subscriptions::new("other"));
        let subscribe = |uri: &String| (uri.clone(), server.add(Place::Shared, uri));
        let heard = Heard { lists, resources: resources.iter().map(subscribe).collect() };
        assert_eq!(heard.to_json(), r#"{"toolsListChanged":true,"resourceSubscriptions":["a://b"]}"#);
        let told = |change: Change| -> Vec<String> {
            heard.notices(&change).iter().map(|(method, params)| format!("{method} {}", params.to_json())).collect()
        };
        assert_eq!(told(Change::List(ListKind::Tools)), ["notifications/tools/list_changed {}"]);
        assert!(told(Change::List(ListKind::Prompts)).is_empty());
        let updated = |of: &std::sync::Arc<Subscriptions>, place: Place, uri: &str| {
            told(Change::Resources(std::sync::Arc::new([of.add(place, uri).watched.clone()].into())))
        };
        assert_eq!(updated(&server, Place::Shared, "a://b"), [r#"notifications/resources/updated {"uri":"a://b"}"#]);
        assert!(updated(&server, Place::Shared, "a://c").is_empty());
        assert!(updated(&server, Place::Own("ann".to_owned()), "a://b").is_empty());
        assert!(updated(&other, Place::Shared, "a://b").is_empty());
        assert_eq!(heard.missed().len(), 2, "who fell behind is told all of it");
    }
}
