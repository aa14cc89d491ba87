//! The Engine's API with nothing in between: one request a connection, over its unix socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use serde_json::Value;

use crate::support::engine::EngineAddress;

/// The bare Engine.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    socket: String,
}

/// Something that happened to a container.
#[derive(Debug, Clone)]
pub(crate) struct ContainerEvent {
    /// Such as `start`.
    pub(crate) action: String,
    /// Its full id.
    pub(crate) id: String,
    /// When, by the Engine's clock, in nanoseconds.
    pub(crate) at_nanos: u64,
}

impl Api {
    /// The Engine at an address.
    pub(crate) fn new(engine: &EngineAddress) -> Self {
        let socket =
            engine.as_str().strip_prefix("unix://").unwrap_or_else(|| panic!("only unix sockets are measured"));
        Self { socket: socket.to_owned() }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// One call; fails when the Engine refuses. The answer is `null` where it is empty.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, content) = answer.split_once("\r\n\r\n").unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(status < 400, "{method} {path}: {status} {content}");
        serde_json::from_str(content).unwrap_or_default()
    }

    /// Creates a container and starts it; returns its id.
    pub(crate) fn create_and_start(&self, name: &str, body: &str) -> String {
        let created = self.call("POST", &format!("/containers/create?name={name}"), body);
        let id = created["Id"].as_str().unwrap().to_owned();
        self.call("POST", &format!("/containers/{id}/start"), "");
        id
    }

    /// Kills and removes a container.
    pub(crate) fn remove(&self, id: &str) {
        self.call("DELETE", &format!("/containers/{id}?force=true&v=true"), "");
    }

    /// Does something to each of many, so many at a time.
    pub(crate) fn at_once<T: Sync, R: Send>(concurrency: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..concurrency {
                scope.spawn(|| {
                    while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = work(item);
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                });
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to containers from now on.
    pub(crate) fn follow_containers(&self) -> mpsc::Receiver<ContainerEvent> {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%7D";
        write!(stream, "GET /events?filters={filters} HTTP/1.0\r\nHost: engine\r\n\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        // The head comes once the Engine has subscribed us.
        while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let (tx, rx) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
                let told = ContainerEvent {
                    action: event["Action"].as_str().unwrap_or_default().to_owned(),
                    id: event["Actor"]["ID"].as_str().unwrap_or_default().to_owned(),
                    at_nanos: event["timeNano"].as_u64().unwrap_or_default(),
                };
                if tx.send(told).is_err() {
                    return;
                }
            }
        });
        rx
    }
}
