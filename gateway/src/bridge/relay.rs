//! The client's messages, each sent on its way: requests side by side, so that a slow one holds up no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

use super::asked::Asked;
use super::remote::{Headers, session_headers};
use super::request::Bridge;
use super::session::State;
use crate::era::Era;
use crate::upstream::lines::Line;
use crate::wire::envelope::{EnvelopeError, Message};
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::reply::{RpcError, error_reply};

/// How many messages are under way at once at most. More requests are refused, for a client that is held up could not cancel either.
const MESSAGES_LIMIT: usize = 512;

/// The messages that are under way.
#[derive(Debug)]
pub(super) struct Relay {
    bridge: Bridge,
    tasks: JoinSet<()>,
    requests: BTreeMap<Id, UnderWay>,
}

/// A request that is under way.
#[derive(Debug)]
struct UnderWay {
    task: AbortHandle,
    asked: Arc<Asked>,
}

impl Relay {
    /// Nothing is under way yet.
    pub(super) fn new(bridge: Bridge) -> Self {
        Self { bridge, tasks: JoinSet::new(), requests: BTreeMap::new() }
    }

    /// The next line; until it comes, what has ended is cleared away. Cancel-safe.
    pub(super) async fn next_of(&mut self, lines: &mut mpsc::Receiver<Line>) -> Option<Line> {
        loop {
            let line = tokio::select! {
                // Cancel-safe: a receiver, and a set that keeps what it has not given.
                line = lines.recv() => line,
                Some(ended) = self.tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => error.id(),
                    };
                    self.requests.retain(|_, request| request.task.id() != id);
                    continue;
                }
            };
            return line;
        }
    }

    /// Sends a message of the client on its way.
    pub(super) async fn take(&mut self, line: String) {
        match Message::parse(&line) {
            Ok(Message::Request { .. }) => self.take_request(line).await,
            Ok(Message::Notification { method, params }) => match &*method {
                // The session's keeper says that itself, in every session that it begins.
                "notifications/initialized" => {}
                "notifications/cancelled" => {
                    let params = RawObject::of(params);
                    let id = params.get("requestId").and_then(|text| serde_json::from_str(text).ok());
                    let id = id.and_then(Id::parse);
                    self.cancel(id, line.clone());
                }
                _ => self.send(line.clone()),
            },
            Ok(Message::Response { .. }) => self.send(line),
            Err(error) => {
                let code = match &error {
                    EnvelopeError::NotJson(_) => RpcError::PARSE,
                    EnvelopeError::NotAMessage(_) => RpcError::INVALID_REQUEST,
                };
                let fields = RawObject::parse(&line).unwrap_or_default();
                let id = fields.get("id").and_then(|text| serde_json::from_str(text).ok()).and_then(Id::parse);
                self.refuse(id.as_ref(), &RpcError::new(code, error.to_string())).await;
            }
        }
    }

    async fn take_request(&mut self, line: String) {
        let Some(asked) = Asked::read(line) else { return };
        if self.requests.get(&asked.id).is_some_and(|request| !request.task.is_finished()) {
            let message = "a request with this id is under way";
            return self.refuse(Some(&asked.id), &RpcError::new(RpcError::INVALID_REQUEST, message)).await;
        }
        if self.tasks.len() >= MESSAGES_LIMIT {
            let error = RpcError::new(RpcError::OVERLOADED, "too many requests are under way");
            return self.refuse(Some(&asked.id), &error).await;
        }
        let asked = Arc::new(asked);
        let (bridge, request) = (self.bridge.clone(), Arc::clone(&asked));
        let task = self.tasks.spawn(async move { bridge.answer(request).await });
        self.requests.insert(asked.id.clone(), UnderWay { task, asked });
    }

    /// Takes a request back. In the modern era hanging up says so to the gateway; in the legacy era it is told, in its session.
    fn cancel(&mut self, id: Option<Id>, line: String) {
        // What is unknown has been answered meanwhile; and nobody takes back how he began.
        let Some(request) = id.and_then(|id| self.requests.remove(&id)) else { return };
        if request.asked.method == "initialize" {
            self.requests.insert(request.asked.id.clone(), request);
            return;
        }
        request.task.abort();
        if request.asked.era == Era::Legacy && matches!(self.bridge.session.state(), State::Open(_)) {
            self.send(line);
        }
    }

    /// Sends a message that wants no answer. There is only a session that it could belong to.
    fn send(&mut self, line: String) {
        if self.tasks.len() >= MESSAGES_LIMIT {
            tracing::warn!("a message is dropped: too many are under way");
            return;
        }
        let bridge = self.bridge.clone();
        self.tasks.spawn(async move {
            let deadline = Instant::now() + bridge.parts.patience;
            let headers = match bridge.session.settled(None, deadline).await {
                State::Open(open) => session_headers(&open.session),
                State::Never | State::Opening(_) => Headers::new(),
            };
            if headers.is_empty() {
                tracing::debug!("a message without a session is dropped");
            } else if let Err(error) = bridge.parts.remote.post(&headers, &line).await {
                tracing::debug!(error = ?error, "a message did not get there");
            }
        });
    }

    /// Answers what cannot be sent. Without an id the answer has none: nobody waits for it, and whoever reads it knows what was wrong.
    pub(super) async fn refuse(&self, id: Option<&Id>, error: &RpcError) {
        let text = match id {
            Some(_) => error_reply(id, &error.to_json()),
            None => format!("{{\"jsonrpc\":\"2.0\",\"error\":{}}}", error.to_json()),
        };
        self.bridge.parts.output.write(text).await;
    }

    /// Waits for what is under way, but not for what has no end.
    pub(super) async fn drain(&mut self, time: Duration) {
        for request in self.requests.values().filter(|request| request.asked.method == "subscriptions/listen") {
            request.task.abort();
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(time, all).await.is_err() {
            tracing::warn!("the client has gone, and some requests were not answered in time");
        }
    }

    /// Ends whatever is still under way.
    pub(super) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}
