//! 2025-11-25 and before: a session, and requests in it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::body::{Body, empty, events, fault, joined_json, json};
use super::call::{self, code_of};
use super::enduring::Enduring;
use super::entry::Entry;
use super::heading::Heading;
use super::late::Late;
use super::modern::{CAPABILITIES, no_stream};
use super::post::Posted;
use super::request::{Fault, RESPONSE, record, refused};
use crate::audit::Draft;
use crate::catalogue::{ListKind, View};
use crate::connection::own_info;
use crate::era::{Era, LEGACY_VERSIONS, MODERN_VERSION, negotiate_legacy};
use crate::header::MCP_SESSION_ID;
use crate::hub::Hub;
use crate::policy::Principal;
use crate::relay::Caller;
use crate::session::{Asked, ClientSession, set_level};
use crate::sessions::Beginning;
use crate::subscription::RESOURCES_LIMIT;
use crate::upstream::exchange::Answer;
use crate::wire::envelope::{ClientMessage, Message, Outcome};
use crate::wire::id::Id;
use crate::wire::object::{RawObject, quote};
use crate::wire::params::Params;
use crate::wire::reply::{RpcError, error_reply, result_reply};
use crate::wire::sse::{event_text, one_line};

/// Answers a legacy message.
pub(super) async fn answer(posted: Posted<'_>, message: ClientMessage<'_>, params: &Params<'_>) -> Response<Body> {
    if let Message::Request { id, method, .. } = &message
        && method == "initialize"
    {
        return initialize(&posted, id, params).await;
    }
    let Posted { hub, principal, scope, heading, .. } = &posted;
    let session = match session_of(hub, principal, scope.as_deref(), heading) {
        Ok(session) => session,
        Err(fault) => return refused(hub, Some(principal), what_of(&message), fault).await,
    };
    let asked = heading.version.first();
    if asked.is_some_and(|version| !LEGACY_VERSIONS.contains(&version)) {
        let error = RpcError::new(RpcError::INVALID_REQUEST, "this version is not spoken here");
        let fault = Fault { status: StatusCode::BAD_REQUEST, id: None, error };
        return refused(hub, Some(principal), what_of(&message), fault).await;
    }
    match message {
        Message::Request { id, method, .. } => answer_request(posted, session, id, &method, params).await,
        Message::Notification { method, .. } => {
            take_notification(hub, &session, &method, params).await;
            empty(StatusCode::ACCEPTED)
        }
        Message::Response { id, outcome } => {
            let (hub, principal) = (Arc::clone(hub), principal.clone());
            let told = take_response(&hub, &session, id, outcome);
            let refusal = told.as_ref().and_then(|told| told.refusal.clone());
            // Nobody else can say it any more: it goes on when the client does not wait for that.
            Enduring::new(async move {
                let code = told.as_ref().and_then(|told| told.refusal.as_ref()).map(|refusal| refusal.code);
                if let Some(told) = told {
                    told.give().await;
                }
                let outcome = if code.is_none() { "ok" } else { "refused" };
                record(&hub, Some(&principal), RESPONSE, outcome, code).await;
            })
            .await;
            refusal.map_or_else(|| empty(StatusCode::ACCEPTED), |error| fault(StatusCode::BAD_REQUEST, None, &error))
        }
    }
}

/// What the audit says that a message asks.
fn what_of<'text>(message: &'text ClientMessage<'_>) -> &'text str {
    match message {
        Message::Request { method, .. } | Message::Notification { method, .. } => method,
        Message::Response { .. } => RESPONSE,
    }
}

async fn initialize(posted: &Posted<'_>, id: &Id, params: &Params<'_>) -> Response<Body> {
    let fields = &params.fields;
    let Posted { hub, principal, scope, .. } = posted;
    let caller = Caller {
        principal: principal.clone(),
        era: Era::Legacy,
        session: None,
        capabilities: "{}".into(),
        client_info: "{}".into(),
        log_level: None,
    };
    let entry = Entry::begin(hub, &caller, "initialize", None);
    // What the client says of itself is told to servers.
    if let Err(error) = hub.secrets().check(params.source) {
        entry.end(hub, "refused", Some(error.code), 0).await;
        return fault(StatusCode::OK, Some(id), &error);
    }
    let Some(asked) = fields.get_str("protocolVersion") else {
        entry.end(hub, "refused", Some(RpcError::INVALID_PARAMS), 0).await;
        return fault(
            StatusCode::OK,
            Some(id),
            &RpcError::new(RpcError::INVALID_PARAMS, "`protocolVersion` is missing"),
        );
    };
    let view = hub.catalogue().view(principal, scope.as_deref()).unwrap_or_default();
    let version = negotiate_legacy(&asked);
    let session = hub.sessions.begin(Beginning {
        principal: principal.clone(),
        version,
        scope: scope.clone(),
        capabilities: fields.get("capabilities").filter(|text| text.starts_with('{')).unwrap_or("{}").into(),
        client_info: fields.get("clientInfo").filter(|text| text.starts_with('{')).unwrap_or("{}").into(),
    });
    let Some(session) = session else {
        entry.end(hub, "refused", Some(RpcError::OVERLOADED), 0).await;
        let error = RpcError::new(RpcError::OVERLOADED, "there are as many sessions as there may be");
        return fault(StatusCode::SERVICE_UNAVAILABLE, Some(id), &error);
    };
    let instructions = if view.instructions.is_empty() {
        String::new()
    } else {
        format!(",\"instructions\":{}", quote(&view.instructions))
    };
    let result = format!(
        "{{\"protocolVersion\":\"{version}\",\"capabilities\":{CAPABILITIES},\"serverInfo\":{}{instructions}}}",
        own_info()
    );
    let text = result_reply(id, &result);
    entry.end(hub, "ok", None, text.len()).await;
    let mut response = json(StatusCode::OK, text);
    if let Ok(value) = HeaderValue::from_str(&session.id) {
        response.headers_mut().insert(&MCP_SESSION_ID, value);
    }
    response
}

fn session_of(
    hub: &Hub,
    principal: &Principal,
    scope: Option<&str>,
    heading: &Heading<'_>,
) -> Result<Arc<ClientSession>, Fault<'static>> {
    let Some(id) = heading.session.first() else {
        let error =
            RpcError::new(RpcError::INVALID_REQUEST, "the header `Mcp-Session-Id` is needed: begin with `initialize`");
        return Err(Fault { status: StatusCode::BAD_REQUEST, id: None, error });
    };
    hub.sessions.find(id, principal, scope).ok_or_else(|| {
        let error = RpcError::new(-32001, "there is no such session: begin anew with `initialize`");
        Fault { status: StatusCode::NOT_FOUND, id: None, error }
    })
}

async fn answer_request(
    posted: Posted<'_>,
    session: Arc<ClientSession>,
    id: Id,
    method: &str,
    params: &Params<'_>,
) -> Response<Body> {
    let Posted { hub, principal, scope, way, .. } = posted;
    let level = ClientSession::lock(&session.level).clone();
    let caller = Arc::new(Caller {
        principal,
        era: Era::Legacy,
        capabilities: Arc::clone(&session.capabilities),
        client_info: Arc::clone(&session.client_info),
        // A legacy server decides for itself until it is told; a modern one must be told.
        log_level: Some(level.map_or(Cow::Borrowed("info"), Cow::Owned)),
        session: Some(Arc::clone(&session)),
    });
    let Some(view) = hub.catalogue().view(&caller.principal, scope.as_deref()) else {
        let error = RpcError::new(RpcError::INVALID_REQUEST, "there is no such server");
        let fault = Fault { status: StatusCode::NOT_FOUND, id: Some(&id), error };
        return refused(&hub, Some(&caller.principal), method, fault).await;
    };
    let fields = &params.fields;
    if session.busy.load(Ordering::Relaxed) >= hub.config.limits.concurrency {
        let error = RpcError::new(RpcError::OVERLOADED, "too many requests of this session are under way");
        let fault = Fault { status: StatusCode::OK, id: Some(&id), error };
        return call::refuse(&hub, &caller, &view, (method, params), fault).await;
    }
    match method {
        "resources/subscribe" if !may_subscribe(&session, &fields.get_str("uri").unwrap_or_default()) => {
            let error = RpcError::new(RpcError::OVERLOADED, "this session subscribes to as many resources as it may");
            let fault = Fault { status: StatusCode::OK, id: Some(&id), error };
            return call::refuse(&hub, &caller, &view, (method, params), fault).await;
        }
        "resources/subscribe" | "tools/call" | "prompts/get" | "resources/read" | "completion/complete" => {
            return call::run(hub, caller, &view, id, method, params).await;
        }
        _ => {}
    }
    if let Some(kind) = ListKind::of_method(method) {
        return list(&hub, &way.late, &caller, &view, &id, (method, kind), fields).await;
    }
    // Before anything is done: whoever hangs up meanwhile has asked for it all the same.
    let entry = Entry::begin(&hub, &caller, method, None);
    match answer_here(&session, method, fields).await {
        Ok(result) => {
            let text = result_reply(&id, &result);
            entry.end(&hub, "ok", None, text.len()).await;
            json(StatusCode::OK, text)
        }
        Err(error) => {
            entry.end(&hub, "refused", Some(error.code), 0).await;
            json(StatusCode::OK, error_reply(Some(&id), &error.to_json()))
        }
    }
}

/// Answers what is the session's own.
///
/// # Errors
/// What is wrong with it.
async fn answer_here(session: &ClientSession, method: &str, fields: &RawObject<'_>) -> Result<String, RpcError> {
    match method {
        "ping" => {}
        "logging/setLevel" => {
            let level = fields.get_str("level").filter(|level| is_level(level));
            let level = level.ok_or_else(|| RpcError::new(RpcError::INVALID_PARAMS, "`level` is none of MCP's"))?;
            *ClientSession::lock(&session.level) = Some(level.into_owned());
            tell_level(session).await;
        }
        "resources/unsubscribe" => {
            let missing = || RpcError::new(RpcError::INVALID_PARAMS, "`uri` is missing, or no string");
            let uri = fields.get_str("uri").ok_or_else(missing)?;
            ClientSession::lock(&session.subscriptions).remove(&*uri);
        }
        _ => return Err(RpcError::new(RpcError::METHOD_NOT_FOUND, "there is no such method")),
    }
    Ok("{}".to_owned())
}

async fn list(
    hub: &Hub,
    late: &Late,
    caller: &Caller,
    view: &View,
    id: &Id,
    (method, kind): (&str, ListKind),
    fields: &RawObject<'_>,
) -> Response<Body> {
    let entry = Entry::begin(hub, caller, method, None);
    let page = view.asked_page(kind, fields);
    hub.metrics.discovery.observe(entry.took());
    let Some(page) = page else {
        entry.end(hub, "refused", Some(RpcError::INVALID_PARAMS), 0).await;
        let error = RpcError::new(RpcError::INVALID_PARAMS, "the cursor is none of this list");
        return fault(StatusCode::OK, Some(id), &error);
    };
    let head = ["{\"jsonrpc\":\"2.0\",\"id\":", id.as_json(), ",\"result\":{"].concat();
    entry.end_late(hub, late, head.len() + page.len()).await;
    joined_json(head, page)
}

/// Whether a session may subscribe to one more resource, or does already.
fn may_subscribe(session: &ClientSession, uri: &str) -> bool {
    let subscriptions = ClientSession::lock(&session.subscriptions);
    subscriptions.len() < RESOURCES_LIMIT || subscriptions.contains_key(uri)
}

fn is_level(level: &str) -> bool {
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"].contains(&level)
}

/// Tells the servers' sessions which level is wanted.
async fn tell_level(session: &ClientSession) {
    let level = ClientSession::lock(&session.level).clone().unwrap_or_default();
    let links = session.own_links();
    join_all(links.iter().map(|(link, session)| set_level(link, session, &level))).await;
}

async fn take_notification(hub: &Hub, session: &Arc<ClientSession>, method: &str, params: &Params<'_>) {
    let caller = Caller {
        principal: session.principal.clone(),
        era: Era::Legacy,
        session: Some(Arc::clone(session)),
        capabilities: Arc::default(),
        client_info: Arc::default(),
        log_level: None,
    };
    let entry = Entry::begin(hub, &caller, method, None);
    let is_known = match method {
        "notifications/cancelled" => {
            let id = params.fields.get("requestId").and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
            let cancel = id.and_then(Id::parse).and_then(|id| ClientSession::lock(&session.in_flight).remove(&id));
            if let Some(cancel) = cancel {
                // It may have ended in this moment.
                cancel.send(()).unwrap_or(());
            }
            true
        }
        "notifications/initialized" => true,
        "notifications/progress" => report_progress(hub, session, params).await,
        "notifications/roots/list_changed" => {
            let params = params.are_given.then(|| params.fields.to_json());
            let params = params.filter(|params| hub.secrets().check(params).is_ok());
            for (link, session) in session.own_links() {
                drop(link.notify(&session, method, params.as_deref()).await);
            }
            true
        }
        // To which server it would have to go is not known of any other.
        _ => false,
    };
    entry.end(hub, if is_known { "ok" } else { "refused" }, None, 0).await;
}

/// Tells a server how its request gets on, as the client whom it was put to says. Returns whether there is such a request.
async fn report_progress(hub: &Hub, session: &ClientSession, params: &Params<'_>) -> bool {
    let mut fields = params.fields.clone();
    let number = fields.get("progressToken").and_then(|token| token.parse().ok());
    let Some((link, session, token)) = number.and_then(|number| session.asked_with_token(number)) else { return false };
    if hub.secrets().is_refused(params.source) {
        return false;
    }
    fields.set("progressToken", token);
    // A server that is gone waits for nothing.
    drop(link.notify(&session, "notifications/progress", Some(&fields.to_json())).await);
    true
}

/// What a client answered to a question.
struct ClientAnswer {
    /// Who waits for it.
    asked: Asked,
    /// The record of the question.
    draft: Draft,
    /// A result or an error object, as JSON text.
    answer: Answer,
    /// The same as the audit may have it.
    shown: String,
    /// Why it may be told to nobody.
    refusal: Option<RpcError>,
}

/// An answer, where somebody waits for it. One that no server may be told is none: who waits is told so, and the client too.
fn take_response(hub: &Hub, session: &ClientSession, id: Option<Id>, outcome: Outcome<'_>) -> Option<ClientAnswer> {
    let number = id.and_then(|id| id.as_number())?;
    let (asked, draft) = session.take_asked(number)?;
    let (text, answer) = match outcome {
        Outcome::Result(result) => (result.get(), Answer::Result(result.get().to_owned())),
        Outcome::Error(error) => (error.get(), Answer::Error(error.get().to_owned())),
    };
    let secrets = hub.secrets();
    let refusal = secrets.check(text).err();
    let shown = secrets.hide(text).into_owned();
    Some(ClientAnswer { asked, draft, answer, shown, refusal })
}

impl ClientAnswer {
    /// Gives it to whoever waits for it, and says in the audit how the question ended.
    async fn give(self) {
        let Self { asked, mut draft, answer, shown, refusal } = self;
        let (ended, code, bytes) = match (&refusal, &answer) {
            (Some(refusal), _) => ("refused", Some(refusal.code), 0),
            (None, Answer::Result(result)) => ("ok", None, result.len()),
            (None, Answer::Error(error)) => ("error", code_of(error), error.len()),
        };
        if refusal.is_none() {
            draft.set_result(&shown);
        }
        let answer = refusal.map_or(answer, |refusal| Answer::Error(refusal.to_json()));
        match asked {
            Asked::Gateway(tell) => {
                draft.end(ended, code, bytes).await;
                // The call may be over.
                drop(tell.send(answer));
            }
            Asked::Server { link, session, id, .. } => {
                let reply = match answer {
                    Answer::Result(result) => result_reply(&id, &result),
                    Answer::Error(error) => error_reply(Some(&id), &error),
                };
                let is_given = link.respond(&session, reply).await.is_ok();
                draft.end(if is_given || ended != "ok" { ended } else { "error" }, code, bytes).await;
            }
        }
    }
}

/// The stream of what belongs to no request.
pub(super) async fn open_stream(
    hub: &Hub,
    principal: &Principal,
    scope: Option<&str>,
    heading: &Heading<'_>,
) -> Response<Body> {
    let version = heading.version.first();
    if version == Some(MODERN_VERSION) || !heading.session.is_there() {
        record(hub, Some(principal), "http GET", "refused", Some(405)).await;
        return no_stream();
    }
    let session = match session_of(hub, principal, scope, heading) {
        Ok(session) => session,
        Err(fault) => return refused(hub, Some(principal), "http GET", fault).await,
    };
    record(hub, Some(principal), "http GET", "ok", None).await;
    let mut outbox = session.open_outbox();
    let (tx, rx) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                // Cancel-safe: a receiver, and a look whether anybody reads. The order is fixed so that a run can be repeated.
                biased;
                message = outbox.recv() => message,
                () = tx.closed() => return,
            };
            let Some(message) = message else { return };
            if tx.send(event_text(&one_line(&message))).await.is_err() {
                return;
            }
        }
    });
    events(rx)
}

/// Ends a session.
pub(super) async fn end_session(
    hub: &Hub,
    principal: &Principal,
    scope: Option<&str>,
    heading: &Heading<'_>,
) -> Response<Body> {
    let version = heading.version.first();
    if version == Some(MODERN_VERSION) {
        record(hub, Some(principal), "http DELETE", "refused", Some(405)).await;
        return no_stream();
    }
    match session_of(hub, principal, scope, heading) {
        Ok(session) => {
            hub.sessions.end(&session.id);
            record(hub, Some(principal), "http DELETE", "ok", None).await;
            empty(StatusCode::OK)
        }
        Err(fault) => refused(hub, Some(principal), "http DELETE", fault).await,
    }
}
