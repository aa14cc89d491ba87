//! A proxy before the Engine's socket that writes down every call and passes it on: black-box counting of what a program asks.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::api::Api;
use crate::support::engine::EngineAddress;

/// One call. Programs that send several over one connection are not told apart; Evenkeel sends one.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Such as `GET`.
    pub(crate) method: String,
    /// With the query, without the version.
    pub(crate) path: String,
    /// What was sent.
    pub(crate) body: String,
    /// When it had come.
    pub(crate) asked: Instant,
    /// When the last of the answer had come; `None` while there is none.
    pub(crate) answered: Option<Instant>,
}

/// The proxy; its thread ends with the process.
pub(crate) struct Proxy {
    directory: TempDir,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Proxy {
    /// A proxy before an Engine.
    pub(crate) fn before(api: &Api) -> Self {
        let directory = TempDir::with_prefix("evenkeel-bench-").unwrap();
        let listener = UnixListener::bind(directory.path().join("engine.sock")).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (socket, shared) = (api.socket().to_owned(), Arc::clone(&calls));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (socket, calls) = (socket.clone(), Arc::clone(&shared));
                std::thread::spawn(move || drop(pass_on(client, &socket, &calls)));
            }
        });
        Self { directory, calls }
    }

    /// Its address.
    pub(crate) fn address(&self) -> EngineAddress {
        EngineAddress::new(format!("unix://{}", self.directory.path().join("engine.sock").display()))
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// Forgets every call so far.
    pub(crate) fn forget(&self) {
        lock(&self.calls).clear();
    }
}

/// How long at least one of the calls was being answered, and from the first to the end of the last.
pub(crate) fn engine_time(calls: &[Call]) -> (Duration, Duration) {
    let mut spans: Vec<(Instant, Instant)> =
        calls.iter().filter_map(|call| Some((call.asked, call.answered?))).collect();
    spans.sort();
    let Some((begin, mut until)) = spans.first().copied() else { return (Duration::ZERO, Duration::ZERO) };
    let mut busy = until - begin;
    for (asked, answered) in spans.into_iter().skip(1) {
        busy += answered.saturating_duration_since(asked.max(until));
        until = until.max(answered);
    }
    (busy, until - begin)
}

fn pass_on(mut client: UnixStream, socket: &str, calls: &Mutex<Vec<Call>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let (head_end, length) = loop {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break (end + 4, content_length(&String::from_utf8_lossy(&request[..end])));
        }
    };
    while request.len() < head_end + length {
        let count = client.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        request.extend_from_slice(&buffer[..count]);
    }
    let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let call = Call {
        method: method.to_owned(),
        path: without_version(path).to_owned(),
        body: String::from_utf8_lossy(&request[head_end..]).into_owned(),
        asked: Instant::now(),
        answered: None,
    };
    let index = {
        let mut calls = lock(calls);
        calls.push(call);
        calls.len() - 1
    };
    let mut engine = UnixStream::connect(socket)?;
    engine.write_all(&request)?;
    let (mut from_client, mut to_engine) = (client.try_clone()?, engine.try_clone()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_engine));
        drop(to_engine.shutdown(Shutdown::Both));
    });
    loop {
        let count = engine.read(&mut buffer)?;
        if count == 0 {
            return client.shutdown(Shutdown::Both);
        }
        if let Some(call) = lock(calls).get_mut(index) {
            call.answered = Some(Instant::now());
        }
        client.write_all(&buffer[..count])?;
    }
}

fn content_length(head: &str) -> usize {
    let line =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    line.and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

fn without_version(path: &str) -> &str {
    let rest = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|slash| &rest[slash..]));
    rest.unwrap_or(path)
}

fn lock(calls: &Mutex<Vec<Call>>) -> std::sync::MutexGuard<'_, Vec<Call>> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
