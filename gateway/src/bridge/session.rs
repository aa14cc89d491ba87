//! The session of a legacy client at the gateway: begun as the client said, and begun again when the gateway has forgotten it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, timeout, timeout_at};

use super::asked::Asked;
use super::backoff::Backoff;
use super::cache::Cache;
use super::output::Output;
use super::remote::{Content, Remote, RemoteError, session_headers};
use super::reply::{Read, Reply, refusal, unavailable};
use super::stream::hold_stream;
use crate::upstream::http::HttpSession;
use crate::wire::object::RawObject;
use crate::wire::reply::{error_reply, notification, result_reply};

/// How long the gateway has to answer an `initialize`.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long it has when there is another answer at hand.
const KEPT_ANSWER_TIME: Duration = Duration::from_secs(3);
/// How many words to the keeper wait at most; a loss that finds no room is told again by whoever meets it next.
const TOLD_LENGTH: usize = 64;

/// The session as it is now.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// The client has begun none.
    Never,
    /// It is being begun; why it is not yet.
    Opening(Arc<str>),
    /// It is there.
    Open(Arc<OpenSession>),
}

/// A session that is there.
#[derive(Debug)]
pub(super) struct OpenSession {
    /// The how-manieth it is.
    pub(super) generation: u64,
    pub(super) session: HttpSession,
}

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Told {
    /// The client begins. The keeper answers it, and then says so.
    Begin { asked: Arc<Asked>, done: oneshot::Sender<()> },
    /// The gateway does not know this session any more.
    Lost { generation: u64 },
}

/// What sessions and requests share.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) remote: Remote,
    pub(super) output: Output,
    pub(super) cache: Cache,
    pub(super) patience: Duration,
    /// What the client set in its session, to be set again in the next one: the request, by what it sets.
    settings: Mutex<BTreeMap<String, String>>,
}

impl Parts {
    pub(super) fn new(remote: Remote, output: Output, cache: Cache, patience: Duration) -> Self {
        Self { remote, output, cache, patience, settings: Mutex::default() }
    }

    /// Remembers a request that went well, where it sets something that lasts as long as the session.
    pub(super) fn remember(&self, asked: &Asked) {
        let params = asked.params();
        let uri = params.get("uri").unwrap_or_default();
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match asked.method.as_str() {
            "logging/setLevel" => drop(settings.insert("level".to_owned(), asked.line.clone())),
            "resources/subscribe" => drop(settings.insert(format!("resource {uri}"), asked.line.clone())),
            "resources/unsubscribe" => drop(settings.remove(&format!("resource {uri}"))),
            _ => {}
        }
    }
}

/// The way to the keeper of the session.
#[derive(Debug, Clone)]
pub(super) struct SessionHandle {
    state: watch::Receiver<State>,
    tell: mpsc::Sender<Told>,
}

impl SessionHandle {
    /// A keeper at work, and the way to it.
    pub(super) fn start(parts: Arc<Parts>) -> (Self, JoinHandle<()>) {
        let (state_tx, state) = watch::channel(State::Never);
        let (tell, told) = mpsc::channel(TOLD_LENGTH);
        let keeper = Keeper { parts, state: state_tx, told, tell: tell.clone(), generation: 0, stream: None };
        (Self { state, tell }, tokio::spawn(keeper.run()))
    }

    /// Begins a session as the client asks; returns when the client has its answer.
    pub(super) async fn begin(&self, asked: Arc<Asked>) {
        let (done, is_done) = oneshot::channel();
        if self.tell.send(Told::Begin { asked, done }).await.is_ok() {
            // It is dropped when the client has begun anew meanwhile.
            drop(is_done.await);
        }
    }

    /// The session is not known any more.
    pub(super) fn lose(&self, open: &OpenSession) {
        drop(self.tell.try_send(Told::Lost { generation: open.generation }));
    }

    /// As it is now.
    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// As it is once it is not being begun any more, and is no longer the one that was lost; or as it is when time is up.
    pub(super) async fn settled(&self, lost: Option<u64>, deadline: Instant) -> State {
        let mut state = self.state.clone();
        let is_settled = |state: &State| match state {
            State::Never => true,
            State::Opening(_) => false,
            State::Open(open) => Some(open.generation) != lost,
        };
        drop(timeout_at(deadline, state.wait_for(is_settled)).await);
        self.state()
    }
}

struct Keeper {
    parts: Arc<Parts>,
    state: watch::Sender<State>,
    told: mpsc::Receiver<Told>,
    tell: mpsc::Sender<Told>,
    generation: u64,
    stream: Option<AbortHandle>,
}

/// What came of an `initialize`.
enum Handshake {
    Open(HttpSession, String),
    Refused(String),
    Away(String),
}

/// An `initialize` whose answer the client waits for.
struct Beginning {
    done: oneshot::Sender<()>,
    deadline: Instant,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end_stream();
    }
}

impl Keeper {
    async fn run(mut self) {
        let mut current: Option<Arc<Asked>> = None;
        while let Some(told) = self.told.recv().await {
            let client = match told {
                Told::Begin { asked, done } => {
                    current = Some(asked);
                    self.end_session().await;
                    Some(self.beginning(done))
                }
                Told::Lost { generation } if generation == self.generation => None,
                // It has been begun again since.
                Told::Lost { .. } => continue,
            };
            if let Some(asked) = current.take() {
                current = self.open(asked, client).await;
            }
        }
    }

    fn beginning(&self, done: oneshot::Sender<()>) -> Beginning {
        Beginning { done, deadline: Instant::now() + self.parts.patience }
    }

    /// Tries until there is a session, the client is refused, or it began with nobody there and lost patience; what it began with is
    /// given back where there is a session.
    async fn open(&mut self, mut asked: Arc<Asked>, mut client: Option<Beginning>) -> Option<Arc<Asked>> {
        self.end_stream();
        self.state.send_replace(State::Opening("it is being begun".into()));
        // What the client was told before may be old.
        let mut is_late = client.is_none();
        let mut backoff = Backoff::endless();
        loop {
            let kept = client.as_ref().and_then(|_| self.parts.cache.get(&asked));
            let time = if kept.is_some() { KEPT_ANSWER_TIME } else { HANDSHAKE_TIME };
            let handshake = timeout(time, self.shake_hands(&asked)).await;
            match handshake.unwrap_or_else(|_| Handshake::Away("no answer in time".to_owned())) {
                Handshake::Open(session, result) => {
                    self.parts.cache.put(&asked, &result);
                    if let Some(client) = client {
                        self.answer(client, result_reply(&asked.id, &result)).await;
                    }
                    self.begin_session(session, is_late).await;
                    return Some(asked);
                }
                Handshake::Refused(error) => {
                    if let Some(client) = client {
                        self.answer(client, error).await;
                        self.state.send_replace(State::Never);
                        return None;
                    }
                    tracing::warn!(error = %error, "the gateway refuses to begin the session again");
                    self.state.send_replace(State::Opening(error.into()));
                }
                Handshake::Away(why) => {
                    tracing::debug!(error = %why, "the gateway cannot be reached");
                    self.state.send_replace(State::Opening(why.as_str().into()));
                    match (client.take(), kept) {
                        (Some(waiting), Some(kept)) => {
                            tracing::info!(error = %why, "answered from what the gateway said before");
                            self.answer(waiting, result_reply(&asked.id, &kept)).await;
                            is_late = true;
                        }
                        (Some(waiting), None) if Instant::now() >= waiting.deadline => {
                            let error = unavailable(&why, false);
                            self.answer(waiting, error_reply(Some(&asked.id), &error.to_json())).await;
                            self.state.send_replace(State::Never);
                            return None;
                        }
                        (waiting, _) => client = waiting,
                    }
                }
            }
            let told = tokio::select! {
                // Cancel-safe: a wait, and a receiver.
                _ = backoff.wait() => continue,
                told = self.told.recv() => told,
            };
            match told? {
                Told::Begin { asked: anew, done } => {
                    (asked, client, is_late) = (anew, Some(self.beginning(done)), false);
                }
                Told::Lost { .. } => {}
            }
        }
    }

    async fn shake_hands(&self, asked: &Asked) -> Handshake {
        let arrived = match self.parts.remote.post(&Vec::new(), &asked.line).await {
            Ok(arrived) => arrived,
            Err(RemoteError::Unreachable(why) | RemoteError::Broken(why)) => return Handshake::Away(why),
        };
        let (status, id) = (arrived.status, arrived.session_id);
        let text = match arrived.content {
            Content::Whole(text) => text,
            Content::Stream(mut stream) => loop {
                match stream.next().await {
                    Ok(Some(text)) if matches!(Reply::read(&text), Some(Read::Reply(_))) => break text,
                    Ok(Some(_)) => {}
                    Ok(None) => return Handshake::Away("its answer broke off".to_owned()),
                    Err(RemoteError::Unreachable(why) | RemoteError::Broken(why)) => return Handshake::Away(why),
                }
            },
        };
        match Reply::read(&text) {
            Some(Read::Reply(Reply::Result(result))) => {
                let fields = RawObject::parse(&result).unwrap_or_default();
                let version = fields.get_str("protocolVersion").unwrap_or_default().into_owned();
                Handshake::Open(HttpSession { id, version }, result)
            }
            Some(Read::Reply(Reply::Error(error))) => Handshake::Refused(error_reply(Some(&asked.id), &error)),
            Some(Read::Other(_)) | None => match refusal(status, &text) {
                Ok(error) => Handshake::Refused(error_reply(Some(&asked.id), &error.to_json())),
                Err(why) => Handshake::Away(why),
            },
        }
    }

    async fn answer(&self, client: Beginning, text: String) {
        // One that took its request back wants no answer.
        if !client.done.is_closed() {
            self.parts.output.write(text).await;
            client.done.send(()).unwrap_or(());
        }
    }

    async fn begin_session(&mut self, session: HttpSession, is_late: bool) {
        self.generation += 1;
        let headers = session_headers(&session);
        let settings: Vec<String> = {
            let settings = self.parts.settings.lock().unwrap_or_else(PoisonError::into_inner);
            settings.values().cloned().collect()
        };
        let initialized = notification("notifications/initialized", None);
        for line in std::iter::once(initialized).chain(settings.into_iter().filter(|_| is_late)) {
            // What fails now is lost with the session, which whoever asks next finds out.
            drop(self.parts.remote.post(&headers, &line).await);
        }
        let open = Arc::new(OpenSession { generation: self.generation, session });
        let stream = tokio::spawn(hold_stream(Arc::clone(&self.parts), Arc::clone(&open), self.tell.clone()));
        self.stream = Some(stream.abort_handle());
        self.state.send_replace(State::Open(open));
        if is_late {
            tracing::info!("the session at the gateway is there again");
            for list in ["tools", "prompts", "resources"] {
                let method = format!("notifications/{list}/list_changed");
                self.parts.output.write(notification(&method, None)).await;
            }
        }
    }

    fn end_stream(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
    }

    async fn end_session(&mut self) {
        self.end_stream();
        self.parts.settings.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let state = self.state.send_replace(State::Opening("it is being begun".into()));
        if let State::Open(open) = state {
            drop(timeout(KEPT_ANSWER_TIME, self.parts.remote.end(&open.session)).await);
        }
    }
}
