//! A server by HTTP: one POST a message, the answer as JSON or as a stream of events.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::answer::{DEFAULT_PAUSE, Place, SHORTEST_PAUSE, collect, is_stream, read_answer, read_events};
use super::client::{Clients, HttpClient, check_literal};
use super::exchange::{Answer, CancelGuard, Exchange, NOTES_LENGTH, Note, OpenExchange, UpstreamError};
use super::pool::{Pool, RequestError, path_of};
use super::stdio::with_progress_token;
use crate::era::MODERN_VERSION;
use crate::header::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, MCP_SESSION_ID, encode};
use crate::wire::object::RawObject;
use crate::wire::reply::{notification, request_with};

/// How long a server has to take what needs no answer of its own: a notification, an answer, or the end of a session.
const SEND_TIME: Duration = Duration::from_secs(20);
/// How long a server is left alone at most that ends the stream of a session again and again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long a stream must have lasted for those before it to be forgotten.
const QUIET_TIME: Duration = Duration::from_secs(20);
/// How many calls a server is told at once that nobody waits for. It hears of no more.
const CANCELS_LIMIT: usize = 64;

/// How many headers all requests have.
const OWN_HEADERS: usize = 3;
/// How many more most requests are dressed with.
const DRESS_LENGTH: usize = 3;

/// The way to a server by HTTP.
#[derive(Debug, Clone)]
pub struct HttpLink {
    pool: Arc<Pool>,
    /// The path and what follows it.
    path: Uri,
    headers: Arc<HeaderMap>,
    next_id: Arc<AtomicU64>,
    limit: usize,
    cancels: Arc<Semaphore>,
}

/// A session that a legacy server opened for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSession {
    /// Its id; a server may do without.
    pub id: Option<String>,
    /// The version that was agreed on.
    pub version: String,
}

/// How a request is dressed.
#[derive(Debug, Clone, Copy)]
pub enum Dress<'session> {
    /// As 2026-07-28 wants it, with `Mcp-Name` where the method has one, and the headers that the tool's arguments ask for.
    Modern {
        /// The name that goes into `Mcp-Name`.
        name: Option<&'session str>,
        /// Further headers, `Mcp-Param-*`, encoded.
        params: &'session [(String, String)],
    },
    /// The first request of a session.
    Bare,
    /// Within a session.
    Session(&'session HttpSession),
}

/// A call that is under way. Dropped before it is known what comes of it, it is cancelled.
struct Cancelling<'call> {
    link: &'call HttpLink,
    /// The legacy session that it is of, until that is known.
    session: Option<&'call HttpSession>,
    number: u64,
}

impl Drop for Cancelling<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session {
            self.link.cancel(session.clone(), self.number);
        }
    }
}

impl HttpLink {
    /// A link to an address. `limit`: the largest answer, in bytes.
    ///
    /// # Errors
    /// When path, host or headers are none.
    pub fn new(
        client: HttpClient,
        address: SocketAddr,
        path: &str,
        host: &str,
        headers: &BTreeMap<String, String>,
        limit: usize,
    ) -> Result<Self, UpstreamError> {
        let uri = format!("http://{address}{path}").parse().map_err(|_| fault("the path"))?;
        Self::to(client, uri, host, headers, limit)
    }

    /// A link to a server elsewhere, by its `https` address.
    ///
    /// # Errors
    /// When address or headers are none, or it leads inside.
    pub fn secure(
        clients: &Clients,
        url: &str,
        headers: &BTreeMap<String, String>,
        limit: usize,
    ) -> Result<Self, UpstreamError> {
        let uri: Uri = url.parse().map_err(|_| fault("the address"))?;
        check_literal(&uri).map_err(|error| UpstreamError::NotMcp(error.to_string()))?;
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        Self::to(clients.secure()?, uri, &host, headers, limit)
    }

    fn to(
        client: HttpClient,
        uri: Uri,
        host: &str,
        headers: &BTreeMap<String, String>,
        limit: usize,
    ) -> Result<Self, UpstreamError> {
        let mut map = HeaderMap::with_capacity(OWN_HEADERS + headers.len() + DRESS_LENGTH);
        map.insert(HOST, host.parse().map_err(|_| fault("the host"))?);
        for (name, value) in headers {
            let name: HeaderName = name.parse().map_err(|_| fault("a header's name"))?;
            let mut value: HeaderValue = value.parse().map_err(|_| fault("a header's value"))?;
            value.set_sensitive(true);
            map.insert(name, value);
        }
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let path = Uri::from(path_of(&uri));
        let (headers, next_id) = (Arc::new(map), Arc::new(AtomicU64::new(1)));
        let cancels = Arc::new(Semaphore::new(CANCELS_LIMIT));
        Ok(Self { pool: Pool::new(client, uri), path, headers, next_id, limit, cancels })
    }

    /// Whether it is the same link, with the same ids.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.next_id, &other.next_id)
    }

    /// Sends a request.
    pub async fn call(&self, dress: Dress<'_>, method: &str, params: RawObject<'_>, wants_progress: bool) -> Exchange {
        self.call_with(dress, method, &params.to_json(), wants_progress).await
    }

    /// The same with params that are written already. Dropped before there is an answer, it is cancelled: a modern server hears that its
    /// stream is closed, a legacy one is told.
    pub async fn call_with(&self, dress: Dress<'_>, method: &str, params: &str, wants_progress: bool) -> Exchange {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let token = wants_progress.then_some(number);
        let body = request_with(number, method, &with_progress_token(params, token));
        let session = if let Dress::Session(session) = dress { Some(session) } else { None };
        let mut cancelling = Cancelling { link: self, session, number };
        let exchange = match self.post(dress, method, body).await {
            Ok(response) => self.read(response, number, session).await,
            Err(error) => Exchange::Done(Err(error)),
        };
        let session = cancelling.session.take();
        match exchange {
            Exchange::Open(open) => {
                let guard = session.map(|session| {
                    let (link, session) = (self.clone(), session.clone());
                    CancelGuard::new(move || link.cancel(session, number))
                });
                Exchange::Open(OpenExchange { guard, ..open })
            }
            Exchange::Done(answer) => Exchange::Done(answer),
        }
    }

    /// Tells a legacy server that nobody waits for a call any more, by a message of its own, which nobody waits for either.
    fn cancel(&self, session: HttpSession, number: u64) {
        let (Ok(runtime), Ok(permit)) =
            (tokio::runtime::Handle::try_current(), Arc::clone(&self.cancels).try_acquire_owned())
        else {
            return;
        };
        let link = self.clone();
        // Owned by nobody: it has its own time, and there are only so many.
        drop(runtime.spawn(async move {
            let _permit = permit;
            let params = format!("{{\"requestId\":{number}}}");
            let told = link.notify(Dress::Session(&session), "notifications/cancelled", Some(&params)).await;
            if let Err(error) = told {
                tracing::debug!(error = %error, "a server was not told of a cancellation");
            }
        }));
    }

    /// Sends an `initialize` and gives the session beside the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn initialize(&self, params: RawObject<'_>) -> Result<(Answer, Option<String>), UpstreamError> {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = request_with(number, "initialize", &params.to_json());
        let response = self.post(Dress::Bare, "initialize", body).await?;
        let session = response.headers().get(&MCP_SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let answer = self.read(response, number, None).await.answer().await?;
        Ok((answer, session))
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn notify(&self, dress: Dress<'_>, method: &str, params: Option<&str>) -> Result<(), UpstreamError> {
        self.send(dress, method, notification(method, params)).await
    }

    /// Sends the answer to a request of the server.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn respond(&self, session: &HttpSession, reply: String) -> Result<(), UpstreamError> {
        self.send(Dress::Session(session), "", reply).await
    }

    async fn send(&self, dress: Dress<'_>, method: &str, body: String) -> Result<(), UpstreamError> {
        let response = timeout(SEND_TIME, self.post(dress, method, body)).await;
        let late = || UpstreamError::Gone(format!("it did not take it within {}s", SEND_TIME.as_secs()));
        match response.map_err(|_| late())??.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(UpstreamError::SessionLost),
            status => Err(UpstreamError::Refused { status: status.as_u16(), text: String::new() }),
        }
    }

    /// What there is at another path of the same address, as text.
    ///
    /// # Errors
    /// When there is nothing, or no text.
    pub async fn get(&self, path: &str) -> Result<String, UpstreamError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = PathAndQuery::try_from(path).map_err(|_| fault("the path"))?.into();
        *request.headers_mut() = HeaderMap::clone(&self.headers);
        request.headers_mut().remove(CONTENT_TYPE);
        let response = self.pool.request(request).await.map_err(|error| gone(&error))?;
        let status = response.status();
        let body = collect(response.into_body(), self.limit).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() { Ok(text) } else { Err(UpstreamError::Refused { status: status.as_u16(), text }) }
    }

    /// Opens the stream of what the server says outside of any request, for as long as the session lives; `None` where it offers none. A stream
    /// that ends is opened again, from where it ended where that is known, after the time that the server names, or a growing one.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn listen_on(&self, session: &HttpSession) -> Result<Option<mpsc::Receiver<Note>>, UpstreamError> {
        self.listen_telling(session, || {}).await
    }

    /// The same, and tells where it is not opened from where it ended: something may have been missed.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn listen_telling(
        &self,
        session: &HttpSession,
        tell_gap: impl Fn() + Send + 'static,
    ) -> Result<Option<mpsc::Receiver<Note>>, UpstreamError> {
        let Some(response) = self.get_stream(session, None).await? else { return Ok(None) };
        let (tx, notes) = mpsc::channel(NOTES_LENGTH);
        let (link, session) = (self.clone(), session.clone());
        tokio::spawn(async move {
            let listening = async {
                let ended = link.read_on(&session, response, &tx, tell_gap).await;
                tracing::debug!(ended = %ended, "a stream of a session of a server ended");
            };
            tokio::select! {
                // Cancelled on purpose: when nobody listens any more the stream is dropped. The order is fixed so that a run can be repeated.
                biased;
                () = listening => {}
                () = tx.closed() => {}
            }
        });
        Ok(Some(notes))
    }

    /// Reads the streams of a session, one after another, until there are no more.
    async fn read_on(
        &self,
        session: &HttpSession,
        mut response: Response<Incoming>,
        notes: &mpsc::Sender<Note>,
        tell_gap: impl Fn() + Send,
    ) -> UpstreamError {
        let (mut place, mut pause) = (Place::default(), DEFAULT_PAUSE);
        loop {
            let begun = Instant::now();
            let ended = read_events(response.into_body(), self.limit, None, notes, &mut place).await;
            tracing::debug!(ended = ?ended, "a stream of a server ended");
            if begun.elapsed() > QUIET_TIME {
                pause = DEFAULT_PAUSE;
            }
            response = loop {
                sleep(place.pause.take().unwrap_or(pause).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                match self.get_stream(session, place.last_event.clone()).await {
                    Ok(Some(response)) => break response,
                    // It may not know the event any more.
                    Ok(None) | Err(UpstreamError::Refused { .. }) => place.last_event = None,
                    Err(lost @ UpstreamError::SessionLost) => return lost,
                    Err(_) => {}
                }
            };
            if place.last_event.is_none() {
                tell_gap();
            }
        }
    }

    /// A stream of a session, from an event on where one is named; `None` where the server offers none.
    async fn get_stream(
        &self,
        session: &HttpSession,
        last_event: Option<HeaderValue>,
    ) -> Result<Option<Response<Incoming>>, UpstreamError> {
        let mut request = self.dressed(Dress::Session(session), "", Method::GET, Bytes::new())?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        request.headers_mut().remove(CONTENT_TYPE);
        if let Some(id) = last_event {
            request.headers_mut().insert("last-event-id", id);
        }
        let response = self.pool.request(request).await.map_err(|error| gone(&error))?;
        match response.status() {
            StatusCode::OK if is_stream(&response) => Ok(Some(response)),
            StatusCode::NOT_FOUND => Err(UpstreamError::SessionLost),
            // Said for now, not of what it offers.
            status if status == StatusCode::TOO_MANY_REQUESTS || is_failure(status) => {
                Err(UpstreamError::Refused { status: status.as_u16(), text: String::new() })
            }
            _ => Ok(None),
        }
    }

    /// Ends a session.
    pub async fn end(&self, session: &HttpSession) {
        if let Ok(request) = self.dressed(Dress::Session(session), "", Method::DELETE, Bytes::new()) {
            // A server that does not know it any more has nothing to end, and one that does not answer must not be waited for.
            drop(timeout(SEND_TIME, self.pool.request(request)).await);
        }
    }

    async fn post(&self, dress: Dress<'_>, method: &str, body: String) -> Result<Response<Incoming>, UpstreamError> {
        let request = self.dressed(dress, method, Method::POST, Bytes::from(body))?;
        self.pool.request(request).await.map_err(|error| gone(&error))
    }

    fn dressed(
        &self,
        dress: Dress<'_>,
        mcp_method: &str,
        method: Method,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, UpstreamError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        // The room of this one is the same: nothing in it is put in order anew.
        let mut headers = HeaderMap::clone(&self.headers);
        let mut set = |name: &HeaderName, value: &str| -> Result<(), UpstreamError> {
            let value = value.parse().map_err(|_| UpstreamError::NotMcp(format!("`{name}` cannot be sent")))?;
            headers.insert(name, value);
            Ok(())
        };
        match dress {
            Dress::Bare => {}
            Dress::Session(session) => {
                set(&MCP_PROTOCOL_VERSION, &session.version)?;
                if let Some(id) = &session.id {
                    set(&MCP_SESSION_ID, id)?;
                }
            }
            Dress::Modern { name, params } => {
                set(&MCP_PROTOCOL_VERSION, MODERN_VERSION)?;
                set(&MCP_METHOD, mcp_method)?;
                if let Some(name) = name {
                    set(&MCP_NAME, &encode(name))?;
                }
                for (name, value) in params {
                    let fault = |()| UpstreamError::NotMcp("a header of an argument cannot be sent".to_owned());
                    let name: HeaderName = name.parse().map_err(|_| fault(()))?;
                    headers.insert(name, value.parse().map_err(|_| fault(()))?);
                }
            }
        }
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn read(&self, response: Response<Incoming>, number: u64, session: Option<&HttpSession>) -> Exchange {
        let status = response.status();
        if status == StatusCode::NOT_FOUND && session.is_some() {
            return Exchange::Done(Err(UpstreamError::SessionLost));
        }
        if status.is_success() && is_stream(&response) {
            let (tx, notes) = mpsc::channel(NOTES_LENGTH);
            let (answer_tx, answer) = oneshot::channel();
            let (link, session) = (self.clone(), session.cloned());
            tokio::spawn(async move {
                let mut answer_tx = answer_tx;
                tokio::select! {
                    // Cancel-safe: when nobody waits any more the stream is dropped, which tells the server.
                    answer = link.read_streams(response, number, session.as_ref(), &tx) => {
                        drop(answer_tx.send(answer));
                    }
                    () = answer_tx.closed() => {}
                }
            });
            return Exchange::Open(OpenExchange { notes, answer, guard: None });
        }
        let body = match collect(response.into_body(), self.limit).await {
            Ok(body) => body,
            Err(error) => return Exchange::Done(Err(error)),
        };
        Exchange::Done(read_answer(&body, status, number))
    }

    /// Reads events until the answer. A legacy server may end a stream before that and have the rest fetched, after the time that it names
    /// (<https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server>). A stream that
    /// breaks off is no such stream: it is how a server dies, and its calls fail at once.
    async fn read_streams(
        &self,
        mut response: Response<Incoming>,
        number: u64,
        session: Option<&HttpSession>,
        notes: &mpsc::Sender<Note>,
    ) -> Result<Answer, UpstreamError> {
        let ended = || UpstreamError::Gone("its stream ended without the answer".to_owned());
        let mut place = Place::default();
        loop {
            if let Some(answer) = read_events(response.into_body(), self.limit, Some(number), notes, &mut place).await?
            {
                return Ok(answer);
            }
            let (Some(session), Some((id, pause))) = (session, place.take()) else { return Err(ended()) };
            sleep(pause).await;
            response = self.get_stream(session, Some(id)).await?.ok_or_else(ended)?;
        }
    }
}

fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

fn fault(what: &str) -> UpstreamError {
    UpstreamError::NotMcp(format!("{what} is not valid"))
}

fn gone(error: &RequestError) -> UpstreamError {
    match error {
        RequestError::NoConnection(_) => UpstreamError::Unreached(error.to_string()),
        RequestError::Broken(_) => UpstreamError::Gone(error.to_string()),
    }
}
