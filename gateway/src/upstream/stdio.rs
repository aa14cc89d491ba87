//! A server by its standard input and output: many requests at once over one pair of streams.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::exchange::{Answer, CancelGuard, Exchange, NOTES_LENGTH, Note, OpenExchange, UpstreamError};
use super::lines::{Line, read_line};
use crate::wire::envelope::{Message, Outcome};
use crate::wire::object::{RawObject, read_str};
use crate::wire::params::Params;
use crate::wire::reply::{RpcError, error_reply, notification, request_with, result_reply};
use crate::wire::sse::one_line;

/// How many lines to a server wait at most.
const QUEUE_LENGTH: usize = 256;
/// How many events of a server wait at most; they only say "look".
const EVENTS_LENGTH: usize = 64;
/// The longest line that a server may write.
pub const LINE_LIMIT: usize = 16 << 20;

/// Nobody has used a server yet.
const NOBODY: u64 = 0;
/// More than one client has used a server, or one that has no name.
const SEVERAL: u64 = u64::MAX;

/// Who has used an instance, over all attachments to it: what it says may be about what was asked over an earlier one.
#[derive(Debug, Clone, Default)]
pub struct UsedBy(Arc<AtomicU64>);

impl UsedBy {
    fn claim(&self, session: Option<u64>) {
        let user = session.map_or(SEVERAL, |number| number.clamp(NOBODY + 1, SEVERAL - 1));
        let claimed = self.0.compare_exchange(NOBODY, user, Ordering::Relaxed, Ordering::Relaxed);
        if claimed.is_err_and(|known| known != user) {
            self.0.store(SEVERAL, Ordering::Relaxed);
        }
    }

    /// Whether one client alone has.
    fn is_one(&self) -> bool {
        ![NOBODY, SEVERAL].contains(&self.0.load(Ordering::Relaxed))
    }
}

/// The two streams of a server.
pub struct Attached {
    /// Its standard input.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attached")
    }
}

/// What a server says of itself, to nobody in particular.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// One of its lists has changed.
    ListChanged,
    /// A resource was updated.
    ResourceUpdated(String),
    /// It was not heard for a while: any of that may have happened.
    Missed,
    /// It is gone.
    Closed(String),
}

/// The way to a server that was attached to.
#[derive(Debug, Clone)]
pub struct StdioLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    tx: mpsc::Sender<String>,
    pending: Mutex<Pending>,
    next_id: AtomicU64,
    used_by: UsedBy,
    /// It is one client's alone, which may be asked by the server.
    is_leased: AtomicBool,
    /// More resources were updated than there was room to say.
    has_missed: AtomicBool,
    /// The reader, which waits for as long as the server is silent.
    reader: Mutex<Option<AbortHandle>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.get_mut().unwrap_or_else(PoisonError::into_inner) {
            reader.abort();
        }
    }
}

#[derive(Debug, Default)]
struct Pending {
    waiters: BTreeMap<u64, Waiter>,
    closed: Option<String>,
}

#[derive(Debug)]
struct Waiter {
    /// It waits for as long as it is listened to.
    is_listening: bool,
    notes: mpsc::Sender<Note>,
    answer: oneshot::Sender<Result<Answer, UpstreamError>>,
}

impl StdioLink {
    /// Speaks over these streams until they end or the link is dropped. `name` is for logs.
    pub fn open(name: &str, attached: Attached, used_by: UsedBy) -> (Self, mpsc::Receiver<ServerEvent>) {
        let (tx, rx) = mpsc::channel(QUEUE_LENGTH);
        let (events_tx, events) = mpsc::channel(EVENTS_LENGTH);
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            tx,
            pending: Mutex::default(),
            // An instance that was attached to before may still answer what was asked then: its ids must not be met again.
            next_id: AtomicU64::new(fastrand::u64(1..1 << 40)),
            used_by,
            is_leased: AtomicBool::new(false),
            has_missed: AtomicBool::new(false),
            reader: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        let writer = tokio::spawn(write_lines(attached.input, rx));
        let reader = tokio::spawn(async move {
            let mut output = BufReader::with_capacity(64 * 1024, attached.output);
            let why = read_lines(&mut output, &weak, &events_tx).await;
            writer.abort();
            if let Some(shared) = weak.upgrade() {
                shared.close(&why);
            }
            // The receiver may be gone as well.
            drop(events_tx.send(ServerEvent::Closed(why)).await);
        });
        *shared.reader.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader.abort_handle());
        (Self { shared }, events)
    }

    /// Whether it is the same link.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Sends a request. With `wants_progress` its token becomes ours.
    pub async fn call(&self, method: &str, params: RawObject<'_>, wants_progress: bool) -> Exchange {
        self.call_with(method, &params.to_json(), wants_progress).await
    }

    /// The same with params that are written already.
    pub async fn call_with(&self, method: &str, params: &str, wants_progress: bool) -> Exchange {
        let number = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let token = wants_progress.then_some(number);
        let (notes_tx, notes) = mpsc::channel(NOTES_LENGTH);
        let (answer_tx, answer) = oneshot::channel();
        {
            let mut pending = self.shared.lock();
            if let Some(why) = &pending.closed {
                return Exchange::Done(Err(UpstreamError::Unreached(why.clone())));
            }
            let is_listening = method == "subscriptions/listen";
            pending.waiters.insert(number, Waiter { notes: notes_tx, answer: answer_tx, is_listening });
        }
        let shared = Arc::clone(&self.shared);
        let guard = CancelGuard::new(move || shared.cancel(number));
        let line = request_with(number, method, &with_progress_token(params, token));
        if self.shared.tx.send(line).await.is_err() {
            return Exchange::Done(Err(UpstreamError::Unreached("its standard input is closed".to_owned())));
        }
        Exchange::Open(OpenExchange { notes, answer, guard: Some(guard) })
    }

    /// A client uses it: its session's number, none for one without a session. What the server says to nobody in particular goes to the
    /// only one that ever has: of several it could be anybody's.
    pub fn used_by(&self, session: Option<u64>) {
        self.shared.used_by.claim(session);
    }

    /// From now on it is one client's alone: what the server asks is put to that one.
    pub fn lease(&self) {
        self.shared.is_leased.store(true, Ordering::Relaxed);
    }

    /// Whether more resources were updated than there was room to say since this was last asked.
    pub fn take_missed(&self) -> bool {
        self.shared.has_missed.swap(false, Ordering::Relaxed)
    }

    /// Answers a request of the server's.
    pub async fn respond(&self, reply: String) {
        // One that is closed waits for nothing any more.
        drop(self.shared.tx.send(reply).await);
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Option<&str>) {
        // One that is closed hears nothing any more.
        drop(self.shared.tx.send(notification(method, params)).await);
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.shared.lock().waiters.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cancel(&self, number: u64) {
        if self.lock().waiters.remove(&number).is_some() {
            let params = format!("{{\"requestId\":{number}}}");
            // A full queue means that the server does not read: then it would not hear this either.
            drop(self.tx.try_send(notification("notifications/cancelled", Some(&params))));
        }
    }

    fn close(&self, why: &str) {
        let waiters = {
            let mut pending = self.lock();
            pending.closed = Some(why.to_owned());
            std::mem::take(&mut pending.waiters)
        };
        for waiter in waiters.into_values() {
            // Whoever asked may be gone.
            drop(waiter.answer.send(Err(UpstreamError::Gone(why.to_owned()))));
        }
    }

    fn take(&self, line: &str, events: &mpsc::Sender<ServerEvent>) {
        match Message::parse(line) {
            Ok(Message::Response { id, outcome }) => {
                let waiter = id.and_then(|id| id.as_number()).and_then(|number| self.lock().waiters.remove(&number));
                let Some(waiter) = waiter else {
                    tracing::debug!(server = %self.name, "an answer to nothing that was asked");
                    return;
                };
                let answer = match outcome {
                    Outcome::Result(result) => Answer::Result(result.get().to_owned()),
                    Outcome::Error(error) => Answer::Error(error.get().to_owned()),
                };
                drop(waiter.answer.send(Ok(answer)));
            }
            Ok(Message::Notification { method, params }) => {
                self.take_notification(&method, params.map(serde_json::value::RawValue::get), events);
            }
            Ok(Message::Request { id, method, params }) => {
                // Where several clients share it nobody can be asked in its name.
                if method != "ping" && self.is_leased.load(Ordering::Relaxed) {
                    let params = params.map(|params| params.get().to_owned());
                    if self.note_first(Note::Request { id: id.clone(), method: method.to_string(), params }) {
                        return;
                    }
                }
                let reply = if method == "ping" {
                    result_reply(&id, "{}")
                } else {
                    let error =
                        RpcError::new(RpcError::METHOD_NOT_FOUND, format!("`{method}` has no client to go to here"));
                    error_reply(Some(&id), &error.to_json())
                };
                drop(self.tx.try_send(reply));
            }
            Err(error) => {
                let beginning: String = line.chars().take(200).collect();
                tracing::debug!(server = %self.name, error = %error, line = %beginning, "stray output");
            }
        }
    }

    /// Gives a note to the oldest call that is under way. Returns whether there is one, and it has room.
    fn note_first(&self, note: Note) -> bool {
        let first = {
            let pending = self.lock();
            let mut waiters = pending.waiters.values().filter(|waiter| !waiter.is_listening);
            waiters.next().map(|waiter| waiter.notes.clone())
        };
        first.is_some_and(|first| first.try_send(note).is_ok())
    }

    fn take_notification(&self, method: &str, params: Option<&str>, events: &mpsc::Sender<ServerEvent>) {
        let fields = params.and_then(RawObject::parse).unwrap_or_default();
        let event = match method {
            "notifications/progress" => {
                let token = fields.get("progressToken").and_then(|token| token.parse::<u64>().ok());
                let note = Note::Notification { method: method.to_owned(), params: params.map(str::to_owned) };
                if let Some(waiter) = token.and_then(|token| self.lock().waiters.get(&token).map(|w| w.notes.clone())) {
                    // Whoever does not read them wants none.
                    drop(waiter.try_send(note));
                }
                return;
            }
            // Of what a listener is told only this is its own: the rest says itself what it is about.
            "notifications/subscriptions/acknowledged" => {
                let meta = fields.get("_meta").and_then(RawObject::parse).unwrap_or_default();
                let number = meta.get("io.modelcontextprotocol/subscriptionId").and_then(|id| id.parse::<u64>().ok());
                let note = Note::Notification { method: method.to_owned(), params: params.map(str::to_owned) };
                if let Some(waiter) = number.and_then(|id| self.lock().waiters.get(&id).map(|w| w.notes.clone())) {
                    drop(waiter.try_send(note));
                }
                return;
            }
            "notifications/message" => {
                let data = fields.get("data").unwrap_or_default();
                tracing::debug!(server = %self.name, data = %data, "said by the server");
                if self.is_leased.load(Ordering::Relaxed) || self.used_by.is_one() {
                    self.note_first(Note::Notification {
                        method: method.to_owned(),
                        params: params.map(str::to_owned),
                    });
                }
                return;
            }
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => ServerEvent::ListChanged,
            "notifications/resources/updated" => {
                ServerEvent::ResourceUpdated(fields.get("uri").and_then(read_str).unwrap_or_default().into_owned())
            }
            _ => return,
        };
        let is_update = matches!(event, ServerEvent::ResourceUpdated(_));
        // Those of lists only say "look", and one that waits says it as well.
        if events.try_send(event).is_err() && is_update {
            self.has_missed.store(true, Ordering::Relaxed);
        }
    }
}

async fn write_lines(mut input: Box<dyn AsyncWrite + Send + Unpin>, mut rx: mpsc::Receiver<String>) {
    while let Some(line) = rx.recv().await {
        let mut text = one_line(&line).into_owned();
        text.push('\n');
        while let Ok(more) = rx.try_recv() {
            text.push_str(&one_line(&more));
            text.push('\n');
            if text.len() > 256 * 1024 {
                break;
            }
        }
        if input.write_all(text.as_bytes()).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
}

async fn read_lines<R: AsyncBufRead + Unpin>(
    output: &mut R,
    shared: &std::sync::Weak<Shared>,
    events: &mpsc::Sender<ServerEvent>,
) -> String {
    loop {
        let line = match read_line(output, LINE_LIMIT).await {
            Ok(Line::Text(line)) if line.is_empty() => continue,
            Ok(Line::Text(line)) => line,
            Ok(Line::Garbage) => continue,
            Ok(Line::TooLong) => return format!("it wrote a line of more than {LINE_LIMIT} bytes"),
            Ok(Line::End) => return "it ended".to_owned(),
            Err(error) => return format!("its output cannot be read: {error}"),
        };
        let Some(shared) = shared.upgrade() else { return "nobody listens any more".to_owned() };
        shared.take(&line, events);
    }
}

/// Params with this `_meta.progressToken`, where there is to be one.
pub(super) fn with_progress_token(params: &str, token: Option<u64>) -> Cow<'_, str> {
    let Some(token) = token else { return params.into() };
    let Params { mut fields, mut meta, .. } = Params::read_text(params);
    meta.set("progressToken", token.to_string());
    let json = meta.to_json();
    fields.set("_meta", json);
    fields.to_json().into()
}
