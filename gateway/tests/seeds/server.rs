//! An instance of a server: it echoes the number of each call, in any order, and misbehaves by its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gateway::config::{Isolation, Sharing};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::ledger::Ledger;
use super::mutants::Mutant;

/// What all instances of a server have in common.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) is_modern: bool,
    pub(crate) sharing: Sharing,
    pub(crate) spare: usize,
    pub(crate) timeout: Duration,
}

/// How a call is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    Plain,
    Twice,
    UnknownId,
    Garbage,
    HalfLine,
    Late,
    Never,
    Dies,
    Asks,
    Progress,
    Log,
}

/// An instance that runs.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: String,
    pub(crate) kind: Arc<Kind>,
    run: u64,
    ledger: Arc<Ledger>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: fastrand::Rng,
    /// Where its lines go: as many as are attached.
    outputs: Vec<mpsc::UnboundedSender<String>>,
    attachments: u64,
    tasks: JoinSet<()>,
    /// What it asked, by its ids: who waits for the answer.
    asked: BTreeMap<u64, oneshot::Sender<Value>>,
    next_asked: u64,
    /// Calls that are not answered, with their ids and tokens.
    under_way: BTreeMap<u64, (Value, Value)>,
    cancelled: BTreeSet<String>,
    has_more: bool,
    is_calm: bool,
    is_dead: bool,
}

impl Process {
    pub(crate) fn begin(
        id: &str,
        kind: &Arc<Kind>,
        ledger: &Arc<Ledger>,
        mut rng: fastrand::Rng,
        is_calm: bool,
    ) -> Arc<Self> {
        ledger.trace.say(&format!("{id} starts"));
        let run = rng.u64(..);
        let state = State {
            rng,
            outputs: Vec::new(),
            attachments: 0,
            tasks: JoinSet::new(),
            asked: BTreeMap::new(),
            next_asked: 1,
            under_way: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            has_more: false,
            is_calm,
            is_dead: false,
        };
        let state = Mutex::new(state);
        Arc::new(Self { id: id.to_owned(), kind: Arc::clone(kind), run, ledger: Arc::clone(ledger), state })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// One more who is told what it says. `None`: it is gone.
    pub(crate) fn attach(&self) -> Option<mpsc::UnboundedReceiver<String>> {
        let mut state = self.lock();
        let (tx, rx) = mpsc::unbounded_channel();
        state.outputs.push(tx);
        state.attachments += 1;
        (!state.is_dead).then_some(rx)
    }

    /// This run of it, as it is attached to now. `None`: it is not, or has ended.
    pub(crate) fn run(&self) -> Option<String> {
        let state = self.lock();
        let is_there = !state.is_dead && !state.outputs.is_empty();
        is_there.then(|| format!("{}, run {}, attachment {}", self.id, self.run, state.attachments))
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    /// From now on it does what it is asked.
    pub(crate) fn calm(&self) {
        self.lock().is_calm = true;
    }

    /// Nobody is attached any more; it goes on.
    pub(crate) fn cut(&self) {
        let calls = {
            let mut state = self.lock();
            state.outputs.clear();
            state.under_way.keys().copied().collect()
        };
        self.ledger.cut(&self.kind.name, &calls);
    }

    /// It ends. Whether anything was under way.
    pub(crate) fn kill(&self) -> bool {
        self.cut();
        let mut state = self.lock();
        state.is_dead = true;
        state.tasks.abort_all();
        state.asked.clear();
        !state.under_way.is_empty()
    }

    /// It ends since nobody needs it: whatever is under way on it now would be lost without a reason.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.outputs.clear();
        state.is_dead = true;
        state.tasks.abort_all();
        state.asked.clear();
    }

    /// Its list changes.
    pub(crate) fn change_list(&self) {
        let mut state = self.lock();
        state.has_more = !state.has_more;
        drop(state);
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    }

    fn say(&self, line: &Value) {
        self.say_raw(&format!("{line}\n"));
    }

    fn say_raw(&self, line: &str) {
        let mut state = self.lock();
        state.outputs.retain(|output| output.send(line.to_owned()).is_ok());
    }

    fn reply(&self, id: &Value, mut result: Value) {
        if self.kind.is_modern {
            result["resultType"] = result.get("resultType").cloned().unwrap_or_else(|| "complete".into());
        }
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    /// Takes a line.
    pub(crate) fn take(self: &Arc<Self>, line: &str) {
        let message: Value = serde_json::from_str(line).unwrap();
        let capabilities = json!({"tools": {"listChanged": true}, "logging": {}});
        let id = &message["id"];
        match message["method"].as_str() {
            Some("server/discover") if self.kind.is_modern => {
                self.reply(id, json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities}));
            }
            Some("initialize") if !self.kind.is_modern => {
                let info = json!({"name": "s", "version": "1"});
                self.reply(
                    id,
                    json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info}),
                );
            }
            Some("tools/list") => {
                let names = if self.lock().has_more { vec!["echo", "more"] } else { vec!["echo"] };
                let tools: Vec<Value> =
                    names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect();
                self.reply(id, json!({ "tools": tools }));
            }
            Some("ping" | "logging/setLevel") => self.reply(id, json!({})),
            Some("tools/call") => self.take_call(&message),
            Some("notifications/cancelled") => {
                self.lock().cancelled.insert(message["params"]["requestId"].to_string());
                self.ledger.trace.count("told: a server of a cancellation");
            }
            Some("subscriptions/listen") => {}
            Some(method) if method.starts_with("notifications/") => {}
            Some(_) => {
                let error = json!({"code": -32601, "message": "Method not found"});
                self.say(&json!({"jsonrpc": "2.0", "id": id, "error": error}));
            }
            None => {
                let waits = id.as_u64().and_then(|id| self.lock().asked.remove(&id));
                if let Some(waits) = waits {
                    drop(waits.send(message));
                }
            }
        }
    }

    fn take_call(self: &Arc<Self>, message: &Value) {
        let number = message["params"]["arguments"]["nonce"].as_u64().unwrap();
        self.ledger.arrive(number, &self.id);
        let (id, token) = (message["id"].clone(), message["params"]["_meta"]["progressToken"].clone());
        let answers = message["params"].get("inputResponses").cloned();
        if let Some(answers) = &answers {
            let who = &answers["q"]["content"]["about"];
            self.ledger.check(*who == json!(format!("n{number}")), || format!("n{number} was told {answers}"));
            self.ledger.trace.count("recovery: a question of a modern server answered");
        }
        let mut state = self.lock();
        while state.tasks.try_join_next().is_some() {}
        state.under_way.insert(number, (id.clone(), token.clone()));
        let mut conduct = draw(&mut state);
        if conduct == Conduct::Asks && answers.is_some() {
            conduct = Conduct::Plain;
        }
        let delay = match state.rng.u8(0..8) {
            0 => 0,
            1 => state.rng.u64(0..2_500),
            _ => state.rng.u64(0..300),
        };
        let mut delay = Duration::from_millis(delay);
        if self.ledger.is(Mutant::CannotBeRepeated) {
            delay += Duration::from_millis(RandomState::new().hash_one(number) % 100);
        }
        let process = Arc::clone(self);
        state.tasks.spawn(async move { process.carry_out(number, id, token, conduct, delay).await });
    }

    async fn carry_out(self: Arc<Self>, number: u64, id: Value, token: Value, conduct: Conduct, delay: Duration) {
        sleep(delay / 2).await;
        let text = format!("n{number}");
        let count = |what| self.ledger.trace.count(what);
        match conduct {
            Conduct::Plain | Conduct::Twice => {}
            Conduct::UnknownId => {
                count("fault: answer of an unknown id");
                self.reply(&json!(id.as_u64().unwrap_or_default() + (1 << 42)), json!({"content": []}));
            }
            Conduct::Garbage => {
                count("fault: garbage");
                self.say_raw("Listening on stdio {\"id\":...\n\u{0}\n[]\n");
            }
            Conduct::HalfLine => {
                count("fault: half a line");
                self.say_raw(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\n"));
            }
            Conduct::Late => {
                count("fault: late");
                sleep(self.kind.timeout + Duration::from_millis(300)).await;
            }
            Conduct::Never => {
                count("fault: never answered");
                return;
            }
            Conduct::Dies => {
                count("fault: died of a call");
                self.say_raw(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id}"));
                self.kill();
                return;
            }
            Conduct::Asks => {
                if self.ask(number, &id).await {
                    return;
                }
            }
            Conduct::Progress => self.tell_progress(number, &token),
            Conduct::Log => {
                count("fault: log");
                // Some say it when whoever is attached is somebody else.
                sleep(Duration::from_millis(number * 97 % 1_800)).await;
                let about = if self.ledger.is(Mutant::MixesUpLogs) { self.ledger.stranger_to(number) } else { number };
                let params = json!({"level": "info", "data": format!("n{about}")});
                self.say(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": params}));
            }
        }
        sleep(delay / 2).await;
        let is_cancelled = self.lock().cancelled.contains(&id.to_string());
        // One that is told that nobody waits may stop, or not.
        if is_cancelled && number.is_multiple_of(2) {
            self.lock().under_way.remove(&number);
            return;
        }
        let id = if self.ledger.is(Mutant::SwapsReplies) { self.swap(number, id) } else { id };
        let is_heard = !self.lock().outputs.is_empty();
        if is_heard && self.lock().under_way.remove(&number).is_some() {
            self.ledger.answer(number);
        }
        if self.ledger.is(Mutant::LosesReplies) && number.is_multiple_of(3) {
            return;
        }
        let result = json!({"content": [{"type": "text", "text": text}]});
        self.reply(&id, result.clone());
        if conduct == Conduct::Twice {
            count("fault: answered twice");
            self.reply(&id, result);
        }
    }

    /// Another call's id, which gets this one's in exchange.
    fn swap(&self, number: u64, id: Value) -> Value {
        let mut state = self.lock();
        let other = state.under_way.iter_mut().find(|(other, _)| **other != number);
        other.map_or(id.clone(), |(_, known)| std::mem::replace(&mut known.0, id))
    }

    fn tell_progress(&self, number: u64, token: &Value) {
        if token.is_null() {
            return;
        }
        self.ledger.trace.count("fault: progress");
        let about = if self.ledger.is(Mutant::MixesUpProgress) { self.ledger.stranger_to(number) } else { number };
        for progress in 0..2 {
            let params = json!({"progressToken": token, "progress": progress, "message": format!("n{about}")});
            self.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
        }
    }

    /// Asks the client something. Whether the call is over with it, and comes again with the answer.
    async fn ask(&self, number: u64, id: &Value) -> bool {
        self.ledger.trace.count("fault: question");
        let about = if self.ledger.is(Mutant::MixesUpQuestions) { self.ledger.stranger_to(number) } else { number };
        let params = json!({"message": format!("n{about}"), "requestedSchema": {"type": "object", "properties": {}}});
        if self.kind.is_modern {
            let requests = json!({"q": {"method": "elicitation/create", "params": params}});
            self.reply(
                id,
                json!({"resultType": "input_required", "inputRequests": requests, "requestState": format!("n{number}")}),
            );
            return true;
        }
        let (tx, rx) = oneshot::channel();
        let asked = {
            let mut state = self.lock();
            let asked = state.next_asked;
            state.next_asked += 1;
            state.asked.insert(asked, tx);
            asked
        };
        self.say(&json!({"jsonrpc": "2.0", "id": asked, "method": "elicitation/create", "params": params}));
        let Ok(Ok(answer)) = timeout(Duration::from_secs(1), rx).await else { return false };
        if answer.get("error").is_some() {
            self.ledger.trace.count("told: a question has no client to go to");
        } else {
            self.ledger.trace.count("recovery: a question answered");
            let is_shared = self.kind.sharing.isolation == Isolation::Shared;
            self.ledger.check(!is_shared, || format!("`{}` is shared, and its question was answered", self.id));
            let about = &answer["result"]["content"]["about"];
            self.ledger.check(*about == params["message"], || format!("n{number} asked, and was told {answer}"));
        }
        false
    }
}

fn draw(state: &mut State) -> Conduct {
    if state.is_calm {
        return Conduct::Plain;
    }
    match state.rng.u8(0..40) {
        0 => Conduct::Twice,
        1 => Conduct::UnknownId,
        2 => Conduct::Garbage,
        3 => Conduct::HalfLine,
        4 => Conduct::Late,
        5 => Conduct::Never,
        6 => Conduct::Dies,
        7..=10 => Conduct::Asks,
        11..=14 => Conduct::Progress,
        15..=18 => Conduct::Log,
        _ => Conduct::Plain,
    }
}
