//! What goes wrong between the controller and the Engine: decided by a seed, or one thing at one place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller::engine::simulated::{Call, CallKind, CallOutcome, FaultPlan, ReplyFault, RequestFault};
use tokio::time::Instant;

use super::trace::Trace;

/// The faults of a run. Clones are handles of the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    trace: Trace,
    random: fastrand::Rng,
    rates: Rates,
    single: Option<Single>,
    /// Calls that were seen by `single`, from 0.
    calls_seen: u64,
    stalled_until: Option<Instant>,
    hung: Vec<String>,
    /// When the last call that was to be late has taken effect.
    late_until: Instant,
    events_seen: u64,
}

/// How often things go wrong, as shares of 1,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    /// The Engine answers with an error.
    pub(crate) fail: u32,
    /// There is no connection.
    pub(crate) unreachable: u32,
    /// The request is lost.
    pub(crate) drop_request: u32,
    /// The reply is lost.
    pub(crate) drop_reply: u32,
    /// The call takes effect long after its caller has gone.
    pub(crate) late: u32,
    /// Everything on the container of the call hangs.
    pub(crate) hang: u32,
    /// The reply comes late.
    pub(crate) slow: u32,
    /// A list is as it was the last time.
    pub(crate) stale_list: u32,
    /// An inspection is as it was the last time.
    pub(crate) stale_inspect: u32,
    /// An event is lost.
    pub(crate) lose_event: u32,
    /// An event comes twice.
    pub(crate) repeat_event: u32,
    /// An event comes after the next one.
    pub(crate) reorder_event: u32,
    /// An event comes late, and with it all that follow.
    pub(crate) delay_event: u32,
    /// The stream stays open and says nothing any more.
    pub(crate) freeze_stream: u32,
    /// The stream ends.
    pub(crate) cut_stream: u32,
    /// Something that is no event comes.
    pub(crate) garbage_event: u32,
}

/// One fault at one place, for enumerations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Single {
    /// The `at`th changing call, from 0, fails in this way.
    Call { at: u64, way: Way },
    /// The `at`th event is lost.
    LoseEvent { at: u64 },
    /// The `at`th observation is as it was the last time.
    Stale { at: u64 },
    /// Each event of a container is followed by one that tells of a death that there was not.
    FalseEvents,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The Engine answers with an error.
    Error,
    /// No answer comes, and nothing was done.
    TimedOutNotDone,
    /// No answer comes, and it was done.
    TimedOutDone,
    /// No answer comes, and it is done later.
    DoneLater,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventFault {
    None,
    Lose,
    Repeat,
    Reorder,
    Delay(Duration),
    Freeze,
    Cut,
    Garbage,
    Untrue,
}

impl Faults {
    /// None yet; what they will be is decided by a seed.
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let state = State {
            trace,
            random: fastrand::Rng::with_seed(seed),
            rates: Rates::default(),
            single: None,
            calls_seen: 0,
            stalled_until: None,
            hung: Vec::new(),
            late_until: Instant::now(),
            events_seen: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The plan that the simulated Engine asks.
    pub(crate) fn plan(&self) -> impl FaultPlan + 'static {
        Plan(self.clone())
    }

    /// How often things go wrong from now on.
    pub(crate) fn set_rates(&self, rates: Rates) {
        self.lock().rates = rates;
    }

    /// One thing goes wrong, counted from now on.
    pub(crate) fn set_single(&self, single: Option<Single>) {
        let mut state = self.lock();
        state.single = single;
        state.calls_seen = 0;
        state.events_seen = 0;
    }

    /// How many changing calls, or observations or events, were counted for the single fault.
    pub(crate) fn seen(&self) -> (u64, u64) {
        let state = self.lock();
        (state.calls_seen, state.events_seen)
    }

    /// Nobody can reach the Engine for so long.
    pub(crate) fn stall(&self, time: Duration) {
        let mut state = self.lock();
        state.trace.count("fault: stalled engine");
        state.stalled_until = Some(Instant::now() + time);
    }

    /// What hangs, by what the calls named; it is forgotten here.
    pub(crate) fn take_hung(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().hung)
    }

    /// When the last late call will have taken effect.
    pub(crate) fn late_until(&self) -> Instant {
        self.lock().late_until
    }

    /// Whether this observation is as it was the last time.
    pub(crate) fn is_stale(&self, kind: CallKind) -> bool {
        let mut state = self.lock();
        if let Some(Single::Stale { at }) = state.single {
            let is_it = state.calls_seen == at;
            state.calls_seen += 1;
            return is_it;
        }
        let is_list = matches!(kind, CallKind::ListContainers | CallKind::ListNetworks | CallKind::ListVolumes);
        let rate = if is_list { state.rates.stale_list } else { state.rates.stale_inspect };
        let is_stale = state.happens(rate);
        if is_stale {
            state.trace.count(if is_list { "fault: stale list" } else { "fault: stale inspection" });
        }
        is_stale
    }

    /// What becomes of the next event.
    pub(crate) fn of_event(&self) -> EventFault {
        let mut state = self.lock();
        state.events_seen += 1;
        if let Some(Single::LoseEvent { at }) = state.single {
            return if state.events_seen == at + 1 { EventFault::Lose } else { EventFault::None };
        }
        if state.single == Some(Single::FalseEvents) {
            return EventFault::Untrue;
        }
        let rates = state.rates;
        let (fault, name) = if state.happens(rates.lose_event) {
            (EventFault::Lose, "fault: lost event")
        } else if state.happens(rates.repeat_event) {
            (EventFault::Repeat, "fault: repeated event")
        } else if state.happens(rates.reorder_event) {
            (EventFault::Reorder, "fault: reordered event")
        } else if state.happens(rates.delay_event) {
            let delay = Duration::from_millis(state.random.u64(1..5_000));
            (EventFault::Delay(delay), "fault: delayed event")
        } else if state.happens(rates.freeze_stream) {
            (EventFault::Freeze, "fault: frozen stream")
        } else if state.happens(rates.cut_stream) {
            (EventFault::Cut, "fault: cut stream")
        } else if state.happens(rates.garbage_event) {
            (EventFault::Garbage, "fault: garbage event")
        } else {
            return EventFault::None;
        };
        state.trace.count(name);
        fault
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn happens(&mut self, rate: u32) -> bool {
        rate > 0 && self.random.u32(0..1_000) < rate
    }

    fn before(&mut self, call: &Call) -> RequestFault {
        if let Some(until) = self.stalled_until {
            if Instant::now() < until {
                return RequestFault::Unreachable;
            }
            self.stalled_until = None;
        }
        if let Some(Single::Call { at, way }) = self.single {
            return if call.kind.is_mutating() { self.before_single(call, at, way) } else { RequestFault::None };
        }
        let rates = self.rates;
        if self.happens(rates.unreachable) {
            self.trace.count("fault: unreachable");
            return RequestFault::Unreachable;
        }
        if self.happens(rates.fail) {
            self.trace.count("fault: failed call");
            return self.refusal(call.kind);
        }
        if !call.kind.is_mutating() {
            if self.happens(rates.drop_request) {
                self.trace.count("fault: lost read");
                return RequestFault::DropRequest;
            }
            return RequestFault::None;
        }
        if self.happens(rates.drop_request) {
            self.trace.count("fault: lost request");
            return RequestFault::DropRequest;
        }
        if self.happens(rates.late) {
            self.trace.count("fault: late effect");
            let longest_ms = if self.random.u8(0..5) == 0 { 600_000 } else { 40_000 };
            let delay = Duration::from_millis(self.random.u64(1..longest_ms));
            self.late_until = self.late_until.max(Instant::now() + delay);
            return RequestFault::ApplyLate(delay);
        }
        let is_on_container = call.subject.len() == 64 && call.kind != CallKind::RemoveNetwork;
        if is_on_container && self.happens(rates.hang) {
            self.trace.count("fault: hanging object");
            self.hung.push(call.subject.clone());
            return RequestFault::HangObject;
        }
        RequestFault::None
    }

    fn before_single(&mut self, call: &Call, at: u64, way: Way) -> RequestFault {
        let number = self.calls_seen;
        self.calls_seen += 1;
        if number != at {
            return RequestFault::None;
        }
        match way {
            Way::Error => self.refusal(call.kind),
            Way::TimedOutNotDone => RequestFault::DropRequest,
            Way::TimedOutDone => RequestFault::None,
            Way::DoneLater => {
                let delay = Duration::from_secs(20);
                self.late_until = Instant::now() + delay;
                RequestFault::ApplyLate(delay)
            }
        }
    }

    fn after(&mut self, call: &Call) -> ReplyFault {
        if let Some(Single::Call { at, way: Way::TimedOutDone }) = self.single {
            let is_it = call.kind.is_mutating() && self.calls_seen == at + 1;
            return if is_it { ReplyFault::DropReply } else { ReplyFault::None };
        }
        let rates = self.rates;
        if call.kind.is_mutating() && self.happens(rates.drop_reply) {
            self.trace.count("fault: lost reply");
            return ReplyFault::DropReply;
        }
        if self.happens(rates.slow) {
            self.trace.count("fault: slow reply");
            return ReplyFault::Delay(Duration::from_millis(self.random.u64(1..30_000)));
        }
        ReplyFault::None
    }

    /// An error as real engines give it, of one sort or another.
    fn refusal(&mut self, kind: CallKind) -> RequestFault {
        let texts: &[(u16, &str)] = match kind {
            CallKind::PullImage => &[
                (500, "toomanyrequests: You have reached your pull rate limit"),
                (500, "Get https://registry.test/v2/: dial tcp: connect: connection refused"),
                (500, "Head manifests: no basic auth credentials"),
                (404, "manifest unknown: manifest unknown"),
            ],
            CallKind::CreateContainer => &[
                (500, "no space left on device"),
                (404, "No such image: app:1"),
                (400, "invalid something"),
                (500, "json: cannot unmarshal string into Go value"),
            ],
            CallKind::StartContainer => &[
                (500, "OCI runtime create failed: runc create failed: pipe2: too many open files: unknown"),
                (500, "driver failed programming external connectivity on endpoint x: port is already allocated"),
                (400, "exec: \"/x\": no such file or directory: unknown"),
            ],
            CallKind::StopContainer => &[(500, "tried to kill container, but did not receive an exit event")],
            CallKind::RemoveContainer => &[
                (409, "removal of container x is already in progress"),
                (409, "You cannot remove a running container x. Stop the container before attempting removal"),
                (500, "driver \"overlay2\" failed to remove root filesystem: device or resource busy"),
            ],
            CallKind::RemoveNetwork => &[(403, "error while removing network: network x has active endpoints")],
            CallKind::RemoveVolume => &[(409, "remove x: volume is in use - [y]")],
            _ => &[(500, "internal error"), (403, "forbidden by proxy"), (503, "try later"), (502, "bad gateway")],
        };
        let (status, text) = texts[self.random.usize(0..texts.len())];
        RequestFault::Fail { status, text: text.to_owned() }
    }
}

struct Plan(Faults);

impl FaultPlan for Plan {
    fn before(&mut self, call: &Call) -> RequestFault {
        self.0.lock().before(call)
    }

    fn after(&mut self, call: &Call, _outcome: &CallOutcome) -> ReplyFault {
        self.0.lock().after(call)
    }
}
