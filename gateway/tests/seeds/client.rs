//! A client: it calls, cancels, hangs up, ends its session or forgets it, and looks at everything that it is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gateway::hub::InstanceHealth;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::engine::Engine;
use super::ledger::{Ledger, Outcome, Owner};
use super::mutants::Mutant;
use super::server::Kind;
use super::wire::{Answer, Wire};

/// A version without sessions.
const MODERN: &str = "2026-07-28";
/// How much longer than its time a call is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) principal: String,
    pub(crate) is_modern: bool,
    pub(crate) wire: Wire,
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) kinds: Vec<Arc<Kind>>,
    pub(crate) session_idle: Duration,
}

/// What becomes of a call on the client's side.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stays,
    HangsUp(u64),
    Cancels(u64),
}

/// A session, or the lack of one.
#[derive(Debug, Clone)]
struct Seat {
    owner: Owner,
    id: Option<String>,
}

impl Client {
    /// Lives until it is calm, and leaves.
    pub(crate) async fn live(self, mut rng: fastrand::Rng, calm_at: Instant) {
        let mut session = 0;
        while Instant::now() < calm_at {
            sleep(Duration::from_millis(rng.u64(0..2_000))).await;
            let Some(seat) = self.begin(session).await else {
                sleep(Duration::from_secs(1)).await;
                continue;
            };
            session += 1;
            self.use_session(&seat, &mut rng, calm_at).await;
        }
    }

    /// Begins a session, where there are such things.
    async fn begin(&self, session: usize) -> Option<Seat> {
        let mut owner = Owner { principal: self.principal.clone(), client: self.number, session: None };
        if self.is_modern {
            return Some(Seat { owner, id: None });
        }
        let info = json!({"name": format!("c{}", self.number), "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": info});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        self.ledger.ask_session();
        let mut answer = self.wire.send(Method::POST, &[], &body).await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            self.ledger.refuse_session();
            return None;
        }
        let id = answer.session.clone();
        self.ledger.check(id.is_some(), || format!("c{} has no session", self.number));
        while answer.next().await.is_some() {}
        owner.session = Some(session);
        self.ledger.begin_session(&owner);
        let seat = Seat { owner, id };
        self.post(&seat, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        if self.ledger.is(Mutant::EndsSessions) {
            self.delete(&seat).await;
        }
        Some(seat)
    }

    async fn use_session(&self, seat: &Seat, rng: &mut fastrand::Rng, calm_at: Instant) {
        let mut tasks = JoinSet::new();
        let listening = rng.bool().then(|| {
            let (client, seat) = (self.clone(), seat.clone());
            tasks.spawn(async move { client.listen(&seat).await })
        });
        let mut id = 1;
        for _ in 0..rng.u8(1..8) {
            sleep(Duration::from_millis(rng.u64(0..1_200))).await;
            if Instant::now() >= calm_at {
                break;
            }
            let reuses = rng.u8(0..12) == 0;
            let mut calls = JoinSet::new();
            for at in 0..rng.u8(1..6) {
                let is_reused = reuses && at > 0;
                if !is_reused {
                    id += 1;
                }
                let kind = Arc::clone(&self.kinds[rng.usize(0..self.kinds.len())]);
                let fate = match rng.u8(0..12) {
                    0 => Fate::HangsUp(rng.u64(0..600)),
                    1 if !self.is_modern && !reuses => Fate::Cancels(rng.u64(1..600)),
                    _ => Fate::Stays,
                };
                let (client, seat) = (self.clone(), seat.clone());
                calls.spawn(async move { client.call(&seat, &kind, id, fate, is_reused).await });
            }
            if !self.is_modern && rng.u8(0..16) == 0 {
                // It leaves in the middle of what it has asked.
                sleep(Duration::from_millis(rng.u64(0..400))).await;
                self.end(seat).await;
                while calls.join_next().await.is_some() {}
                return;
            }
            // What it reuses ids of, or hung up of, may still be under way.
            while calls.join_next().await.is_some() {}
        }
        if let (Some(listening), false) = (listening, self.ledger.is(Mutant::ListensForEver)) {
            listening.abort();
        } else if self.ledger.is(Mutant::ListensForEver) {
            tasks.detach_all();
        }
        if self.is_modern {
            return;
        }
        match rng.u8(0..4) {
            0 => self.end(seat).await,
            1 => {
                // What is idle for too long is ended for it; whoever comes back is told so, and begins another.
                self.ledger.end_session(&seat.owner, "fault: session left idle");
                sleep(self.session_idle + Duration::from_secs(12)).await;
                let kind = Arc::clone(&self.kinds[0]);
                self.call(seat, &kind, id + 1, Fate::Stays, false).await;
            }
            _ => self.ledger.end_session(&seat.owner, "fault: session left, and another begun"),
        }
    }

    /// Ends its session.
    async fn end(&self, seat: &Seat) {
        self.ledger.end_session(&seat.owner, "fault: session ended");
        self.delete(seat).await;
        self.ledger.forget_session(&seat.owner);
    }

    async fn delete(&self, seat: &Seat) {
        let headers = headers_of(seat, &Value::Null);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.wire.send(Method::DELETE, &headers, &Value::Null).await;
    }

    /// Hears what belongs to no call.
    async fn listen(&self, seat: &Seat) {
        let tag = format!("l{}", self.number);
        let mut answer = if self.is_modern {
            let params = json!({"notifications": {"toolsListChanged": true}, "_meta": own_meta()});
            let body = json!({"jsonrpc": "2.0", "id": tag, "method": "subscriptions/listen", "params": params});
            self.post(seat, &body).await
        } else {
            let headers = headers_of(seat, &Value::Null);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.wire.send(Method::GET, &headers, &Value::Null).await
        };
        while let Some(message) = answer.next().await {
            let method = message["method"].as_str().unwrap_or_default();
            self.ledger.trace.say(&format!("{} hears {method}", seat.owner.label()));
            self.ledger.trace.count("told: a list changed");
            let is_tagged = message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == tag;
            let is_right = method.ends_with("/list_changed") || method == "notifications/subscriptions/acknowledged";
            let is_right = is_right && is_tagged == self.is_modern;
            self.ledger.check(is_right, || format!("{} hears {message}", seat.owner.label()));
        }
    }

    async fn post(&self, seat: &Seat, body: &Value) -> Answer {
        let headers = headers_of(seat, body);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.wire.send(Method::POST, &headers, body).await
    }

    /// The instances of a server that answer.
    fn ready(&self, kind: &Kind) -> BTreeSet<String> {
        let is_ready = |id: &String| self.wire.hub.health().borrow().get(id) == Some(&InstanceHealth::Ready);
        let all = self.engine.all().into_iter().filter(|process| process.kind.name == kind.name);
        let runs = all.filter(|process| is_ready(&process.id)).filter_map(|process| process.run());
        runs.collect()
    }

    async fn call(&self, seat: &Seat, kind: &Arc<Kind>, id: u64, fate: Fate, reuses_id: bool) {
        let number = self.ledger.begin(&seat.owner, kind, self.ready(kind), reuses_id);
        let mut params = json!({"name": format!("{}__echo", kind.name), "arguments": {"nonce": number}});
        params["_meta"] = json!({"progressToken": format!("t{number}")});
        if self.is_modern {
            params["_meta"] = own_meta();
            params["_meta"]["progressToken"] = format!("t{number}").into();
        }
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let follow = self.follow(seat, kind, number, &body);
        match fate {
            Fate::Stays => {
                let is_over = timeout(kind.timeout + PATIENCE, follow).await.is_ok();
                self.ledger.check(is_over, || format!("n{number} never ended"));
            }
            Fate::HangsUp(after) => {
                if timeout(Duration::from_millis(after), follow).await.is_err() {
                    self.ledger.give_up(number, "fault: hung up");
                }
            }
            Fate::Cancels(after) => {
                tokio::pin!(follow);
                if timeout(Duration::from_millis(after), follow.as_mut()).await.is_err() {
                    self.ledger.give_up(number, "fault: cancelled");
                    let params = json!({"requestId": id});
                    let body = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
                    self.post(seat, &body).await;
                    let begun = Instant::now();
                    let is_over = timeout(PATIENCE, follow).await.is_ok();
                    // What is cancelled ends now, and not when the server pleases.
                    self.ledger.check(is_over && begun.elapsed() < Duration::from_millis(20), || {
                        format!("n{number} was cancelled, and went on")
                    });
                }
            }
        }
    }

    /// Sends a call, and reads what comes of it to the end.
    async fn follow(&self, seat: &Seat, kind: &Arc<Kind>, number: u64, body: &Value) {
        let mut answer = self.post(seat, body).await;
        let mut is_ended = false;
        let mut end = |outcome: &Outcome| {
            is_ended = true;
            self.ledger.end(number, outcome, &self.ready(kind));
        };
        if answer.status == StatusCode::NOT_FOUND {
            end(&Outcome::NoSession);
            self.ledger.trace.count("recovery: told that the session is gone");
            return;
        }
        while let Some(message) = answer.next().await {
            if message.get("method").is_some() {
                self.take(seat, number, &message).await;
                continue;
            }
            if message["id"] != body["id"] {
                self.ledger.fail(&format!("n{number} was answered {message}"));
                continue;
            }
            let result = &message["result"];
            let outcome = if result.is_null() {
                Outcome::Error(message["error"].clone())
            } else if result["resultType"] == "input_required" {
                // For a client that speaks as the server does this is the answer.
                self.ledger.answer(number);
                Outcome::Result(result["requestState"].as_str().unwrap_or_default().to_owned())
            } else {
                Outcome::Result(result["content"][0]["text"].as_str().unwrap_or_default().to_owned())
            };
            if self.ledger.is(Mutant::DropsReplies) && number.is_multiple_of(5) {
                std::future::pending::<()>().await;
            }
            end(&outcome);
            if self.ledger.is(Mutant::RepeatsReplies) {
                end(&outcome);
            }
        }
        if !is_ended {
            self.ledger.end(number, &Outcome::Nothing, &BTreeSet::new());
        }
    }

    /// Takes what comes before an answer.
    async fn take(&self, seat: &Seat, number: u64, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "notifications/progress" => {
                let text = params["message"].as_str().unwrap_or_default();
                self.ledger.trace.count("told: progress");
                self.ledger.hear("progress", text, &seat.owner, Some(number));
                let token = format!("t{number}");
                self.ledger.check(params["progressToken"] == token, || format!("n{number} is told {message}"));
            }
            "notifications/message" => {
                self.ledger.trace.count("told: log");
                self.ledger.hear("log", params["data"].as_str().unwrap_or_default(), &seat.owner, None);
            }
            "elicitation/create" => {
                let about = params["message"].as_str().unwrap_or_default();
                self.ledger.trace.count("told: question");
                self.ledger.hear("question", about, &seat.owner, None);
                self.ledger.check(seat.id.is_some(), || format!("{} has no session, and is asked", seat.owner.label()));
                let result = json!({"action": "accept", "content": {"about": about}});
                self.post(seat, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).await;
            }
            _ => self.ledger.fail(&format!("n{number} was told {message}")),
        }
    }
}

/// What a request of a client without a session says of it.
fn own_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/logLevel": "info",
    })
}

/// The headers that say what a request is about.
fn headers_of(seat: &Seat, body: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(id) = &seat.id {
        return vec![("mcp-session-id", id.clone())];
    }
    let version = ("mcp-protocol-version", MODERN.to_owned());
    let named = [("mcp-method", text(&body["method"])), ("mcp-name", text(&body["params"]["name"]))];
    std::iter::once(version).chain(named.into_iter().filter_map(|(name, value)| Some((name, value?)))).collect()
}
