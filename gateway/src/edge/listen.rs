//! Subscriptions of modern clients: one stream that says what has changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::Response;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::body::{Body, events};
use super::entry::Entry;
use crate::catalogue::{ListKind, View};
use crate::era::Era;
use crate::hub::{Change, Hub, change_method};
use crate::relay::Caller;
use crate::session::Listening;
use crate::upstream::exchange::{Exchange, Next, Note};
use crate::upstream::http::Dress;
use crate::wire::id::Id;
use crate::wire::object::{RawObject, quote};
use crate::wire::reply::notification;
use crate::wire::sse::{event_text, one_line};

/// How many messages wait for the stream at most.
const STREAM_LENGTH: usize = 64;
/// How many resources one subscription may name, and one session may subscribe to.
pub(super) const RESOURCES_LIMIT: usize = 1_000;

/// What a client wants to hear of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Wanted {
    lists: BTreeSet<ListKind>,
    resources: BTreeSet<String>,
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

    fn to_json(&self) -> String {
        let mut fields = RawObject::default();
        for (flag, _) in FLAGS.into_iter().filter(|(_, kind)| self.lists.contains(kind)) {
            fields.set(flag, "true");
        }
        if !self.resources.is_empty() {
            let uris: Vec<String> = self.resources.iter().map(|uri| quote(uri)).collect();
            fields.set("resourceSubscriptions", format!("[{}]", uris.join(",")));
        }
        fields.to_json()
    }

    /// The notification of a change, where it is wanted, without its tag.
    fn notice(&self, change: &Change) -> Option<(&'static str, RawObject<'static>)> {
        match change {
            Change::List(kind) if self.lists.contains(kind) => Some((change_method(*kind)?, RawObject::default())),
            Change::Resource(uri) if self.resources.contains(uri) => {
                let mut params = RawObject::default();
                params.set("uri", quote(uri));
                Some(("notifications/resources/updated", params))
            }
            Change::List(_) | Change::Resource(_) => None,
        }
    }
}

/// Opens a subscription: the acknowledgement first, then what was asked for and nothing else, each with the subscription's id.
pub(super) fn subscribe(
    hub: &Arc<Hub>,
    caller: &Arc<Caller>,
    scope: Option<String>,
    view: &View,
    id: &Id,
    fields: &RawObject<'_>,
    entry: Entry,
) -> Response<Body> {
    let mut wanted = Wanted::read(fields);
    wanted.resources.retain(|uri| view.resource(uri).is_some());
    let (tx, rx) = mpsc::channel(STREAM_LENGTH);
    let tag = format!("{{\"io.modelcontextprotocol/subscriptionId\":{}}}", id.as_json());
    let mut changes = hub.changes();
    let listening: Vec<_> = wanted.resources.iter().filter_map(|uri| listen_upstream(hub, view, uri)).collect();
    let (hub, principal) = (Arc::downgrade(hub), caller.principal.clone());
    tokio::spawn(async move {
        // The subscription is in the audit once it has ended, and what listens for it ends with it.
        let (entry, _listening) = (entry, listening);
        let say = async |method: &str, mut params: RawObject<'_>| {
            params.set("_meta", tag.as_str());
            tx.send(event_text(&one_line(&notification(method, Some(&params.to_json()))))).await.is_ok()
        };
        let mut accepted = RawObject::default();
        accepted.set("notifications", wanted.to_json());
        if !say("notifications/subscriptions/acknowledged", accepted).await {
            return;
        }
        loop {
            let change = tokio::select! {
                // Cancel-safe: a receiver, and a look whether anybody reads. The order is fixed so that a run can be repeated.
                biased;
                change = changes.recv() => change,
                () = tx.closed() => break,
            };
            let due: Vec<Change> = match change {
                Ok(change) => vec![change],
                // Whoever fell behind is told that everything has changed.
                Err(RecvError::Lagged(_)) => wanted.lists.iter().map(|kind| Change::List(*kind)).collect(),
                Err(RecvError::Closed) => break,
            };
            for change in due {
                if let Some((method, params)) = wanted.notice(&change)
                    && !say(method, params).await
                {
                    return;
                }
            }
        }
        if let Some(hub) = hub.upgrade() {
            tracing::debug!(principal = %principal.name, scope = ?scope, "a subscription ended");
            entry.end(&hub, "ok", None, 0).await;
        }
    });
    events(rx)
}

/// Has a modern server tell of a resource for as long as this is kept: a subscription of its own, whose news go to all who want them.
/// `None` where the server is not modern, or not there.
pub(super) fn listen_upstream(hub: &Arc<Hub>, view: &View, uri: &str) -> Option<Listening> {
    let server = view.resource(uri).and_then(|target| hub.server(&target.server))?;
    let picked = server.pick().filter(|picked| picked.connection.era == Era::Modern)?;
    let (hub, uri) = (Arc::downgrade(hub), uri.to_owned());
    let task = tokio::spawn(async move {
        let connection = Arc::clone(&picked.connection);
        drop(picked);
        let meta = crate::connection::own_meta();
        let params = format!("{{\"notifications\":{{\"resourceSubscriptions\":[{}]}},\"_meta\":{meta}}}", quote(&uri));
        let params = RawObject::parse(&params).unwrap_or_default();
        let dress = Dress::Modern { name: None, params: &[] };
        let Exchange::Open(mut open) = connection.link.call(dress, "subscriptions/listen", params, false).await else {
            return;
        };
        while let Next::Note(note) = open.next().await {
            let Some(hub) = hub.upgrade() else { return };
            if let Note::Notification { method, .. } = note
                && method == "notifications/resources/updated"
            {
                hub.tell(Change::Resource(uri.clone()));
            }
        }
    });
    Some(Listening::new(task.abort_handle()))
}

#[cfg(test)]
mod tests {
    use super::Wanted;
    use crate::catalogue::ListKind;
    use crate::hub::Change;
    use crate::wire::object::RawObject;

    #[test]
    fn only_what_was_asked_for_is_told() {
        let fields = RawObject::parse(
            r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":false,"resourceSubscriptions":["a://b"],"more":1}}"#,
        )
        .unwrap();
        let wanted = Wanted::read(&fields);
        assert_eq!(wanted.to_json(), r#"{"toolsListChanged":true,"resourceSubscriptions":["a://b"]}"#);
        assert!(wanted.notice(&Change::List(ListKind::Tools)).is_some());
        assert!(wanted.notice(&Change::List(ListKind::Prompts)).is_none());
        assert_eq!(wanted.notice(&Change::Resource("a://b".into())).unwrap().1.to_json(), r#"{"uri":"a://b"}"#);
        assert!(wanted.notice(&Change::Resource("a://c".into())).is_none());
    }
}
