//! One request on its way to a server: whose it is, where it goes, and what is edited on the way there and back.

mod capability;
pub mod edit;
mod outgoing;
mod question;
mod subscribing;
mod target;
mod teller;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, timeout};

use crate::audit::{Asker, Draft, Questions};
use crate::catalogue::{Target, View};
use crate::config::ServerConfig;
use crate::connection::{Connection, ProbeError};
use crate::era::Era;
use crate::hub::Hub;
use crate::metrics::ServerMetrics;
use crate::policy::Principal;
use crate::secrets::SecretsSince;
use crate::server::instance::InFlight;
use crate::server::{NoInstance, Server};
use crate::session::{ClientSession, UpstreamSession, set_level};
use crate::upstream::exchange::{Answer, Exchange, Note, UpstreamError};
use crate::upstream::http::Dress;
use crate::upstream::link::Link;
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::params::Params;
use crate::wire::reply::{RpcError, error_reply, notification};
use edit::Direction;
use outgoing::{Edits, Outgoing};
use question::AskingServer;
use target::find_target;
pub use target::{Aim, NotSent, find_aim};
use teller::Teller;

/// How long the first call of a session waits for its server to open the stream of what belongs to no call.
const LISTEN_TIME: Duration = Duration::from_secs(1);

/// Who asks.
#[derive(Debug)]
pub struct Caller {
    /// The principal.
    pub principal: Principal,
    /// The era that he speaks.
    pub era: Era,
    /// His session; a modern client has none.
    pub session: Option<Arc<ClientSession>>,
    /// His client's capabilities, as JSON text.
    pub capabilities: Arc<str>,
    /// What his client is, as JSON text.
    pub client_info: Arc<str>,
    /// The level of log messages that he wants; none where he said none.
    pub log_level: Option<Cow<'static, str>>,
}

/// A request that may go to its server.
#[derive(Debug)]
pub struct Relay {
    /// Where it goes.
    pub target: Target,
    /// When it is given up.
    pub deadline: Instant,
    /// Which instance it goes to was not known from the beginning.
    is_late: bool,
    /// The instance that it goes to first, once it is known.
    first: OnceLock<InFlight>,
    /// The one that it goes to since that could not be reached.
    detour: OnceLock<InFlight>,
    server: Arc<Server>,
    caller: Arc<Caller>,
    method: String,
    /// The client's message.
    message: String,
    /// What the instance is sent that it goes to first.
    outgoing: Outgoing,
    /// The client's own token of progress, as JSON text.
    progress_token: Option<String>,
    result_limit: usize,
    timeout: Duration,
    secrets: SecretsSince,
    questions: Arc<Questions>,
    /// One of the calls that the server may have at once, given back with this.
    _permit: OwnedSemaphorePermit,
}

/// What a request has of its server before it is sent.
struct Admitted {
    server: Arc<Server>,
    config: Arc<ServerConfig>,
    /// The instance that it goes to, where that is known.
    first: Option<InFlight>,
    secrets: SecretsSince,
    permit: OwnedSemaphorePermit,
}

impl Relay {
    /// Finds where a request goes, and whether it may.
    ///
    /// # Errors
    /// What the client is told when it may not.
    pub fn prepare(
        hub: &Hub,
        caller: Arc<Caller>,
        view: &View,
        method: &str,
        params: &Params<'_>,
    ) -> Result<Self, NotSent> {
        let target = find_target(view, method, &params.fields, caller.era)?;
        let is_gone =
            || RpcError::new(RpcError::SERVER_UNAVAILABLE, format!("`{}` is not there any more", target.server));
        let server = hub.server(&target.server).ok_or_else(is_gone);
        let admitted = match server.and_then(|server| Self::admit(hub, &caller, server, method, params)) {
            Ok(admitted) => admitted,
            Err(error) => return Err(NotSent { error, aim: Aim::At(target) }),
        };
        let Admitted { server, config, first, secrets, permit } = admitted;
        let edits = Edits { method, original: &target.original, headers: &target.headers, answers: None };
        // Where it is not known yet whom it goes to, it is written anew if need be.
        let era = first.as_ref().map_or(caller.era, |instance| instance.connection.era);
        let outgoing = Outgoing::write(params, era, &caller, edits);
        Ok(Self {
            target,
            deadline: Instant::now() + config.calls.timeout,
            is_late: first.is_none(),
            first: first.map(OnceLock::from).unwrap_or_default(),
            detour: OnceLock::new(),
            server,
            caller,
            method: method.to_owned(),
            message: params.source.to_owned(),
            outgoing,
            progress_token: params.meta.get("progressToken").map(str::to_owned),
            result_limit: config.calls.result_bytes,
            timeout: config.calls.timeout,
            secrets,
            questions: Arc::clone(&hub.questions),
            _permit: permit,
        })
    }

    /// What a request for a server is given, unless it may not be sent to it, or not now.
    fn admit(
        hub: &Hub,
        caller: &Caller,
        server: Arc<Server>,
        method: &str,
        params: &Params<'_>,
    ) -> Result<Admitted, RpcError> {
        let config = server.config();
        let secrets = hub.secrets_since();
        secrets.check(params.source)?;
        let size = params.source.len();
        if size > config.calls.request_bytes {
            let limit = config.calls.request_bytes;
            let message = format!("the request has {size} bytes, and `{}` takes {limit}", server.name);
            return Err(RpcError::new(RpcError::TOO_LARGE, message));
        }
        if method == "resources/subscribe" && server.place_of(caller).is_none() {
            let message = format!("each call has an instance of `{}` to itself, which tells nobody later", server.name);
            return Err(RpcError::new(RpcError::METHOD_NOT_FOUND, message));
        }
        let permit = server.permits().try_acquire_owned().map_err(|_| {
            let message = format!("`{}` is asked {} things at once already", server.name, config.calls.concurrency);
            RpcError::new(RpcError::OVERLOADED, message)
        })?;
        let first = server.pick_now().map_err(|error| no_instance(&server.name, error, &secrets))?;
        Ok(Admitted { server, config, first, secrets, permit })
    }

    /// What is counted of the server that it goes to.
    pub fn server_metrics(&self) -> &Arc<ServerMetrics> {
        &self.server.metrics
    }

    /// Who asks.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The era that the server is spoken to in.
    pub fn server_era(&self) -> Era {
        self.instance().map_or(self.caller.era, |instance| instance.connection.era)
    }

    /// Whether it went elsewhere than was known from the beginning.
    pub fn has_moved(&self) -> bool {
        self.is_late || self.detour.get().is_some()
    }

    /// The instance that it went to last, once that is known.
    pub fn instance(&self) -> Option<&InFlight> {
        self.detour.get().or_else(|| self.first.get())
    }

    /// How long the server has in all.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends it. `answers`: what the client answered to what the server asked for, and the state that goes with it. What could not be
    /// sent, since the instance is not there any more, goes to another one: it was not carried out.
    ///
    /// # Errors
    /// When there is no instance for it.
    pub async fn send(&self, answers: Option<(&str, Option<&str>)>) -> Result<Exchange, RpcError> {
        let instance = if let Some(instance) = self.instance() {
            instance
        } else {
            let acquired = self.server.acquire(&self.caller).await;
            let acquired = acquired.map_err(|error| no_instance(&self.target.server, error, &self.secrets))?;
            self.first.get_or_init(|| acquired)
        };
        let exchange = self.send_once(instance, answers).await;
        if let Exchange::Done(Err(UpstreamError::Unreached(why))) = &exchange
            && answers.is_none()
            && self.detour.get().is_none()
            && let Some(other) = self.server.acquire_instead_of(instance, why, &self.caller).await
        {
            return Ok(self.send_once(self.detour.get_or_init(|| other), answers).await);
        }
        Ok(exchange)
    }

    async fn send_once(&self, instance: &InFlight, answers: Option<(&str, Option<&str>)>) -> Exchange {
        let connection = &instance.connection;
        let anew = (answers.is_some() || connection.era != self.outgoing.era).then(|| self.write(answers));
        let outgoing = anew.as_ref().unwrap_or(&self.outgoing);
        if let Link::Stdio(link) = &connection.link {
            link.used_by(self.caller.session.as_ref().map(|session| session.number()));
        }
        match (&connection.link, connection.era, &self.caller.session) {
            // The gateway subscribes, once for all who want it.
            (_, _, Some(session)) if self.method == "resources/subscribe" => {
                Exchange::Done(self.subscribe(session, instance).await)
            }
            (link, Era::Modern, _) => {
                let has_name = matches!(self.method.as_str(), "tools/call" | "prompts/get" | "resources/read");
                let name = has_name.then_some(&*self.target.original);
                self.call(link, Dress::Modern { name, params: &outgoing.headers }, outgoing).await
            }
            (Link::Http(_), Era::Legacy, Some(session)) => self.send_in_session(session, instance, outgoing).await,
            (link, Era::Legacy, _) => {
                let exchange = self.call(link, connection.dress(None), outgoing).await;
                if matches!(exchange, Exchange::Done(Err(UpstreamError::SessionLost))) {
                    instance.kick();
                }
                exchange
            }
        }
    }

    async fn call(&self, link: &Link, dress: Dress<'_>, outgoing: &Outgoing) -> Exchange {
        link.call_with(dress, &self.method, &outgoing.params, self.progress_token.is_some()).await
    }

    /// What the instance that it goes to now is sent.
    fn write(&self, answers: Option<(&str, Option<&str>)>) -> Outgoing {
        let (method, target) = (&self.method, &self.target);
        let edits = Edits { method, original: &target.original, headers: &target.headers, answers };
        Outgoing::write(&Params::read_message(&self.message), self.server_era(), &self.caller, edits)
    }

    /// Sends it in the session that the server has for this client's session, which is begun where there is none, and begun anew where
    /// the server has forgotten it: then it was not carried out.
    async fn send_in_session(
        &self,
        session: &Arc<ClientSession>,
        instance: &InFlight,
        outgoing: &Outgoing,
    ) -> Exchange {
        for is_last in [false, true] {
            let upstream = match self.upstream_of(session, instance).await {
                Ok(upstream) => upstream,
                Err(error) => return Exchange::Done(Err(error)),
            };
            let dress = Dress::Session(&upstream.session);
            let wants_progress = self.progress_token.is_some();
            let exchange = upstream.link.call_with(dress, &self.method, &outgoing.params, wants_progress).await;
            if is_last || !matches!(exchange, Exchange::Done(Err(UpstreamError::SessionLost))) {
                return exchange;
            }
            session.forget_upstream(&upstream);
        }
        Exchange::Done(Err(UpstreamError::SessionLost))
    }

    async fn upstream_of(
        &self,
        session: &Arc<ClientSession>,
        instance: &InFlight,
    ) -> Result<Arc<UpstreamSession>, UpstreamError> {
        let cell = session.upstream(instance.handle());
        cell.get_or_try_init(|| self.begin_upstream(session, instance)).await.cloned()
    }

    async fn begin_upstream(
        &self,
        session: &Arc<ClientSession>,
        instance: &InFlight,
    ) -> Result<Arc<UpstreamSession>, UpstreamError> {
        let connection = &instance.connection;
        let link = connection.link.clone();
        let begun = Connection::begin_session(link, &session.capabilities, &session.client_info).await;
        let begun = begun.map_err(|error| match error {
            ProbeError::Broken { source, .. } => source,
            ProbeError::Silent { .. } | ProbeError::Failed { .. } | ProbeError::Version(_) => {
                UpstreamError::NotMcp(error.to_string())
            }
        })?;
        let has_logging = begun.has("logging");
        let Link::Http(link) = begun.link else {
            return Err(UpstreamError::NotMcp("it has no sessions".to_owned()));
        };
        let teller = Teller {
            server: Arc::clone(&self.target.server),
            instance: instance.id().to_owned(),
            questions: Arc::clone(&self.questions),
            secrets: self.secrets.clone(),
        };
        let (listener, opened) = teller.listen(Arc::downgrade(session), &link, &begun.session);
        let upstream = Arc::new(UpstreamSession { link, session: begun.session, listener: Some(listener) });
        let level = ClientSession::lock(&session.level).clone();
        if let (Some(level), true) = (level, has_logging) {
            set_level(&connection.link, &upstream.session, &level).await;
        }
        // Some servers open their stream with the first event only: then it is listened to from when they do.
        drop(timeout(LISTEN_TIME, opened).await);
        Ok(upstream)
    }

    /// What of a note goes to the client, as a message.
    pub async fn take_note(&self, note: Note) -> Option<String> {
        self.take_note_openly(note).await.map(|line| self.secrets.hide(line).into_owned())
    }

    async fn take_note_openly(&self, note: Note) -> Option<String> {
        match note {
            Note::Notification { method, params } => match method.as_str() {
                "notifications/progress" => {
                    let mut fields = RawObject::parse(params.as_deref()?)?;
                    fields.set("progressToken", self.progress_token.as_deref()?);
                    Some(notification(&method, Some(&fields.to_json())))
                }
                "notifications/message" if self.caller.era == Era::Legacy || self.caller.log_level.is_some() => {
                    Some(notification(&method, params.as_deref()))
                }
                _ => None,
            },
            Note::Request { id, method, params } => self.take_request(id, &method, params.as_deref()).await,
        }
    }

    /// A request of a legacy server to the client: put to the client whose session it is, refused where there is none.
    async fn take_request(&self, id: Id, method: &str, params: Option<&str>) -> Option<String> {
        let instance = self.instance()?;
        let Connection { link, session: own, .. } = &*instance.connection;
        let upstream = match (link, &self.caller.session) {
            (Link::Http(_), Some(session)) => {
                let upstream = session.upstream(instance.handle()).get().cloned();
                upstream.map(|upstream| (Link::Http(upstream.link.clone()), upstream.session.clone()))
            }
            (Link::Stdio(_), Some(_)) if instance.is_leased() => Some((link.clone(), own.clone())),
            (Link::Http(_) | Link::Stdio(_), _) => None,
        };
        if let (Some(session), Some((link, upstream))) = (&self.caller.session, upstream) {
            let draft = self.begin_question(method, params);
            return Some(AskingServer { link, session: upstream }.ask(session, draft, id, method, params));
        }
        let error = RpcError::new(RpcError::METHOD_NOT_FOUND, format!("`{method}` has no client to go to here"));
        let reply = error_reply(Some(&id), &error.to_json());
        self.begin_question(method, params).end("refused", Some(error.code), 0).await;
        // A server that is gone needs no answer.
        drop(link.respond(own, reply).await);
        None
    }

    /// What the client is told: a result or an error object, as JSON text.
    ///
    /// # Errors
    /// The error object.
    pub fn finish(&self, answer: Result<Answer, UpstreamError>) -> Result<String, String> {
        match self.finish_openly(answer) {
            Ok(result) => Ok(self.secrets.hide(result).into_owned()),
            Err(error) => Err(self.secrets.hide(error).into_owned()),
        }
    }

    /// The record of a question that the server asks in the course of this.
    pub fn begin_question(&self, method: &str, params: Option<&str>) -> Draft {
        let asker = Asker {
            server: &self.target.server,
            instance: self.instance().map(InFlight::id),
            name: Some(&self.target.original),
            principal: &self.caller.principal,
            era: self.caller.era,
            session: self.caller.session.as_deref(),
        };
        self.questions.begin(asker, &self.secrets, method, params)
    }

    /// A text without what the client may not be told.
    pub fn hide<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        self.secrets.hide(text)
    }

    fn finish_openly(&self, answer: Result<Answer, UpstreamError>) -> Result<String, String> {
        let server = &self.target.server;
        if let (Err(UpstreamError::Gone(why)), Some(instance)) = (&answer, self.instance()) {
            // What is asked next must not go with it: an instance that dies is the least busy one.
            self.server.leave(instance, why);
        }
        match answer {
            Ok(Answer::Result(result)) if result.len() > self.result_limit => {
                let message = format!("the result has {} bytes, and {} are allowed", result.len(), self.result_limit);
                Err(RpcError::new(RpcError::TOO_LARGE, message).to_json())
            }
            Ok(Answer::Result(result)) => {
                let direction = Direction { from: self.server_era(), to: self.caller.era };
                Ok(edit::result(&self.method, result, direction))
            }
            Ok(Answer::Error(error)) => Err(edit::error(error, self.caller.era)),
            Err(error @ UpstreamError::TooLarge(_)) => {
                Err(RpcError::new(RpcError::TOO_LARGE, format!("`{server}`: {error}")).to_json())
            }
            Err(error) => {
                let why = self.secrets.shorten(error.to_string());
                Err(RpcError::new(RpcError::SERVER_UNAVAILABLE, format!("`{server}`: {why}")).to_json())
            }
        }
    }

    /// What the client is told when the time is over.
    pub fn timed_out(&self) -> String {
        let what = if self.instance().is_some() { "did not answer" } else { "had no instance that was ready" };
        let message = format!("`{}` {what} within {}s", self.target.server, self.timeout.as_secs());
        RpcError::new(RpcError::TIMED_OUT, message).to_json()
    }
}

fn no_instance(server: &str, error: NoInstance, secrets: &SecretsSince) -> RpcError {
    match error {
        NoInstance::Busy(why) => RpcError::new(RpcError::OVERLOADED, format!("`{server}` {why}")),
        NoInstance::NotReady(why) => {
            let why = secrets.shorten(why);
            RpcError::new(RpcError::SERVER_UNAVAILABLE, format!("`{server}` {why}"))
        }
    }
}
