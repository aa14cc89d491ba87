//! A proxy between the controller and the Engine that does to the calls what a test asks for: the faults that no engine shows on demand.
//!
//! A call goes through untouched unless a [`Rule`] takes it. Every rule counts what it took, because a test whose fault never came
//! proves nothing. The test itself speaks to the Engine directly.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tempfile::TempDir;

use super::engine::{EngineAddress, TestBed, eventually};
use super::event_proxy::{EventFault, relay_events};
use super::fault::{Answer, Calls, Fault};
use super::scene::{PATIENCE, scene};

/// A rule that was given to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleId(usize);

struct Rule {
    id: RuleId,
    calls: Calls,
    fault: Fault,
    met: usize,
    taken: usize,
    is_over: bool,
}

/// What all threads of a proxy share.
pub(super) struct Shared {
    engine: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    is_ended: AtomicBool,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    event_fault: Option<EventFault>,
    events_faulted: usize,
    random: fastrand::Rng,
    requests: Vec<String>,
    /// The last whole answer to each call that reads.
    answers: BTreeMap<String, Vec<u8>>,
    /// Both ends of every connection that is open, by number.
    open: BTreeMap<u64, UnixStream>,
    opened: u64,
}

/// A bed whose controller reaches the Engine through a proxy; nothing without an Engine.
pub(crate) fn proxied_scene(test_name: &str) -> Option<(TestBed, Proxy)> {
    let mut bed = scene(test_name)?;
    let proxy = Proxy::before(bed.engine());
    bed.reach_engine_at(proxy.address());
    Some((bed, proxy))
}

/// The proxy. It ends when it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    directory: TempDir,
}

impl Proxy {
    /// A proxy before the Engine at a unix socket that lets everything through.
    pub(crate) fn before(engine: &EngineAddress) -> Self {
        let engine = engine.as_str().strip_prefix("unix://").unwrap_or_else(|| panic!("no unix socket: {engine:?}"));
        let directory = TempDir::with_prefix("evenkeel-proxy-").unwrap();
        let seed = u64::from(std::process::id());
        let state = State { random: fastrand::Rng::with_seed(seed), ..State::default() };
        let shared = Arc::new(Shared {
            engine: engine.into(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            is_ended: AtomicBool::new(false),
        });
        let proxy = Self { shared, directory };
        proxy.listen();
        proxy
    }

    /// Where the controller finds it.
    pub(crate) fn address(&self) -> EngineAddress {
        EngineAddress::new(format!("unix://{}", self.socket().display()))
    }

    /// From now on calls meet a fault, until [`Self::heal`]. Of several rules that fit the first one counts.
    pub(crate) fn fault(&self, calls: Calls, fault: Fault) -> RuleId {
        let mut state = self.shared.lock();
        let id = RuleId(state.rules.len());
        state.rules.push(Rule { id, calls, fault, met: 0, taken: 0, is_over: false });
        id
    }

    /// From now on the stream of events has a fault, also one that is open already.
    pub(crate) fn fault_events(&self, fault: EventFault) {
        let mut state = self.shared.lock();
        state.event_fault = Some(fault);
        state.events_faulted = 0;
        self.shared.changed.notify_all();
    }

    /// How many calls have met a rule's fault.
    pub(crate) fn taken(&self, rule: RuleId) -> usize {
        self.shared.lock().rules[rule.0].taken
    }

    /// Waits until so many calls have met a rule's fault.
    pub(crate) fn await_taken(&self, rule: RuleId, count: usize) {
        eventually("the fault has come", PATIENCE, || (self.taken(rule) >= count).then_some(()));
    }

    /// The same of several rules together.
    pub(crate) fn await_taken_together(&self, rules: &[RuleId], count: usize) {
        let taken = || rules.iter().map(|rule| self.taken(*rule)).sum::<usize>();
        eventually("the faults have come", PATIENCE, || (taken() >= count).then_some(()));
    }

    /// How many events have been kept back, doubled or followed by something.
    pub(crate) fn events_faulted(&self) -> usize {
        self.shared.lock().events_faulted
    }

    /// How many calls of these have come so far.
    pub(crate) fn count(&self, calls: &Calls) -> usize {
        let state = self.shared.lock();
        let fits = |request: &&String| request.split_once(' ').is_some_and(|(method, path)| calls.fits(method, path));
        state.requests.iter().filter(fits).count()
    }

    /// Waits until so many calls of these have come.
    pub(crate) fn await_count(&self, calls: &Calls, count: usize) {
        eventually("the calls have come", PATIENCE, || (self.count(calls) >= count).then_some(()));
    }

    /// Everything is let through again. What hung is cut.
    pub(crate) fn heal(&self) {
        let mut state = self.shared.lock();
        for rule in &mut state.rules {
            rule.is_over = true;
        }
        state.event_fault = None;
        self.shared.changed.notify_all();
    }

    /// Cuts every connection that is open: the stream of events, and each call under way.
    pub(crate) fn cut_all(&self) {
        for stream in self.shared.lock().open.values() {
            // One that has ended by itself cannot be shut down any more.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Takes the socket away and cuts what is open: there is no Engine any more.
    pub(crate) fn go_away(&self) {
        std::fs::remove_file(self.socket()).unwrap();
        self.cut_all();
    }

    /// Is there again, after [`Self::go_away`].
    pub(crate) fn come_back(&self) {
        self.listen();
    }

    /// Leaves a socket where nobody listens, after [`Self::go_away`]: connecting to it is refused.
    pub(crate) fn refuse(&self) {
        drop(UnixListener::bind(self.socket()).unwrap());
    }

    /// Takes that socket away again.
    pub(crate) fn end_refusal(&self) {
        std::fs::remove_file(self.socket()).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    fn listen(&self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let shared = Arc::clone(&self.shared);
        // It ends with the first connection after the proxy's end, or lies idle on a socket that has no name any more.
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.is_ended.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(client), shared) = (client, Arc::clone(&shared)) else { continue };
                // What goes wrong with one connection is what its caller sees.
                thread::spawn(move || shared.serve(&client).ok());
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
        self.heal();
        // Wakes the listener, where there is one.
        UnixStream::connect(self.socket()).ok();
        self.cut_all();
    }
}

/// A connection that is open.
struct Open<'proxy> {
    shared: &'proxy Shared,
    number: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.shared.lock().open.remove(&self.number);
    }
}

/// The head of a request.
struct Request {
    method: String,
    path: String,
    head: Vec<u8>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a connection for as long as the guard lives.
    fn remember(&self, stream: &UnixStream) -> io::Result<Open<'_>> {
        let stream = stream.try_clone()?;
        let mut state = self.lock();
        state.opened += 1;
        let number = state.opened;
        state.open.insert(number, stream);
        Ok(Open { shared: self, number })
    }

    fn serve(&self, client: &UnixStream) -> io::Result<()> {
        let _open = self.remember(client)?;
        let mut reader = BufReader::new(client.try_clone()?);
        let Some(request) = read_request(&mut reader)? else { return Ok(()) };
        let key = format!("{} {}", request.method, request.path);
        let taken = self.take(&request);
        match &taken {
            Some((Fault::LoseRequest, _)) => return client.shutdown(Shutdown::Both),
            Some((Fault::Hang, rule)) => {
                self.wait_until_over(*rule);
                return client.shutdown(Shutdown::Both);
            }
            Some((Fault::Answer(answer), _)) => return send(client, answer),
            Some((Fault::Replay, _)) => {
                let last = self.lock().answers.get(&key).cloned();
                let mut writer = client;
                return writer.write_all(&last.unwrap_or_default()).and_then(|()| client.shutdown(Shutdown::Both));
            }
            Some((Fault::Delay(time), _)) => thread::sleep(*time),
            Some((Fault::ApplyLate(_) | Fault::LoseReply | Fault::CutReply | Fault::Replace(_), _)) | None => {}
        }
        let mut engine = UnixStream::connect(&self.engine)?;
        let _open = self.remember(&engine)?;
        // Even what is cut at once has been sent as a whole, and so the body goes on its own: it is not waited for.
        if let Some((Fault::ApplyLate(time), _)) = &taken {
            let mut body = vec![0; content_length(&request.head)];
            reader.read_exact(&mut body)?;
            client.shutdown(Shutdown::Both)?;
            thread::sleep(*time);
            engine.write_all(&[request.head, body].concat())?;
            return engine.read_to_end(&mut Vec::new()).map(drop);
        }
        engine.write_all(&request.head)?;
        let engine_end = engine.try_clone()?;
        thread::spawn(move || {
            // When the caller has gone, the Engine is to notice.
            io::copy(&mut reader, &mut &engine_end).ok();
            engine_end.shutdown(Shutdown::Both).ok();
        });
        if request.method == "GET" && request.path.starts_with("/events") {
            return relay_events(self, engine, client);
        }
        self.reply(&key, engine, client, taken.map(|(fault, _)| fault))
    }

    fn reply(
        &self,
        key: &str,
        mut engine: UnixStream,
        mut client: &UnixStream,
        fault: Option<Fault>,
    ) -> io::Result<()> {
        let mut answer = Vec::new();
        engine.read_to_end(&mut answer)?;
        match fault {
            Some(Fault::LoseReply) => {}
            Some(Fault::CutReply) => client.write_all(&answer[..answer.len().saturating_sub(20)])?,
            Some(Fault::Replace(other)) => return send(client, &other),
            Some(_) | None => {
                client.write_all(&answer)?;
                if key.starts_with("GET ") {
                    self.lock().answers.insert(key.to_owned(), answer);
                }
            }
        }
        client.shutdown(Shutdown::Both)
    }

    /// The fault that a call meets, and its rule.
    fn take(&self, request: &Request) -> Option<(Fault, RuleId)> {
        let mut state = self.lock();
        let State { rules, random, requests, .. } = &mut *state;
        requests.push(format!("{} {}", request.method, request.path));
        let rules = rules.iter_mut().filter(|rule| !rule.is_over);
        for rule in rules.filter(|rule| rule.calls.fits(&request.method, &request.path)) {
            rule.met += 1;
            let is_due = rule.met > rule.calls.skipped && rule.taken < rule.calls.limit;
            if is_due && random.u64(0..100) < rule.calls.percent {
                rule.taken += 1;
                return Some((rule.fault.clone(), rule.id));
            }
        }
        None
    }

    fn wait_until_over(&self, rule: RuleId) {
        let mut state = self.lock();
        while !state.rules[rule.0].is_over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What becomes of the stream of events at this moment.
    pub(super) fn event_fault(&self) -> Option<EventFault> {
        self.lock().event_fault.clone()
    }

    pub(super) fn count_faulted_event(&self) {
        self.lock().events_faulted += 1;
    }
}

/// Reads the head of a request, with its path without the version. What goes to the Engine asks for the connection to end with the answer.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_versioned = path.strip_prefix("/v").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let unversioned = if is_versioned { path[1..].find('/').map_or("", |at| &path[at + 1..]) } else { path };
    let (method, unversioned) = (method.to_owned(), unversioned.to_owned());
    let mut head = first.into_bytes();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if line.len() <= 2 {
            break;
        }
        head.extend(line);
    }
    head.extend(b"Connection: close\r\n\r\n");
    Ok(Some(Request { method, path: unversioned, head }))
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

fn send(client: &UnixStream, answer: &Answer) -> io::Result<()> {
    let Answer { status, content_type, body } = answer;
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Faulty\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n");
    let mut writer = client;
    writer.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
    client.shutdown(Shutdown::Write)
}
