//! One request of the client on its way: it gets one answer, whatever happens to the gateway.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::{Instant, sleep, timeout};

use super::asked::Asked;
use super::backoff::Backoff;
use super::dress::ToolHeaders;
use super::remote::{Arrived, Content, Headers, MessageStream, RemoteError, session_headers};
use super::reply::{Read, Reply, refusal, unavailable};
use super::session::{OpenSession, Parts, SessionHandle, State};
use super::subscription;
use crate::connection::own_meta;
use crate::era::{Era, MODERN_VERSION};
use crate::header::{MCP_METHOD, MCP_PROTOCOL_VERSION};
use crate::wire::object::RawObject;
use crate::wire::reply::RpcError;

/// How long the gateway has where there is another answer at hand.
const KEPT_ANSWER_TIME: Duration = Duration::from_secs(3);
/// How long a session that is being begun is waited for where there is another answer at hand.
const KEPT_SESSION_TIME: Duration = Duration::from_millis(300);
/// How many pages of tools are read to find the headers of one.
const PAGE_LIMIT: usize = 100;

/// What every request needs.
#[derive(Debug, Clone)]
pub(super) struct Bridge {
    pub(super) parts: Arc<Parts>,
    pub(super) session: SessionHandle,
    pub(super) tools: Arc<ToolHeaders>,
}

/// What came of one attempt.
enum Attempt {
    /// It has been answered.
    Answered(Reply),
    /// It was not carried out: the gateway is not there.
    Away(String),
    /// It was not carried out: the gateway does not know the session.
    SessionLost(u64),
    /// It may have been carried out.
    Broken(String),
}

impl Bridge {
    /// Sends a request and writes its answer.
    pub(super) async fn answer(&self, asked: Arc<Asked>) {
        match (asked.era, asked.method.as_str()) {
            (Era::Legacy, "initialize") => self.session.begin(asked).await,
            (Era::Modern, "subscriptions/listen") => subscription::hold(self, &asked).await,
            _ => {
                let reply = self.ask(&asked).await;
                self.parts.output.write(reply.to_line(&asked.id)).await;
            }
        }
    }

    async fn ask(&self, asked: &Asked) -> Reply {
        if asked.era == Era::Legacy && asked.method == "ping" && !matches!(self.session.state(), State::Open(_)) {
            // It asks whether the other side lives, and this one does.
            return Reply::Result("{}".to_owned());
        }
        let kept = self.parts.cache.get(asked);
        let mut backoff = Backoff::within(self.parts.patience);
        let mut lost = None;
        let mut may_learn = asked.era == Era::Modern && asked.method == "tools/call";
        loop {
            let attempt = if kept.is_some() {
                let attempt = self.attempt(asked, lost, &backoff, Some(KEPT_SESSION_TIME));
                let in_time = timeout(KEPT_ANSWER_TIME, attempt).await;
                in_time.unwrap_or_else(|_| Attempt::Away("no answer in time".to_owned()))
            } else {
                self.attempt(asked, lost, &backoff, None).await
            };
            let (why, may_have_run) = match attempt {
                Attempt::Answered(Reply::Error(error)) if may_learn && is_header_mismatch(&error) => {
                    may_learn = false;
                    self.learn_tools().await;
                    continue;
                }
                Attempt::Answered(reply) => {
                    self.take_in(asked, &reply);
                    return reply;
                }
                Attempt::SessionLost(generation) => {
                    lost = Some(generation);
                    ("the session is not known there any more".to_owned(), false)
                }
                Attempt::Away(why) => (why, false),
                Attempt::Broken(why) => (why, true),
            };
            tracing::debug!(error = %why, "a request got no answer");
            if let Some(kept) = kept {
                return Reply::Result(kept);
            }
            if (may_have_run && !asked.is_repeatable()) || !backoff.wait().await {
                return Reply::Error(unavailable(&why, may_have_run).to_json());
            }
        }
    }

    /// What is worth knowing of an answer.
    fn take_in(&self, asked: &Asked, reply: &Reply) {
        let Reply::Result(result) = reply else { return };
        self.parts.cache.put(asked, result);
        match asked.era {
            Era::Legacy => self.parts.remember(asked),
            Era::Modern if asked.method == "tools/list" => self.tools.learn(result),
            Era::Modern => {}
        }
    }

    async fn attempt(
        &self,
        asked: &Asked,
        lost: Option<u64>,
        backoff: &Backoff,
        patience: Option<Duration>,
    ) -> Attempt {
        let mut open = None;
        let headers = match asked.era {
            Era::Modern => self.tools.dress(asked),
            Era::Legacy => {
                let deadline = backoff.deadline().unwrap_or_else(Instant::now);
                let deadline = patience.map_or(deadline, |patience| deadline.min(Instant::now() + patience));
                match self.session.settled(lost, deadline).await {
                    State::Open(session) => {
                        let headers = session_headers(&session.session);
                        open = Some(session);
                        headers
                    }
                    State::Opening(why) => return Attempt::Away(why.to_string()),
                    // The gateway says what is wrong with that.
                    State::Never => Headers::new(),
                }
            }
        };
        match self.parts.remote.post(&headers, &asked.line).await {
            Ok(arrived) => self.read(arrived, open.as_deref()).await,
            Err(RemoteError::Unreachable(why)) => Attempt::Away(why),
            Err(RemoteError::Broken(why)) => Attempt::Broken(why),
        }
    }

    async fn read(&self, arrived: Arrived, open: Option<&OpenSession>) -> Attempt {
        if let (StatusCode::NOT_FOUND, Some(open)) = (arrived.status, open) {
            self.session.lose(open);
            return Attempt::SessionLost(open.generation);
        }
        match arrived.content {
            Content::Whole(text) => match Reply::read(&text) {
                Some(Read::Reply(reply)) => Attempt::Answered(reply),
                Some(Read::Other(_)) | None => match refusal(arrived.status, &text) {
                    Ok(error) => Attempt::Answered(Reply::Error(error.to_json())),
                    // Somebody in between gave up waiting: the gateway may have had it.
                    Err(why) if is_given_up(arrived.status) => Attempt::Broken(why),
                    Err(why) => Attempt::Away(why),
                },
            },
            Content::Stream(mut stream) => loop {
                match stream.next().await {
                    Ok(Some(text)) => match Reply::read(&text) {
                        Some(Read::Reply(reply)) => return Attempt::Answered(reply),
                        Some(Read::Other(_)) => self.parts.output.write(text).await,
                        None => tracing::debug!("an event of the gateway is no message"),
                    },
                    Ok(None) => match self.rest_of(stream, open).await {
                        Some(rest) => stream = rest,
                        None => return Attempt::Broken("its stream ended without the answer".to_owned()),
                    },
                    Err(RemoteError::Unreachable(why) | RemoteError::Broken(why)) => return Attempt::Broken(why),
                }
            },
        }
    }

    /// What comes after a stream that was ended before the answer: a gateway of a version with sessions may have the rest fetched, after
    /// the time that it names. One that breaks off is no such stream.
    async fn rest_of(&self, mut ended: MessageStream, open: Option<&OpenSession>) -> Option<MessageStream> {
        let (session, (event, pause)) = (&open?.session, ended.place.take()?);
        sleep(pause).await;
        match self.parts.remote.listen_after(session, &event).await.ok()?.content {
            Content::Stream(rest) => Some(rest.going_on_from(ended)),
            Content::Whole(_) => None,
        }
    }

    /// Reads every page of tools for the headers that their arguments ask for: the client may have its list from elsewhere.
    async fn learn_tools(&self) {
        let mut cursor: Option<String> = None;
        for _ in 0..PAGE_LIMIT {
            let cursor_field = cursor.as_deref().map_or_else(String::new, |cursor| format!("\"cursor\":{cursor},"));
            let meta = own_meta();
            let line = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"tools/list\",\"params\":{{{cursor_field}\"_meta\":{meta}}}}}"
            );
            let headers = vec![
                (MCP_PROTOCOL_VERSION.to_string(), MODERN_VERSION.to_owned()),
                (MCP_METHOD.to_string(), "tools/list".to_owned()),
            ];
            let Ok(arrived) = self.parts.remote.post(&headers, &line).await else { return };
            let Attempt::Answered(Reply::Result(result)) = self.read(arrived, None).await else { return };
            self.tools.learn(&result);
            let fields = RawObject::parse(&result).unwrap_or_default();
            let next = fields.get("nextCursor").filter(|next| *next != "null").map(str::to_owned);
            if next.is_none() || next == cursor {
                return;
            }
            cursor = next;
        }
    }
}

/// Whether somebody between here and the gateway passed a request on and got no answer to it.
fn is_given_up(status: StatusCode) -> bool {
    [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT].contains(&status)
}

fn is_header_mismatch(error: &str) -> bool {
    let code = RawObject::parse(error).and_then(|fields| fields.get("code").and_then(|code| code.parse().ok()));
    code == Some(RpcError::HEADER_MISMATCH)
}
