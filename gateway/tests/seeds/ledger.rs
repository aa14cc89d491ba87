//! The ledger: every call, who it is of, what became of it, and what was wrong. It shares no code with the hub.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gateway::config::Isolation;
use serde_json::Value;
use tokio::time::Instant;

use super::mutants::Mutant;
use super::server::Kind;
use super::trace::{Counts, Fingerprint, Trace};

/// How much later than its time a call may end: nothing but timers, which count in milliseconds, takes time here.
const SLACK: Duration = Duration::from_millis(20);

/// Who a call is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) principal: String,
    pub(crate) client: usize,
    /// None: a client of 2026-07-28.
    pub(crate) session: Option<usize>,
}

impl Owner {
    /// The name that is said in the trace.
    pub(crate) fn label(&self) -> String {
        self.session.map_or_else(|| format!("c{}", self.client), |session| format!("c{}.s{session}", self.client))
    }

    /// What may have an instance to itself, or hear what is said there: a session, or where there is none a principal.
    fn user(&self) -> String {
        if self.session.is_some() { self.label() } else { self.principal.clone() }
    }
}

/// A call.
#[derive(Debug)]
struct Call {
    owner: Owner,
    kind: Arc<Kind>,
    begun: Instant,
    /// What could have taken it the whole time: instances that were ready when it began.
    ready: BTreeSet<String>,
    /// Where it arrived.
    at: Vec<String>,
    /// When its server first answered it.
    answered: Option<Instant>,
    /// What it was under way on went away.
    is_cut: bool,
    /// Nobody waits for it any more, or its session ended.
    is_given_up: bool,
    /// Its id was under way when it was sent.
    reuses_id: bool,
    ends: u32,
}

impl Call {
    /// Whether it was answered before its time was over, and not in that moment.
    fn was_in_time(&self) -> bool {
        self.answered.is_some_and(|answered| answered - self.begun + SLACK < self.kind.timeout)
    }
}

/// How a call ended for its client.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The text of its result.
    Result(String),
    /// An error object.
    Error(Value),
    /// The stream ended, and there was no answer.
    Nothing,
    /// The session is not known.
    NoSession,
}

/// Everything that is known of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) trace: Trace,
    pub(crate) mutant: Option<Mutant>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: Vec<String>,
    calls: Vec<Call>,
    /// Who had each instance to himself.
    users: BTreeMap<String, BTreeSet<String>>,
    /// When something of a server went away.
    cuts: Vec<(String, Instant)>,
    /// Servers whose last call was lost with an instance.
    is_hurt: BTreeSet<String>,
    /// Ended, or idle for so long that they may have been.
    ended: BTreeSet<Owner>,
    /// Sessions that the hub may have, each with when it has ended at the latest where it was left alone.
    begun: BTreeMap<Owner, Option<Instant>>,
    /// How many there may be, how long one that is left alone may last, and how many are asked for at this moment.
    sessions_limit: usize,
    sessions_last: Duration,
    sessions_asked: usize,
    /// Sessions that may have made way for one of a principal who had fewer, how many of them at most, and those that have.
    may_have_made_way: BTreeSet<Owner>,
    may_make_way: usize,
    made_way: BTreeSet<Owner>,
}

impl Ledger {
    pub(crate) fn new(mutant: Option<Mutant>, is_kept: bool) -> Arc<Self> {
        Arc::new(Self { trace: Trace::new(is_kept), mutant, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Something is wrong.
    pub(crate) fn fail(&self, what: &str) {
        self.trace.say(&format!("WRONG: {what}"));
        self.lock().failures.push(what.to_owned());
    }

    pub(crate) fn check(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.fail(&what());
        }
    }

    /// What was wrong, what happened how often, and what two runs of one seed must agree in.
    pub(crate) fn close(&self) -> (Vec<String>, Counts, Fingerprint) {
        (self.lock().failures.clone(), self.trace.counts(), self.trace.fingerprint())
    }

    /// A call begins: its number, which no other has.
    pub(crate) fn begin(&self, owner: &Owner, kind: &Arc<Kind>, ready: BTreeSet<String>, reuses_id: bool) -> u64 {
        let mut state = self.lock();
        let number = state.calls.len();
        state.calls.push(Call {
            owner: owner.clone(),
            kind: Arc::clone(kind),
            begun: Instant::now(),
            ready,
            at: Vec::new(),
            answered: None,
            is_cut: false,
            is_given_up: false,
            reuses_id,
            ends: 0,
        });
        drop(state);
        self.trace.say(&format!("{} calls {} as n{number}", owner.label(), kind.name));
        u64::try_from(number).unwrap()
    }

    /// A call of another owner, for those that are to mix them up.
    pub(crate) fn stranger_to(&self, number: u64) -> u64 {
        let state = self.lock();
        let own = state.calls[index(number)].owner.user();
        let other = state.calls.iter().rposition(|call| call.owner.user() != own);
        other.map_or(number, |other| u64::try_from(other).unwrap())
    }

    /// Nobody waits for a call any more.
    pub(crate) fn give_up(&self, number: u64, why: &'static str) {
        self.trace.say(&format!("n{number} {why}"));
        self.trace.count(why);
        self.lock().calls[index(number)].is_given_up = true;
    }

    /// There may be so many sessions at once, and one that is left alone lasts so long at most.
    pub(crate) fn limit_sessions(&self, limit: usize, last: Duration) {
        let mut state = self.lock();
        (state.sessions_limit, state.sessions_last) = (limit, last);
    }

    /// A session is asked for.
    pub(crate) fn ask_session(&self) {
        self.lock().sessions_asked += 1;
    }

    /// There is none to be had.
    pub(crate) fn refuse_session(&self) {
        self.trace.count("fault: limit of sessions met");
        self.lock().sessions_asked -= 1;
    }

    /// A session began. Where there may have been as many as may be, one of a principal who had more may have made way for it.
    pub(crate) fn begin_session(&self, owner: &Owner) {
        self.trace.say(&format!("{} begins", owner.label()));
        let mut state = self.lock();
        state.sessions_asked -= 1;
        let now = Instant::now();
        state.begun.retain(|_, ends| ends.is_none_or(|ends| ends > now));
        // Some of these may be gone, so that of others there are so many at most, and of its own at least those that surely are not.
        let most = |principal: &str| state.begun.keys().filter(|begun| begun.principal == principal).count();
        let is_sure = |begun: &Owner, ends: Option<Instant>| ends.is_none() && !state.may_have_made_way.contains(begun);
        let own =
            state.begun.iter().filter(|(begun, ends)| begun.principal == owner.principal && is_sure(begun, **ends));
        let own = own.count();
        let is_greedier = |begun: &&Owner| begun.principal != owner.principal && most(&begun.principal) > own;
        let greedier: Vec<Owner> = state.begun.keys().filter(is_greedier).cloned().collect();
        let is_full = state.begun.len() + state.sessions_asked >= state.sessions_limit;
        if is_full && !greedier.is_empty() {
            state.may_make_way += 1;
            state.may_have_made_way.extend(greedier);
        }
        state.begun.insert(owner.clone(), None);
    }

    /// A session is ended, or left alone for too long.
    pub(crate) fn end_session(&self, owner: &Owner, why: &'static str) {
        self.trace.say(&format!("{} {why}", owner.label()));
        self.trace.count(why);
        let mut state = self.lock();
        state.ended.insert(owner.clone());
        // Nobody may have told the hub.
        let ends = Instant::now() + state.sessions_last;
        if let Some(known) = state.begun.get_mut(owner) {
            *known = Some(ends);
        }
        let mut is_under_way = false;
        for call in state.calls.iter_mut().filter(|call| call.owner == *owner && call.ends == 0) {
            call.is_given_up = true;
            is_under_way = true;
        }
        if is_under_way {
            self.trace.count("fault: session ended with calls under way");
        }
    }

    /// The hub has ended a session as it was told to.
    pub(crate) fn forget_session(&self, owner: &Owner) {
        self.lock().begun.remove(owner);
    }

    /// A call arrived at an instance.
    pub(crate) fn arrive(&self, number: u64, instance: &str) {
        self.trace.say(&format!("n{number} is at {instance}"));
        let mut state = self.lock();
        let call = &mut state.calls[index(number)];
        if call.at.last().map(String::as_str) != Some(instance) {
            call.at.push(instance.to_owned());
        }
        let user = match call.kind.sharing.isolation {
            Isolation::Shared => return,
            Isolation::PerSession => call.owner.user(),
            Isolation::PerCall => format!("n{number}"),
        };
        let users = state.users.entry(instance.to_owned()).or_default();
        users.insert(user);
        if users.len() > 1 {
            let what = format!("`{instance}` was lent to more than one: {users:?}");
            drop(state);
            self.fail(&what);
        }
    }

    /// An instance has answered a call while it was attached to.
    pub(crate) fn answer(&self, number: u64) {
        self.trace.say(&format!("n{number} is answered"));
        let mut state = self.lock();
        let call = &mut state.calls[index(number)];
        call.answered.get_or_insert_with(Instant::now);
        let server = call.kind.name.clone();
        if state.is_hurt.remove(&server) {
            self.trace.count("recovery: served after an instance went away");
        }
    }

    /// Something of a server went away, and these calls with it.
    pub(crate) fn cut(&self, server: &str, calls: &BTreeSet<u64>) {
        let mut state = self.lock();
        state.cuts.push((server.to_owned(), Instant::now()));
        state.is_hurt.insert(server.to_owned());
        for number in calls {
            state.calls[index(*number)].is_cut = true;
        }
    }

    /// A client was told something before an answer: `text` names the call that it is about.
    pub(crate) fn hear(&self, what: &'static str, text: &str, owner: &Owner, number: Option<u64>) {
        self.trace.say(&format!("{} hears a {what} of {text}", owner.label()));
        let about = text.strip_prefix('n').and_then(|digits| digits.parse::<u64>().ok());
        let is_theirs = about.is_some_and(|about| {
            let state = self.lock();
            state.calls.get(index(about)).is_some_and(|call| call.owner.user() == owner.user())
        });
        self.check(is_theirs, || format!("a {what} of {text} reached {}", owner.label()));
        // Progress is of one call; what a server says and asks otherwise is of all calls of a session.
        let is_right = what != "progress" || number.is_some_and(|number| about == Some(number));
        self.check(is_right, || format!("a progress of {text} reached the call {number:?}"));
    }

    /// A call ended for its client.
    pub(crate) fn end(&self, number: u64, outcome: &Outcome, still_ready: &BTreeSet<String>) {
        let text = match outcome {
            Outcome::Result(text) => format!("result {text}"),
            Outcome::Error(error) => format!("error {error}"),
            Outcome::Nothing => "nothing".to_owned(),
            Outcome::NoSession => "no session".to_owned(),
        };
        self.trace.say(&format!("n{number} ends: {text}"));
        let wrong = self.judge(number, outcome, still_ready);
        if let Some(wrong) = wrong {
            self.fail(&format!("n{number} ended with {text}: {wrong}"));
        }
    }

    fn judge(&self, number: u64, outcome: &Outcome, still_ready: &BTreeSet<String>) -> Option<String> {
        let mut state = self.lock();
        let state = &mut *state;
        let call = &mut state.calls[index(number)];
        call.ends += 1;
        let took = call.begun.elapsed();
        if call.ends > 1 {
            return Some("it has ended before".to_owned());
        }
        if took > call.kind.timeout + SLACK {
            return Some(format!("after {took:?}"));
        }
        match outcome {
            Outcome::Result(text) if *text != format!("n{number}") => Some("it is of another call".to_owned()),
            Outcome::Result(_) if call.answered.is_none() => Some("no server said so".to_owned()),
            Outcome::Result(_) => None,
            Outcome::Nothing => (!call.is_given_up).then(|| "nobody gave it up".to_owned()),
            Outcome::NoSession => {
                if state.may_have_made_way.contains(&call.owner) && state.made_way.len() < state.may_make_way {
                    state.made_way.insert(call.owner.clone());
                    state.begun.remove(&call.owner);
                }
                let is_gone = state.ended.contains(&call.owner) || state.made_way.contains(&call.owner);
                (!is_gone).then(|| "it has one".to_owned())
            }
            Outcome::Error(_) if call.was_in_time() && !call.is_cut => Some("it was answered".to_owned()),
            Outcome::Error(error) => {
                let cuts = state.cuts.iter().filter(|(server, at)| *server == call.kind.name && *at >= call.begun);
                judge_error(&self.trace, call, error, cuts.count() > 0, still_ready)
            }
        }
    }

    /// Calls that have not ended, and were not given up.
    pub(crate) fn open_calls(&self) -> Vec<usize> {
        let state = self.lock();
        let open = state.calls.iter().enumerate().filter(|(_, call)| call.ends == 0 && !call.is_given_up);
        open.map(|(number, _)| number).collect()
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// What is wrong with an error.
fn judge_error(
    trace: &Trace,
    call: &Call,
    error: &Value,
    is_hurt: bool,
    still_ready: &BTreeSet<String>,
) -> Option<String> {
    let (code, message) = (error["code"].as_i64().unwrap_or_default(), error["message"].as_str().unwrap_or_default());
    let says = |part: &str| message.contains(part);
    // What was ready all the time could have taken it.
    let could_have: Vec<&String> = call.ready.intersection(still_ready).collect();
    match code {
        -31001 if says("is not ready") => {
            trace.count("told: not ready");
            let is_shared = call.kind.sharing.isolation == Isolation::Shared;
            (is_shared && !could_have.is_empty()).then(|| format!("{could_have:?} was ready"))
        }
        -31001 if says("the server is gone") || says("does not begin a session") => {
            trace.count("told: gone");
            // What was not at any server may have been on its way to one when it went.
            let is_due = call.is_cut || (call.at.is_empty() && is_hurt);
            (!is_due).then(|| format!("nothing that it was under way on went away, it was at {:?}", call.at))
        }
        -31001 if says("is not there any more") => (!is_hurt).then(|| "its server is there".to_owned()),
        -31002 => {
            trace.count("told: timed out");
            if call.begun.elapsed() + SLACK < call.kind.timeout {
                return Some("it had time left".to_owned());
            }
            let is_shared = call.kind.sharing.isolation == Isolation::Shared;
            let could_have = is_shared && says("had no instance") && !could_have.is_empty();
            could_have.then(|| "there was an instance".to_owned())
        }
        -31004 if says("may have no more") => {
            trace.count("fault: limit of leases met");
            None
        }
        -31004 if says("things at once") || says("too many requests") => {
            trace.count("fault: limit of calls met");
            None
        }
        -32600 if says("a request with this id is under way") => {
            trace.count("fault: id reused under way");
            (!call.reuses_id).then(|| "nothing with its id was under way".to_owned())
        }
        // A server that is away for a while lists nothing meanwhile.
        -32602 if says("there is no tool") => (!is_hurt && !call.ready.is_empty()).then(|| "there is".to_owned()),
        // The session ended while it was asked.
        -32603 if says("did not answer what the server asked") => (!call.is_given_up).then(|| "it did".to_owned()),
        _ => Some("nobody knows why".to_owned()),
    }
}
