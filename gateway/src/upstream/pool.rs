//! Connections of plain HTTP, kept while nothing is asked over them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, sleep, timeout};

use super::client::{CONNECT_TIME, IDLE_CONNECTIONS, IDLE_TIME, RequestError, Unconnected};

/// Idle connections by the host and port that they go to.
type ByAuthority = BTreeMap<String, Vec<Idle>>;

/// The connections that are kept.
#[derive(Debug, Clone, Default)]
pub struct Pool(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// By the runtime that opened them: it drives them, and no other uses them, since each message would have to wake it.
    idle: HashMap<Id, ByAuthority>,
    /// The runtimes in which it is looked for those that have been idle for too long.
    reaped: HashSet<Id>,
}

/// A connection that nothing is asked over.
#[derive(Debug)]
struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Pool {
    /// Sends a request, over a connection that was kept where there is one.
    ///
    /// # Errors
    /// When it does not get there, or is not answered.
    pub(super) async fn request(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, RequestError> {
        let authority = to_origin_form(&mut request).map_err(Unconnected)?;
        let runtime = Handle::current().id();
        while let Some(mut sender) = self.take(runtime, &authority) {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.give_back(runtime, authority, sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    // It was closed while it was idle, and nothing was sent.
                    Some(unsent) => request = unsent,
                    None => return Err(RequestError::Broken(error.into_error())),
                },
            }
        }
        let mut sender = connect(&authority).await?;
        let response = sender.send_request(request).await.map_err(RequestError::Broken)?;
        self.give_back(runtime, authority, sender);
        Ok(response)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last.
    fn take(&self, runtime: Id, authority: &Authority) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.lock();
        let idle = kept.idle.get_mut(&runtime)?.get_mut(authority.as_str())?;
        while let Some(Idle { sender, since }) = idle.pop() {
            if sender.is_ready() && since.elapsed() < IDLE_TIME {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection, as soon as its answer has been read.
    fn give_back(&self, runtime: Id, authority: Authority, mut sender: SendRequest<Full<Bytes>>) {
        if sender.is_ready() {
            self.keep(runtime, &authority, sender);
            return;
        }
        let pool = Arc::downgrade(&self.0);
        // Owned by nobody: it ends with the connection.
        tokio::spawn(async move {
            if sender.ready().await.is_ok()
                && let Some(pool) = pool.upgrade()
            {
                Self(pool).keep(runtime, &authority, sender);
            }
        });
    }

    fn keep(&self, runtime: Id, authority: &Authority, sender: SendRequest<Full<Bytes>>) {
        let mut kept = self.lock();
        let by_authority = kept.idle.entry(runtime).or_default();
        let new = Idle { sender, since: Instant::now() };
        match by_authority.get_mut(authority.as_str()) {
            Some(idle) if idle.len() >= IDLE_CONNECTIONS => {}
            Some(idle) => idle.push(new),
            None => drop(by_authority.insert(authority.to_string(), vec![new])),
        }
        if kept.reaped.insert(runtime) {
            tokio::spawn(reap(Arc::downgrade(&self.0), runtime));
        }
    }
}

/// Closes what has been idle for too long, for as long as there is anything that could be: also of servers that are never asked again.
async fn reap(pool: Weak<Mutex<Kept>>, runtime: Id) {
    loop {
        sleep(IDLE_TIME).await;
        let Some(pool) = pool.upgrade().map(Pool) else { return };
        let mut kept = pool.lock();
        // Those of a runtime that has ended are closed, and nobody else looks for them.
        kept.idle.retain(|_, by_authority| {
            by_authority.retain(|_, idle| {
                idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_TIME);
                !idle.is_empty()
            });
            !by_authority.is_empty()
        });
        if !kept.idle.contains_key(&runtime) {
            kept.reaped.remove(&runtime);
            return;
        }
    }
}

/// Says in the head of a request what its whole address says, and gives the address's host and port.
fn to_origin_form(request: &mut Request<Full<Bytes>>) -> io::Result<Authority> {
    let missing = || io::Error::new(ErrorKind::InvalidInput, "the address has no host");
    let uri = std::mem::take(request.uri_mut()).into_parts();
    let authority = uri.authority.ok_or_else(missing)?;
    *request.uri_mut() = uri.path_and_query.map_or_else(Uri::default, Uri::from);
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| missing())?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(authority)
}

async fn connect(authority: &Authority) -> Result<SendRequest<Full<Bytes>>, RequestError> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let connecting = TcpStream::connect((host, authority.port_u16().unwrap_or(HTTP_PORT)));
    let late = |_| io::Error::from(ErrorKind::TimedOut);
    let stream = timeout(CONNECT_TIME, connecting).await.map_err(late).and_then(|connected| connected);
    let stream = stream.map_err(Unconnected)?;
    // A stream that cannot be told so is slower, and works.
    drop(stream.set_nodelay(true));
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(RequestError::Broken)?;
    // Owned by nobody: it ends with its sender. Why it ended is told to whoever waits for an answer.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// Where plain HTTP is spoken when an address does not say.
const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::{IDLE_TIME, Pool};

    /// A server that answers each request on a connection so often, and then closes it. Returns its address and how many came.
    async fn serve(answers: usize) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/path?a=b", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    for _ in 0..answers {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") {
                            head.push(stream.read_u8().await.unwrap_or(b'\n'));
                            if head.len() > 1_000 {
                                return;
                            }
                        }
                        assert!(head.starts_with(b"GET /path?a=b HTTP/1.1\r\nhost: 127.0.0.1:"));
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                });
            }
        });
        (address, count)
    }

    async fn ask(pool: &Pool, address: &str) {
        let request = Request::get(address).body(Full::<Bytes>::default()).unwrap();
        let response = pool.request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        // What the connection has to do after an answer is done.
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_one_that_was_closed_is_not() {
        let pool = Pool::default();
        let (address, count) = serve(1_000).await;
        for _ in 0..5 {
            ask(&pool, &address).await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let (address, count) = serve(1).await;
        for _ in 0..5 {
            ask(&pool, &address).await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn what_is_idle_for_too_long_is_closed() {
        let pool = Pool::default();
        let (address, count) = serve(1_000).await;
        ask(&pool, &address).await;
        tokio::time::pause();
        tokio::time::sleep(IDLE_TIME * 2).await;
        tokio::time::resume();
        assert!(pool.lock().idle.is_empty() && pool.lock().reaped.is_empty());
        ask(&pool, &address).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_connection_is_used_by_the_runtime_that_opened_it_alone() {
        let pool = Pool::default();
        let (address, count) = serve(1_000).await;
        ask(&pool, &address).await;
        let (shared, asked) = (pool.clone(), address.clone());
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask(&shared, &asked));
        });
        while !other.is_finished() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        other.join().unwrap();
        ask(&pool, &address).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}
