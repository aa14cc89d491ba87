//! Threads that answer connections. Each has its own: what one asks of a server is sent, heard and answered on one core, and no other has to
//! be woken for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::sleep;

use super::{Alert, Connections};
use crate::hub::Hub;

/// How many there are at most, however many cores the host has.
const WORKER_LIMIT: usize = 8;
/// How often each looks up while it has connections. The runtime wakes itself, by a call of the system, for each timer that is nearer than all
/// others, as that of a connection's next request often is: one that is always nearer spares all of these.
const TICK: Duration = Duration::from_secs(1);
/// How many connections wait for a worker at most; more are not taken from the system meanwhile.
const QUEUE_LENGTH: usize = 64;

/// All of them. They end when this is dropped, at once.
pub(super) struct Workers {
    workers: Vec<Worker>,
    /// Closed once all have ended.
    ended: mpsc::Receiver<()>,
}

struct Worker {
    queue: mpsc::Sender<Handed>,
    /// How many connections it has, those that wait included.
    load: Arc<AtomicUsize>,
}

/// A connection that is handed over.
struct Handed {
    stream: std::net::TcpStream,
    seat: Seat,
}

/// The place of a connection at its worker, given back with this.
struct Seat {
    load: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts one for each core. None where the runtime of whoever serves has one thread, as it has where time is a test's own, and none
    /// where the system has no thread to give.
    pub(super) fn start(hub: &Arc<Hub>, end: &watch::Receiver<bool>) -> Self {
        let (alive, ended) = mpsc::channel(1);
        let mut workers = Vec::new();
        if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
            let count = available_parallelism().map_or(1, usize::from).min(WORKER_LIMIT);
            for _ in 0..count {
                match Worker::start(Arc::clone(hub), end.clone(), alive.clone()) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => tracing::warn!(error = %error, "a thread that answers clients cannot be started"),
                }
            }
        }
        Self { workers, ended }
    }

    /// Hands a connection to the worker that has the fewest, and gives it back where there is none. `permit`: its place among all.
    pub(super) async fn take(
        &mut self,
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
    ) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        // One that has ended, as by a panic, gets nothing more.
        self.workers.retain(|worker| !worker.queue.is_closed());
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed)) else {
            return Some((stream, permit));
        };
        worker.load.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { load: Arc::clone(&worker.load), _permit: permit };
        // What cannot be moved is closed; its client comes again.
        if let Ok(stream) = stream.into_std() {
            drop(worker.queue.send(Handed { stream, seat }).await);
        }
        None
    }

    /// Waits until all have answered what is under way, and have ended.
    pub(super) async fn drain(mut self) {
        self.workers.clear();
        // Nothing is ever sent.
        while self.ended.recv().await.is_some() {}
    }
}

impl Worker {
    fn start(hub: Arc<Hub>, end: watch::Receiver<bool>, alive: mpsc::Sender<()>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (queue, handed) = mpsc::channel(QUEUE_LENGTH);
        // Owned by nobody: it ends when its queue does, and says so by what it drops last.
        thread::Builder::new().name("edge".to_owned()).spawn(move || {
            runtime.block_on(work(hub, handed, end));
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            drop(alive);
        })?;
        Ok(Self { queue, load: Arc::default() })
    }
}

/// Answers what it is handed until nothing more comes, and then what is under way, unless nobody waits for that.
async fn work(hub: Arc<Hub>, mut handed: mpsc::Receiver<Handed>, mut end: watch::Receiver<bool>) {
    let alert = Arc::new(Alert::new());
    let awake = Arc::clone(&alert);
    // It ends with the runtime.
    drop(tokio::spawn(async move { awake.keep().await }));
    let mut connections = Connections::new(hub, end.clone(), Some(alert));
    loop {
        let next = tokio::select! {
            // Cancel-safe: a receiver, and a sleep that is begun anew.
            next = handed.recv() => next,
            () = sleep(TICK), if connections.are_any() => continue,
        };
        let Some(Handed { stream, seat }) = next else { break };
        if let Ok(stream) = TcpStream::from_std(stream) {
            connections.follow(stream, seat);
        }
    }
    tokio::select! {
        // Dropped on purpose, with all connections, when whoever serves is gone.
        () = connections.drain() => {}
        () = async { while end.changed().await.is_ok() {} } => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use crate::config::GatewayConfig;
    use crate::hub::{Attach, Hub, HubParts};
    use crate::upstream::stdio::Attached;

    /// How long anything here may take where the machine has other work.
    const IN_TIME: Duration = Duration::from_secs(30);

    #[derive(Debug)]
    struct Nothing;

    #[async_trait]
    impl Attach for Nothing {
        async fn attach(&self, _: &str) -> std::io::Result<Attached> {
            Err(std::io::Error::other("there is nothing"))
        }
    }

    async fn begin() -> (Arc<Hub>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = GatewayConfig::on(listener.local_addr().unwrap());
        let hub =
            Hub::open(HubParts { config, attach: Arc::new(Nothing), state_dir: None, leases: Arc::default() }).unwrap();
        (hub, listener)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut text = [0; 15];
        stream.read_exact(&mut text).await.unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn connections_on_all_threads_are_answered_and_end_with_the_gateway() {
        let (hub, listener) = begin().await;
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move { hub.serve(listener, async { drop(stopped.await) }).await });
        let mut streams = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(ask(&mut stream).await, "HTTP/1.1 200 OK");
            streams.push(stream);
        }
        drop(stop);
        timeout(IN_TIME, serving).await.expect("it ends").unwrap();
        for mut stream in streams {
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_gateway_that_is_dropped_lets_go_of_all_its_connections() {
        let (hub, listener) = begin().await;
        let address = listener.local_addr().unwrap();
        let weak = Arc::downgrade(&hub);
        let serving = tokio::spawn(async move { hub.serve(listener, std::future::pending()).await });
        let mut streams = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // Half a request is under way on each.
            stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n").await.unwrap();
            streams.push(stream);
        }
        serving.abort();
        drop(serving.await);
        for mut stream in streams {
            let mut said = Vec::new();
            drop(timeout(IN_TIME, stream.read_to_end(&mut said)).await.expect("it is closed"));
        }
        for _ in 0..1_000 {
            if weak.upgrade().is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("a thread still has the hub");
    }
}
