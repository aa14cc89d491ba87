//! Connections to one server, kept for what is asked next. Each runtime has its own: a connection is driven by the runtime that opened it, and
//! each message over it would have to wake that one if another used it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use tokio::runtime::{Handle, Id};
use tokio::time::sleep;

use super::client::{ConnectError, HttpClient};

/// How many connections that wait are kept by one runtime.
const WAITING_LIMIT: usize = 128;
/// How often it is looked for connections that were not needed since the last look.
const LOOK_TIME: Duration = Duration::from_secs(30);

/// The way to one server. A connection is given back by itself, once the answer is read.
#[derive(Debug)]
pub(crate) struct Pool {
    client: HttpClient,
    target: Uri,
    waiting: Mutex<Vec<Waiting>>,
}

/// The connections of one runtime that wait for something to do.
#[derive(Debug)]
struct Waiting {
    runtime: Id,
    /// The one that was used last is the last.
    connections: Vec<SendRequest<Full<Bytes>>>,
    /// How many of them, at the least, have waited all the time since the last look.
    unused: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// There is no connection: nothing was sent.
    #[error("{}", whole_text(.0.as_ref()))]
    NoConnection(#[source] ConnectError),
    /// It may have been sent.
    #[error(transparent)]
    Broken(hyper::Error),
}

impl Pool {
    /// The way to an address, of which scheme and authority count.
    pub(crate) fn new(client: HttpClient, target: Uri) -> Arc<Self> {
        Arc::new(Self { client, target, waiting: Mutex::default() })
    }

    /// Sends a request, whose address is a path alone. It is sent once more, over another connection, where one that was kept is closed in
    /// the moment in which it is used, and nothing was sent.
    ///
    /// # Errors
    /// When there is no connection, or it ends before the answer.
    pub(crate) async fn request(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, RequestError> {
        let runtime = Handle::current().id();
        loop {
            let kept = self.take(runtime);
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Box::pin(self.connect()).await.map_err(RequestError::NoConnection)?,
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    self.give_back(runtime, connection);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    Some(_) => return Err(RequestError::NoConnection(error.into_error().into())),
                    None => return Err(RequestError::Broken(error.into_error())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ConnectError> {
        let stream = self.client.connect(self.target.clone()).await?;
        let (mut sender, connection) = http1::handshake(stream).await?;
        // Owned by nobody: it ends with its stream, or with the last who may send over it.
        drop(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection to a server ended");
            }
        }));
        sender.ready().await?;
        Ok(sender)
    }

    /// The connection of a runtime that was used last.
    fn take(&self, runtime: Id) -> Option<SendRequest<Full<Bytes>>> {
        let mut waiting = self.lock();
        let own = waiting.iter_mut().find(|own| own.runtime == runtime)?;
        // One that was closed meanwhile is ready for nothing.
        let connection = std::iter::from_fn(|| own.connections.pop()).find(SendRequest::is_ready);
        own.unused = own.unused.min(own.connections.len());
        connection
    }

    fn give_back(self: &Arc<Self>, runtime: Id, mut connection: SendRequest<Full<Bytes>>) {
        if connection.is_ready() {
            self.keep(runtime, connection);
        } else if !connection.is_closed() {
            // There is more of the answer. Owned by nobody: it ends with that, or with the connection.
            let pool = Arc::downgrade(self);
            drop(tokio::spawn(async move {
                if connection.ready().await.is_ok()
                    && let Some(pool) = pool.upgrade()
                {
                    pool.keep(runtime, connection);
                }
            }));
        }
    }

    fn keep(self: &Arc<Self>, runtime: Id, connection: SendRequest<Full<Bytes>>) {
        let mut waiting = self.lock();
        if let Some(own) = waiting.iter_mut().find(|own| own.runtime == runtime) {
            if own.connections.len() < WAITING_LIMIT {
                own.connections.push(connection);
            }
            return;
        }
        waiting.push(Waiting { runtime, connections: vec![connection], unused: 0 });
        // Owned by nobody: it ends with the last connection, or with the pool.
        drop(tokio::spawn(close_unused(Arc::downgrade(self), runtime)));
    }

    /// Closes what was not needed since the last look. Returns whether there is more to look after.
    fn look(&self, runtime: Id) -> bool {
        let mut waiting = self.lock();
        let Some(place) = waiting.iter().position(|own| own.runtime == runtime) else { return false };
        let Some(own) = waiting.get_mut(place) else { return false };
        own.connections.drain(..own.unused);
        own.connections.retain(|connection| !connection.is_closed());
        own.unused = own.connections.len();
        let is_more = own.unused > 0;
        if !is_more {
            waiting.swap_remove(place);
        }
        is_more
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an error says, and after that what each of its causes does.
fn whole_text(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What of an address goes into a request.
pub(crate) fn path_of(address: &Uri) -> PathAndQuery {
    address.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

/// Closes connections that nobody has needed for a while, also where nothing is ever asked again.
async fn close_unused(pool: Weak<Pool>, runtime: Id) {
    loop {
        sleep(LOOK_TIME).await;
        if !pool.upgrade().is_some_and(|pool| pool.look(runtime)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::{LOOK_TIME, Pool, RequestError};
    use crate::upstream::client::HttpClient;

    /// A server that answers each request on a connection so often, and then closes it. Returns the way to it and how many came.
    async fn serve(answers: usize) -> (Arc<Pool>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    for _ in 0..answers {
                        let mut head = Vec::new();
                        while !head.ends_with(b"\r\n\r\n") && head.len() < 1_000 {
                            let Ok(byte) = stream.read_u8().await else { return };
                            head.push(byte);
                        }
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                });
            }
        });
        (Pool::new(HttpClient::plain(), address.parse().unwrap()), count)
    }

    fn request() -> Request<Full<Bytes>> {
        Request::get("/").header("host", "localhost").body(Full::default()).unwrap()
    }

    async fn ask(pool: &Arc<Pool>) {
        let response = pool.request(request()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        // What the connection has to do after an answer is done.
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_one_that_was_closed_is_not() {
        for (answers, connections) in [(1_000, 1), (1, 5)] {
            let (pool, count) = serve(answers).await;
            for _ in 0..5 {
                ask(&pool).await;
            }
            assert_eq!(count.load(Ordering::SeqCst), connections);
        }
    }

    #[tokio::test]
    async fn each_of_those_who_ask_at_once_has_a_connection_of_his_own() {
        let (pool, count) = serve(1_000).await;
        for _ in 0..3 {
            futures_util::future::join_all((0..4).map(|_| ask(&pool))).await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn a_connection_is_used_by_the_runtime_that_opened_it_alone() {
        let (pool, count) = serve(1_000).await;
        ask(&pool).await;
        let shared = Arc::clone(&pool);
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask(&shared));
        });
        while !other.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        other.join().unwrap();
        ask(&pool).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    /// Lets so much time pass in which nobody asks.
    async fn wait(time: Duration) {
        tokio::time::pause();
        tokio::time::sleep(time + time / 100).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn what_nobody_needs_is_closed_and_what_is_used_stays() {
        let (pool, count) = serve(1_000).await;
        futures_util::future::join_all((0..3).map(|_| ask(&pool))).await;
        let kept = || pool.lock().iter().map(|own| own.connections.len()).sum::<usize>();
        assert_eq!(kept(), 3);
        for left in [3, 1, 1] {
            ask(&pool).await;
            wait(LOOK_TIME).await;
            assert_eq!(kept(), left);
        }
        assert_eq!(count.load(Ordering::SeqCst), 3);
        wait(2 * LOOK_TIME).await;
        assert!(pool.lock().is_empty());
        ask(&pool).await;
        assert_eq!(count.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn a_connection_whose_answer_is_not_read_yet_comes_back_after_that() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool =
            Pool::new(HttpClient::plain(), format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap());
        let (response, accepted) = tokio::join!(pool.request(request()), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
            stream
        });
        let (response, mut stream) = (response.unwrap(), accepted);
        assert!(pool.lock().is_empty());
        stream.write_all(b"cd").await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abcd");
        while pool.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(stream);
    }

    #[tokio::test]
    async fn it_is_told_whether_anything_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let pool = Pool::new(HttpClient::plain(), address.parse().unwrap());
        let (broken, ()) = tokio::join!(pool.request(request()), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
        });
        assert!(matches!(broken.unwrap_err(), RequestError::Broken(_)));
        drop(listener);
        let none = pool.request(request()).await.unwrap_err();
        assert!(matches!(&none, RequestError::NoConnection(_)), "{none}");
        assert!(none.to_string().contains("refused"), "{none}");
    }
}
