//! An Engine that answers whatever it is told to: a socket of our own, and the adapter on it.

use std::cell::RefCell;
use std::rc::Rc;

use controller::engine::docker::DockerEngine;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// What makes the adapter agree on a version, and what it then does not ask for again.
const PING: &[u8] =
    b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";

/// The adapter, and the socket that it speaks to.
pub(super) struct Wire {
    pub(super) engine: DockerEngine,
    runtime: Runtime,
    tasks: LocalSet,
    answer: Rc<RefCell<Vec<u8>>>,
    _directory: TempDir,
}

impl Wire {
    /// Listens.
    pub(super) fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tasks = LocalSet::new();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("engine.sock");
        let answer: Rc<RefCell<Vec<u8>>> = Rc::default();
        let listener = {
            let _context = runtime.enter();
            UnixListener::bind(&path).unwrap()
        };
        tasks.spawn_local(listen(listener, Rc::clone(&answer)));
        let engine = DockerEngine::connect(&format!("unix://{}", path.display())).unwrap();
        Self { engine, runtime, tasks, answer, _directory: directory }
    }

    /// Everything but a ping is answered with this from now on.
    pub(super) fn answer_with(&self, response: Vec<u8>) {
        self.answer.replace(response);
    }

    /// Runs a conversation.
    pub(super) fn talk<T>(&self, conversation: impl Future<Output = T>) -> T {
        self.tasks.block_on(&self.runtime, conversation)
    }
}

async fn listen(listener: UnixListener, answer: Rc<RefCell<Vec<u8>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(reply(stream, Rc::clone(&answer)));
    }
}

async fn reply(mut stream: UnixStream, answer: Rc<RefCell<Vec<u8>>>) {
    let mut head = vec![0; 8192];
    let read = stream.read(&mut head).await.unwrap_or_default();
    let is_ping = head[..read].windows(6).any(|part| part == b"/_ping");
    let response = if is_ping { PING.to_vec() } else { answer.borrow().clone() };
    // The adapter may have heard enough before the end.
    drop(stream.write_all(&response).await);
}

/// A good response with this body, in pieces of this size; in one piece for 0.
pub(super) fn response(body: &[u8], piece: usize) -> Vec<u8> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut response = head.as_bytes().to_vec();
    for chunk in body.chunks(if piece == 0 { body.len().max(1) } else { piece }) {
        response.extend(format!("{:x}\r\n", chunk.len()).bytes());
        response.extend(chunk);
        response.extend(b"\r\n");
    }
    response.extend(b"0\r\n\r\n");
    response
}
