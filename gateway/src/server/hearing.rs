//! What a server says of itself without being asked: that its lists have changed.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::connection::{Connection, own_meta};
use crate::era::Era;
use crate::upstream::exchange::{Exchange, Next, Note};
use crate::upstream::http::Dress;
use crate::upstream::link::Link;
use crate::upstream::stdio::ServerEvent;
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::reply::{RpcError, error_reply, result_reply};

/// How long a server has to open the stream of its changes.
const LISTEN_TIME: Duration = Duration::from_secs(3);

/// Two streams of what a server says as one, which ends with the first.
pub(super) fn merge(
    mut first: mpsc::Receiver<ServerEvent>,
    second: Option<mpsc::Receiver<ServerEvent>>,
) -> mpsc::Receiver<ServerEvent> {
    let Some(mut second) = second else { return first };
    let (tx, rx) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                // Cancel-safe: two receivers, and a look whether anybody listens. The order is fixed so that a run can be repeated.
                biased;
                event = first.recv() => event,
                Some(event) = second.recv() => Some(event),
                () = tx.closed() => return,
            };
            let Some(event) = event else { return };
            if tx.send(event).await.is_err() {
                return;
            }
        }
    });
    rx
}

/// As [`listen`], but no longer than a server may take for it: one that says nothing before its first event is not waited for.
pub(super) async fn listen_soon(connection: &Connection) -> Option<mpsc::Receiver<ServerEvent>> {
    timeout(LISTEN_TIME, listen(connection)).await.ok().flatten()
}

/// Listens to what a server says of its lists, as its era has it; `None` where it offers nothing of the kind.
async fn listen(connection: &Connection) -> Option<mpsc::Receiver<ServerEvent>> {
    let mut notes = match (&connection.link, connection.era) {
        (Link::Http(link), Era::Legacy) => link.listen_on(&connection.session).await.ok()??,
        (link, Era::Modern) => {
            let kinds = [
                ("tools", "toolsListChanged"),
                ("prompts", "promptsListChanged"),
                ("resources", "resourcesListChanged"),
            ];
            let wanted: Vec<String> = kinds
                .into_iter()
                .filter(|(capability, _)| connection.has(capability))
                .map(|(_, flag)| format!("\"{flag}\":true"))
                .collect();
            let params = format!("{{\"notifications\":{{{}}},\"_meta\":{}}}", wanted.join(","), own_meta());
            let params = RawObject::parse(&params)?;
            let dress = Dress::Modern { name: None, params: &[] };
            match link.call(dress, "subscriptions/listen", params, false).await {
                Exchange::Done(_) => return None,
                Exchange::Open(mut open) => {
                    let (tx, rx) = mpsc::channel(64);
                    tokio::spawn(async move {
                        // Ends with the subscription, or when nobody listens any more.
                        loop {
                            tokio::select! {
                                // Cancel-safe: both only look. The order is fixed so that a run can be repeated.
                                biased;
                                next = open.next() => match next {
                                    Next::Note(note) => if tx.send(note).await.is_err() { return },
                                    Next::Answer(_) => return,
                                },
                                () = tx.closed() => return,
                            }
                        }
                    });
                    rx
                }
            }
        }
        (Link::Stdio(_), Era::Legacy) => return None,
    };
    let own = match &connection.link {
        Link::Http(link) => Some((link.clone(), connection.session.clone())),
        Link::Stdio(_) => None,
    };
    let (tx, rx) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let note = tokio::select! {
                // Cancel-safe: a receiver, and a look whether anybody listens. The order is fixed so that a run can be repeated.
                biased;
                note = notes.recv() => note,
                // What is listened to would else be kept for as long as it is silent.
                () = tx.closed() => return,
            };
            let Some(note) = note else { return };
            let (method, params) = match note {
                Note::Notification { method, params } => (method, params),
                Note::Request { id, method, .. } => {
                    if let Some((link, session)) = &own {
                        // A server that is gone needs no answer.
                        drop(link.respond(session, answer_alone(&id, &method)).await);
                    }
                    continue;
                }
            };
            if let Some(event) = event_of(&method, params.as_deref())
                && tx.send(event).await.is_err()
            {
                return;
            }
        }
    });
    Some(rx)
}

/// What a notification says of the server itself.
fn event_of(method: &str, params: Option<&str>) -> Option<ServerEvent> {
    if method == "notifications/resources/updated" {
        let params = params.and_then(RawObject::parse)?;
        return Some(ServerEvent::ResourceUpdated(params.get_str("uri")?.into_owned()));
    }
    let kind = method.strip_prefix("notifications/")?.strip_suffix("/list_changed")?;
    Some(ServerEvent::ListChanged(kind.to_owned()))
}

/// The answer to what a server asks in the gateway's own session, where there is no client to ask.
fn answer_alone(id: &Id, method: &str) -> String {
    if method == "ping" {
        return result_reply(id, "{}");
    }
    let error = RpcError::new(RpcError::METHOD_NOT_FOUND, format!("`{method}` has no client to go to here"));
    error_reply(Some(id), &error.to_json())
}
