//! A request that goes to a server: driven until it is answered, whatever comes in between.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::body::{Body, events, fault, json};
use super::enduring::Enduring;
use super::entry::Entry;
use super::request::Fault;
use crate::catalogue::View;
use crate::era::Era;
use crate::hub::Hub;
use crate::relay::{Caller, Relay, find_aim};
use crate::session::{Asked, ClientSession};
use crate::upstream::exchange::{Answer, Exchange, Next, UpstreamError};
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::params::Params;
use crate::wire::reply::{RpcError, error_reply, request, result_reply};
use crate::wire::sse::{event_text, one_line};

/// How often a server may ask for more before it answers.
const ROUND_LIMIT: u32 = 10;
/// How long a server that wants to be asked again, and asks for nothing, is left alone.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How many messages wait for a client's stream at most: a client that does not read slows its own call down.
const STREAM_LENGTH: usize = 64;

/// What comes next for the client.
enum Step {
    /// A message before the answer.
    Line(String),
    /// The answer, and the status where it is all that there is.
    Reply(String, StatusCode),
}

/// A request on its way.
struct Call {
    hub: Arc<Hub>,
    relay: Relay,
    id: Id,
    exchange: Option<Result<Exchange, RpcError>>,
    lines: VecDeque<String>,
    asking: Option<Asking>,
    rounds: u32,
    entry: Option<Entry>,
}

/// What a modern server asked of a legacy client.
struct Asking {
    waits: Vec<(String, oneshot::Receiver<Answer>)>,
    state: Option<String>,
}

/// Sends a request to its server and answers with what comes of it.
pub(super) async fn run(
    hub: Arc<Hub>,
    caller: Arc<Caller>,
    view: &View,
    id: Id,
    method: &str,
    params: &Params<'_>,
) -> Response<Body> {
    let mut entry = Entry::begin(&hub, &caller, method, Some(params));
    let relay = match Relay::prepare(&hub, Arc::clone(&caller), view, method, params) {
        Ok(relay) => relay,
        Err(not_sent) => {
            entry.is_for(&hub, &not_sent.aim);
            let (outcome, error) = (not_sent.outcome(), not_sent.error);
            entry.end(&hub, outcome, Some(error.code), 0).await;
            return json(status_of(caller.era, error.code), error_reply(Some(&id), &error.to_json()));
        }
    };
    entry.goes_to(&relay);
    let call =
        Call { hub, relay, id, exchange: None, lines: VecDeque::new(), asking: None, rounds: 0, entry: Some(entry) };
    match &caller.session {
        Some(session) => run_in_session(call, session).await,
        // What answers a request is moved, and most of what it would hold is needed by no list.
        None => Box::pin(run_alone(call)).await,
    }
}

/// Refuses a request for what is wrong with it whatever it is for. What it is for is in the audit all the same.
pub(super) async fn refuse(
    hub: &Hub,
    caller: &Caller,
    view: &View,
    (method, params): (&str, &Params<'_>),
    Fault { status, id, error }: Fault<'_>,
) -> Response<Body> {
    let mut entry = Entry::begin(hub, caller, method, Some(params));
    entry.is_for(hub, &find_aim(view, method, &params.fields, caller.era));
    entry.end(hub, "refused", Some(error.code), 0).await;
    fault(status, id, &error)
}

/// A modern request: whoever hangs up cancels it.
async fn run_alone(mut call: Call) -> Response<Body> {
    call.begin().await;
    let first = match call.next().await {
        Step::Reply(text, status) => return json(status, text),
        Step::Line(line) => line,
    };
    let (tx, rx) = mpsc::channel(STREAM_LENGTH);
    tokio::spawn(async move {
        let mut line = first;
        loop {
            if tx.send(event_text(&one_line(&line))).await.is_err() {
                return;
            }
            let step = tokio::select! {
                // Cancelled on purpose: nobody waits for the answer any more. The order is fixed so that a run can be repeated.
                biased;
                step = call.next() => step,
                () = tx.closed() => return,
            };
            match step {
                Step::Line(next) => line = next,
                Step::Reply(text, _) => {
                    drop(tx.send(event_text(&one_line(&text))).await);
                    return;
                }
            }
        }
    });
    events(rx)
}

/// What a session's request answers with.
enum First {
    Whole(String, StatusCode),
    Stream(mpsc::Receiver<String>),
}

/// A request of a session: to hang up cancels nothing, `notifications/cancelled` does.
async fn run_in_session(mut call: Call, session: &Arc<ClientSession>) -> Response<Body> {
    let (tell_cancel, cancelled) = oneshot::channel();
    let is_free = {
        let mut in_flight = ClientSession::lock(&session.in_flight);
        let is_free = !in_flight.contains_key(&call.id);
        if is_free {
            in_flight.insert(call.id.clone(), tell_cancel);
        }
        is_free
    };
    if !is_free {
        // Nobody could tell their answers apart, and a cancellation would be of either.
        let error = RpcError::new(RpcError::INVALID_REQUEST, "a request with this id is under way");
        let Step::Reply(text, status) = call.reply(Err(error.to_json()), "refused").await else {
            return json(StatusCode::OK, String::new());
        };
        return json(status, text);
    }
    session.busy.fetch_add(1, Ordering::Relaxed);
    let (tell_first, mut first) = oneshot::channel();
    let mut in_flight = InFlight { session: Arc::clone(session), id: Some(call.id.clone()) };
    let mut driving = Enduring::new(async move {
        tokio::select! {
            // The order is fixed so that what is cancelled has no answer, whatever came with it.
            biased;
            // An error only says that it is not cancelled any more. Whoever cancelled it has taken its id out, and may have used it anew.
            Ok(()) = cancelled => drop(in_flight.id.take()),
            () = drive(&mut call, &mut in_flight, tell_first) => {}
        }
        drop(call);
    });
    let first = tokio::select! {
        // Cancelled on purpose: a stream is written by a task of its own, and so is what nobody waits for any more. In this order, since what
        // has ended has said its first.
        biased;
        () = &mut driving => first.try_recv().ok(),
        told = &mut first => told.ok(),
    };
    match first {
        Some(First::Whole(text, status)) => json(status, text),
        Some(First::Stream(rx)) => events(rx),
        // It was cancelled, and what is cancelled has no answer.
        None => events(mpsc::channel(1).1),
    }
}

/// A request of a session that is under way.
struct InFlight {
    session: Arc<ClientSession>,
    /// Absent once it may be used anew.
    id: Option<Id>,
}

impl InFlight {
    fn free_id(&mut self) {
        if let Some(id) = self.id.take() {
            ClientSession::lock(&self.session.in_flight).remove(&id);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.free_id();
        self.session.busy.fetch_sub(1, Ordering::Relaxed);
        self.session.touch();
    }
}

async fn drive(call: &mut Call, in_flight: &mut InFlight, tell_first: oneshot::Sender<First>) {
    call.begin().await;
    let mut line = match call.next().await {
        Step::Reply(text, status) => {
            // Before the answer: who has that may use the id for the next request.
            in_flight.free_id();
            drop(tell_first.send(First::Whole(text, status)));
            return;
        }
        Step::Line(line) => line,
    };
    let (tx, rx) = mpsc::channel(STREAM_LENGTH);
    drop(tell_first.send(First::Stream(rx)));
    loop {
        // Nobody may listen any more; the call goes on all the same.
        drop(tx.send(event_text(&one_line(&line))).await);
        match call.next().await {
            Step::Line(next) => line = next,
            Step::Reply(text, _) => {
                in_flight.free_id();
                drop(tx.send(event_text(&one_line(&text))).await);
                return;
            }
        }
    }
}

impl Call {
    async fn begin(&mut self) {
        // Pinned here, since it is large and would be moved.
        let sending = pin!(self.relay.send(None));
        self.exchange = timeout_at(self.relay.deadline, sending).await.ok();
        if self.relay.has_moved()
            && let Some(entry) = &mut self.entry
        {
            entry.goes_to(&self.relay);
        }
    }

    async fn next(&mut self) -> Step {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Step::Line(line);
            }
            if let Some(asking) = self.asking.take() {
                let deadline = self.relay.deadline;
                let relay = &self.relay;
                let sending = async {
                    let (responses, state) = asking.collect().await?;
                    Some(relay.send(Some((&responses, state.as_deref()))).await)
                };
                match timeout_at(deadline, sending).await {
                    Ok(Some(exchange)) => self.exchange = Some(exchange),
                    Ok(None) => {
                        let error =
                            RpcError::new(RpcError::INTERNAL, "the client did not answer what the server asked");
                        return self.reply(Err(error.to_json()), "error").await;
                    }
                    Err(_) => return self.time_out().await,
                }
                continue;
            }
            match self.exchange.take() {
                None => return self.time_out().await,
                Some(Err(error)) => return self.reply(Err(error.to_json()), "error").await,
                Some(Ok(Exchange::Done(answer))) => {
                    if let Some(step) = self.conclude(answer).await {
                        return step;
                    }
                }
                Some(Ok(Exchange::Open(mut open))) => match timeout_at(self.relay.deadline, open.next()).await {
                    Err(_) => {
                        drop(open);
                        return self.time_out().await;
                    }
                    Ok(Next::Note(note)) => {
                        self.exchange = Some(Ok(Exchange::Open(open)));
                        if let Some(line) = self.relay.take_note(note).await {
                            return Step::Line(line);
                        }
                    }
                    Ok(Next::Answer(answer)) => {
                        if let Some(step) = self.conclude(answer).await {
                            return step;
                        }
                    }
                },
            }
        }
    }

    async fn time_out(&mut self) -> Step {
        let error = self.relay.timed_out();
        self.reply(Err(error), "error").await
    }

    /// What an answer means for the client; nothing yet when the server asks for more first.
    async fn conclude(&mut self, answer: Result<Answer, UpstreamError>) -> Option<Step> {
        if let Ok(Answer::Result(result)) = &answer
            && self.relay.caller().era == Era::Legacy
            && self.relay.server_era() == Era::Modern
            && let Some(fields) = questions_of(result)
        {
            self.rounds += 1;
            if self.rounds > ROUND_LIMIT {
                let error = RpcError::new(RpcError::INTERNAL, "the server asks for more without an end");
                return Some(self.reply(Err(error.to_json()), "error").await);
            }
            if let Err(error) = self.begin_asking(&fields).await {
                return Some(self.reply(Err(error.to_json()), "error").await);
            }
            return None;
        }
        let may_ask = self.relay.caller().era == Era::Modern && self.relay.server_era() == Era::Modern;
        let is_tool_error = |result: &str| result.contains("\"isError\":true") || result.contains("\"isError\": true");
        let told = self.relay.finish(answer);
        let outcome = match &told {
            Ok(result) if is_tool_error(result) => "toolError",
            Ok(_) => "ok",
            Err(_) => "error",
        };
        if may_ask && let Some(fields) = told.as_deref().ok().and_then(questions_of) {
            self.note_questions(&fields).await;
        }
        Some(self.reply(told, outcome).await)
    }

    /// Writes down what a modern client is asked with an answer: it asks again with what it has to say.
    async fn note_questions(&self, fields: &RawObject<'_>) {
        let requests = fields.get("inputRequests").and_then(RawObject::parse).unwrap_or_default();
        for (_, asked) in requests.iter() {
            let asked = RawObject::parse(asked).unwrap_or_default();
            let method = asked.get_str("method").unwrap_or_default();
            self.relay.begin_question(&method, asked.get("params")).end("asked", None, 0).await;
        }
    }

    /// Puts what the server asks for to the client.
    async fn begin_asking(&mut self, fields: &RawObject<'_>) -> Result<(), RpcError> {
        let session = self.relay.caller().session.clone();
        let session = session.ok_or_else(|| RpcError::new(RpcError::INTERNAL, "there is no session to ask in"))?;
        let capabilities = RawObject::parse(&session.capabilities).unwrap_or_default();
        let requests = fields.get("inputRequests").and_then(RawObject::parse).unwrap_or_default();
        let mut waits = Vec::new();
        for (key, asked) in requests.iter() {
            let asked = RawObject::parse(asked).unwrap_or_default();
            let method = asked.get_str("method").unwrap_or_default().into_owned();
            let needed = method.split('/').next().unwrap_or_default();
            let draft = self.relay.begin_question(&method, asked.get("params"));
            if !capabilities.has(needed) {
                draft.end("refused", Some(RpcError::INTERNAL), 0).await;
                let message = format!("the server asks for `{method}`, which the client cannot do");
                return Err(RpcError::new(RpcError::INTERNAL, message));
            }
            let (tx, rx) = oneshot::channel();
            let number = session.ask(Asked::Gateway(tx), draft);
            let line = request(&Id::number(number), &method, asked.get("params"));
            self.lines.push_back(self.relay.hide(line).into_owned());
            waits.push((key.to_owned(), rx));
        }
        if waits.is_empty() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        self.asking = Some(Asking { waits, state: fields.get("requestState").map(str::to_owned) });
        Ok(())
    }

    async fn reply(&mut self, told: Result<String, String>, outcome: &'static str) -> Step {
        // Why there is no answer may be in the server's own words.
        let told = told.map_err(|error| self.relay.hide(error).into_owned());
        let (text, code) = match &told {
            Ok(result) => (result_reply(&self.id, result), None),
            Err(error) => (error_reply(Some(&self.id), error), code_of(error)),
        };
        if let Some(mut entry) = self.entry.take() {
            let (Ok(answered) | Err(answered)) = &told;
            entry.set_result(answered);
            entry.end(&self.hub, outcome, code, text.len()).await;
        }
        let status = code.map_or(StatusCode::OK, |code| status_of(self.relay.caller().era, code));
        Step::Reply(text, status)
    }
}

impl Asking {
    /// What the client answered, as the server wants it, and the state that goes with it. `None`: it refused, or its session ended.
    async fn collect(self) -> Option<(String, Option<String>)> {
        let mut responses = RawObject::default();
        for (key, wait) in self.waits {
            match wait.await.ok()? {
                Answer::Result(result) => responses.set(&key, result),
                Answer::Error(_) => return None,
            }
        }
        Some((responses.to_json(), self.state))
    }
}

/// A modern server's result that asks for something before there is an answer.
fn questions_of(result: &str) -> Option<RawObject<'_>> {
    let fields = if result.contains("input_required") { RawObject::parse(result)? } else { return None };
    (fields.get_str("resultType").as_deref() == Some("input_required")).then_some(fields)
}

/// The code of an error object.
pub(super) fn code_of(error: &str) -> Option<i64> {
    RawObject::parse(error)?.get("code")?.parse().ok()
}

/// The status that goes with an error's code: 2026-07-28 has some of its own, older versions none.
pub(super) const fn status_of(era: Era, code: i64) -> StatusCode {
    match (era, code) {
        (Era::Modern, RpcError::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        (Era::Modern, RpcError::HEADER_MISMATCH | -32021 | RpcError::UNSUPPORTED_VERSION) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}
