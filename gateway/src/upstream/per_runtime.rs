//! Clients of HTTP, one for each runtime: a connection is driven by the runtime that opened it, and each message over it would have to wake
//! that one if another used it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Builder, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::runtime::{Handle, Id};

/// How many idle connections are kept to one server.
const IDLE_CONNECTIONS: usize = 128;
/// How long they are kept, and how often it is looked for those that are older: also of servers that are never asked again.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Clients that connect alike.
#[derive(Debug)]
pub struct PerRuntime<C> {
    connector: C,
    builder: Builder,
    clients: Mutex<HashMap<Id, Client<C, Full<Bytes>>>>,
}

impl<C: Connect + Clone + Send + Sync + 'static> PerRuntime<C> {
    /// None yet.
    pub(super) fn new(connector: C) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(IDLE_CONNECTIONS).pool_idle_timeout(IDLE_TIME).pool_timer(TokioTimer::new());
        Self { connector, builder, clients: Mutex::default() }
    }

    /// Sends a request by the client of this runtime.
    pub(super) fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client =
            clients.entry(Handle::current().id()).or_insert_with(|| self.builder.build(self.connector.clone()));
        client.request(request)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::Request;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::PerRuntime;

    /// A server that answers each request on a connection so often, and then closes it. Returns its address and how many came.
    async fn serve(answers: usize) -> (String, Arc<AtomicUsize>) {
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
        (address, count)
    }

    async fn ask(clients: &PerRuntime<HttpConnector>, address: &str) {
        let request = Request::get(address).body(Full::<Bytes>::default()).unwrap();
        let response = clients.request(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        // What the connection has to do after an answer is done.
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_one_that_was_closed_is_not() {
        let clients = PerRuntime::new(HttpConnector::new());
        for (answers, connections) in [(1_000, 1), (1, 5)] {
            let (address, count) = serve(answers).await;
            for _ in 0..5 {
                ask(&clients, &address).await;
            }
            assert_eq!(count.load(Ordering::SeqCst), connections);
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_by_the_runtime_that_opened_it_alone() {
        let clients = Arc::new(PerRuntime::new(HttpConnector::new()));
        let (address, count) = serve(1_000).await;
        ask(&clients, &address).await;
        let (shared, asked) = (Arc::clone(&clients), address.clone());
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask(&shared, &asked));
        });
        while !other.is_finished() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        other.join().unwrap();
        ask(&clients, &address).await;
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }
}
