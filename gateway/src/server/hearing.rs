//! What a server says of itself without being asked: that its lists have changed, or its resources were updated.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::connection::{Connection, own_meta};
use crate::era::Era;
use crate::upstream::exchange::{Exchange, Next, Note, OpenExchange, UpstreamError};
use crate::upstream::http::Dress;
use crate::upstream::link::Link;
use crate::upstream::stdio::ServerEvent;
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::reply::{RpcError, error_reply, result_reply};

/// How long a server has to open the stream of its changes.
const LISTEN_TIME: Duration = Duration::from_secs(3);
/// The first and the longest pause before what cannot be opened, or ends, is opened again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How long it must have lasted for those before it to be forgotten.
const QUIET_TIME: Duration = Duration::from_secs(20);

/// Two streams of what a server says as one, which ends with the first.
pub(super) fn merge(
    mut first: mpsc::Receiver<ServerEvent>,
    mut second: mpsc::Receiver<ServerEvent>,
) -> mpsc::Receiver<ServerEvent> {
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

/// Listens to what a server says of itself for as long as anybody receives it. What cannot be opened now, or ends, is opened again later; the
/// first opening is waited for, but no longer than a server may take for it: one that says nothing before its first event is not.
pub(super) async fn listen(connection: Arc<Connection>) -> mpsc::Receiver<ServerEvent> {
    let (tx, events) = mpsc::channel(16);
    let (tell_open, opened) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            // Cancelled on purpose: what is listened to would else be kept for as long as it is silent. The order is fixed so that a run
            // can be repeated.
            biased;
            () = tx.closed() => {}
            () = keep_listening(&connection, &tx, tell_open) => {}
        }
    });
    // It may come to nothing, or later.
    drop(timeout(LISTEN_TIME, opened).await);
    events
}

/// Listens until there is nothing of the kind, or the session is lost.
async fn keep_listening(connection: &Connection, events: &mpsc::Sender<ServerEvent>, tell_open: oneshot::Sender<()>) {
    let (first, longest) = PAUSES;
    let (mut pause, mut tell_open) = (first, Some(tell_open));
    loop {
        let begun = Instant::now();
        let gap = Arc::new(Notify::new());
        match open(connection, &gap).await {
            Ok(None) | Err(UpstreamError::SessionLost) => return,
            Ok(Some(notes)) => {
                // Whoever did not wait so long may have missed anything.
                let is_in_time = tell_open.take().is_some_and(|tell_open| tell_open.send(()).is_ok());
                if !is_in_time && events.send(missed(connection.era)).await.is_err() {
                    return;
                }
                take(connection, notes, &gap, events).await;
            }
            Err(error) => {
                tracing::debug!(error = %error, "a server is not heard");
                tell_open = None;
            }
        }
        if begun.elapsed() > QUIET_TIME {
            pause = first;
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Opens the stream of what a server says, as its era has it; `None` where it offers nothing of the kind. `gap` is told where something may
/// have been missed on the way.
async fn open(connection: &Connection, gap: &Arc<Notify>) -> Result<Option<mpsc::Receiver<Note>>, UpstreamError> {
    match (&connection.link, connection.era) {
        (Link::Http(link), Era::Legacy) => {
            let gap = Arc::clone(gap);
            link.listen_telling(&connection.session, move || gap.notify_one()).await
        }
        (Link::Stdio(_), Era::Legacy) => Ok(None),
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
            let params = RawObject::parse(&params).unwrap_or_default();
            let dress = Dress::Modern { name: None, params: &[] };
            match link.call(dress, "subscriptions/listen", params, false).await {
                Exchange::Done(Ok(_)) => Ok(None),
                Exchange::Done(Err(error)) => Err(error),
                Exchange::Open(open) => Ok(Some(notes_of(open))),
            }
        }
    }
}

/// The notes of a subscription, until it ends or nobody receives them any more.
fn notes_of(mut open: OpenExchange) -> mpsc::Receiver<Note> {
    let (tx, notes) = mpsc::channel(64);
    tokio::spawn(async move {
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
    notes
}

/// Takes what a server says, until it ends or nobody wants it any more.
async fn take(
    connection: &Connection,
    mut notes: mpsc::Receiver<Note>,
    gap: &Notify,
    events: &mpsc::Sender<ServerEvent>,
) {
    loop {
        let note = tokio::select! {
            // Cancel-safe: a notify that keeps its permit, and a receiver. The order is fixed so that a run can be repeated.
            biased;
            () = gap.notified() => None,
            note = notes.recv() => match note {
                Some(note) => Some(note),
                None => return,
            },
        };
        let event = match note {
            None => Some(missed(connection.era)),
            Some(Note::Notification { method, params }) => event_of(&method, params.as_deref()),
            Some(Note::Request { id, method, .. }) => {
                if let Link::Http(link) = &connection.link {
                    // A server that is gone needs no answer.
                    drop(link.respond(&connection.session, answer_alone(&id, &method)).await);
                }
                None
            }
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            return;
        }
    }
}

/// What may have been missed while nothing was heard: of a modern server the lists alone, since it tells of resources by other streams.
fn missed(era: Era) -> ServerEvent {
    match era {
        Era::Legacy => ServerEvent::Missed,
        Era::Modern => ServerEvent::ListChanged,
    }
}

/// What a notification says of the server itself.
fn event_of(method: &str, params: Option<&str>) -> Option<ServerEvent> {
    if method == "notifications/resources/updated" {
        let params = params.and_then(RawObject::parse)?;
        return Some(ServerEvent::ResourceUpdated(params.get_str("uri")?.into_owned()));
    }
    method.strip_prefix("notifications/")?.strip_suffix("/list_changed")?;
    Some(ServerEvent::ListChanged)
}

/// The answer to what a server asks in the gateway's own session, where there is no client to ask.
fn answer_alone(id: &Id, method: &str) -> String {
    if method == "ping" {
        return result_reply(id, "{}");
    }
    let error = RpcError::new(RpcError::METHOD_NOT_FOUND, format!("`{method}` has no client to go to here"));
    error_reply(Some(id), &error.to_json())
}
