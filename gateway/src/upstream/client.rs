//! What connects by HTTP: plainly to what is on this host, and over TLS to what is elsewhere.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::exchange::UpstreamError;
use super::public::is_public;

/// How long a server has to take a connection, the look for its name and the beginning of TLS included.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Why there is no connection.
pub(super) type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// What links connect by. The connections are each link's own.
#[derive(Debug, Clone)]
pub enum HttpClient {
    /// Plain HTTP, to addresses.
    Plain(HttpConnector),
    /// HTTP over TLS, to names of the public Internet and of this host.
    Secure(HttpsConnector<HttpConnector<PublicNames>>),
}

/// The clients of a hub. The one over TLS is made when it is first needed: it reads the host's certificates.
#[derive(Debug)]
pub struct Clients {
    plain: HttpClient,
    secure: OnceLock<Result<HttpClient, String>>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { plain: HttpClient::plain(), secure: OnceLock::new() }
    }
}

impl Clients {
    /// The one for plain HTTP.
    pub fn plain(&self) -> HttpClient {
        self.plain.clone()
    }

    /// The one over TLS.
    ///
    /// # Errors
    /// When this host knows no authority that certifies servers.
    pub fn secure(&self) -> Result<HttpClient, UpstreamError> {
        self.secure.get_or_init(HttpClient::secure).clone().map_err(UpstreamError::Gone)
    }
}

impl HttpClient {
    /// A client of plain HTTP.
    pub fn plain() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // Of a name with several addresses, each has a part of it.
        connector.set_connect_timeout(Some(CONNECT_TIME));
        Self::Plain(connector)
    }

    /// A client over TLS that trusts the authorities of this host, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    ///
    /// # Errors
    /// When there are none.
    fn secure() -> Result<Self, String> {
        let config = rustls::ClientConfig::builder().with_native_roots().map_err(|error| {
            format!(
                "this host knows no certificate authority ({error}): install `ca-certificates`, or set SSL_CERT_FILE"
            )
        })?;
        Ok(Self::over(config.with_no_client_auth()))
    }

    fn over(config: rustls::ClientConfig) -> Self {
        let mut connector = HttpConnector::new_with_resolver(PublicNames);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        connector.enforce_http(false);
        let secure =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(connector);
        Self::Secure(secure)
    }

    /// A connection to an address, of which scheme and authority count.
    ///
    /// # Errors
    /// When there is none within five seconds.
    pub(super) async fn connect(&self, target: Uri) -> Result<MaybeHttpsStream<TokioIo<TcpStream>>, ConnectError> {
        let connecting = async {
            match self {
                Self::Plain(connector) => Ok(MaybeHttpsStream::Http(connect(connector.clone(), target).await?)),
                Self::Secure(connector) => connect(connector.clone(), target).await,
            }
        };
        let late = || format!("it took no connection within {}s", CONNECT_TIME.as_secs());
        timeout(CONNECT_TIME, connecting).await.unwrap_or_else(|_| Err(late().into()))
    }
}

async fn connect<C>(mut connector: C, target: Uri) -> Result<C::Response, ConnectError>
where
    C: Service<Uri, Error: Into<ConnectError>>,
{
    poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Into::into)?;
    connector.call(target).await.map_err(Into::into)
}

/// Looks up names, and gives only addresses of the public Internet, at each connection anew: a name that leads inside after it was
/// looked at leads nowhere. `localhost` is this host, as it says.
#[derive(Debug, Clone)]
pub struct PublicNames;

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` leads to no address of the public Internet")]
pub struct NotPublic(String);

impl Service<Name> for PublicNames {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let name = name.as_str();
            if is_this_host(name) {
                return Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)].into_iter());
            }
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(keep_public(name, found).map_err(io::Error::other)?.into_iter())
        })
    }
}

fn keep_public(name: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, NotPublic> {
    let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
    if public.is_empty() { Err(NotPublic(name.to_owned())) } else { Ok(public) }
}

/// Whether a name is this host, which no name server is asked about (RFC 6761).
fn is_this_host(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// That the host of an address may be spoken to: a name, which is looked up, or an address of the public Internet or of this host.
///
/// # Errors
/// When it is an address of some other kind.
pub fn check_literal(uri: &Uri) -> Result<(), NotPublic> {
    let host = uri.host().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if !address.is_loopback() && !is_public(address) => Err(NotPublic(host.to_owned())),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::{HttpClient, check_literal, is_this_host, keep_public};

    #[tokio::test]
    async fn a_server_that_begins_no_tls_is_not_waited_for_without_an_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("https://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
        let client = HttpClient::over(config.with_no_client_auth());
        let (connected, _stream) = tokio::join!(client.connect(target), async {
            let (stream, _) = listener.accept().await.unwrap();
            // Nothing more comes of it, so that the clock may go to what is due next.
            tokio::time::pause();
            stream
        });
        assert_eq!(connected.unwrap_err().to_string(), "it took no connection within 5s");
    }

    #[test]
    fn a_name_leads_to_public_addresses_or_nowhere() {
        let found = ["10.0.0.1:0", "8.8.8.8:0", "[fd00::1]:0"].map(|text| text.parse().unwrap());
        assert_eq!(keep_public("mixed", found.into_iter()), Ok(vec![found[1]]));
        let told = keep_public("inside", found.into_iter().take(1)).unwrap_err().to_string();
        assert_eq!(told, "`inside` leads to no address of the public Internet");
    }

    #[test]
    fn an_address_that_is_written_out_is_judged_as_one_that_was_looked_up() {
        for uri in ["https://mcp.example.com/", "https://8.8.8.8/", "https://127.0.0.1:1/", "https://[::1]/"] {
            assert!(check_literal(&uri.parse().unwrap()).is_ok(), "{uri}");
        }
        for uri in ["https://10.0.0.1/", "https://169.254.169.254/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/"]
        {
            assert!(check_literal(&uri.parse().unwrap()).is_err(), "{uri}");
        }
    }

    #[test]
    fn localhost_is_this_host_however_it_is_written() {
        assert!(["localhost", "LocalHost.", "tools.localhost"].into_iter().all(is_this_host));
        assert!(!is_this_host("localhost.example.com"));
    }
}
