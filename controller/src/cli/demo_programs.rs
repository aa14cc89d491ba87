//! The two programs of the demo: a web server and a worker that fetches from it. They are commands of this binary, so that the
//! demo's image holds one static file and needs no registry. Both end within a second of SIGTERM, as a good container does.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// The longest request that the server reads, and the longest answer that the worker reads, in bytes.
const MESSAGE_LIMIT: usize = 8 * 1024;
/// How long one exchange may take, on either side.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(2);
/// The file that the worker appends to, in its data directory.
const WORKER_FILE: &str = "fetched.log";

/// Why a program of the demo ended otherwise than by SIGTERM.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The server's address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The worker's address is not one that it can fetch.
    #[error("cannot fetch `{url}`: write `http://HOST:PORT` or `http://HOST:PORT/PATH`")]
    Url {
        /// The address.
        url: String,
    },
    /// The worker's file cannot be written.
    #[error("cannot append to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// SIGTERM cannot be waited for.
    #[error("cannot listen for SIGTERM")]
    Signal(#[source] io::Error),
}

/// Serves one line over HTTP until SIGTERM: the environment's `GREETING`, or `hello`, and the name of the container that it comes
/// from; `/healthz` answers `ok`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn run_web(listen: SocketAddr) -> Result<(), DemoError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::Signal)?;
    let listener = TcpListener::bind(listen).await.map_err(|source| DemoError::Listen { address: listen, source })?;
    let host_name = read_host_name().await;
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "hello".to_owned());
    let line = format!("{greeting} from {host_name}\n");
    tracing::info!(address = %listen, "serving");
    loop {
        // Both arms are cancel-safe: a connection is either accepted or still waits, a signal is either seen or still pending.
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let line = line.clone();
                    // Owned by nobody on purpose: it ends by itself after EXCHANGE_TIMEOUT, or with the process.
                    tokio::spawn(async move { timeout(EXCHANGE_TIMEOUT, answer(stream, &line)).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely: do not spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

/// Fetches a URL at an interval and appends each answer to a file in `data`, until SIGTERM. A failed fetch is a line too.
///
/// # Errors
/// When the URL cannot be read, or the file cannot be written.
pub async fn run_worker(url: &str, every: Duration, data: &Path) -> Result<(), DemoError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::Signal)?;
    let (authority, path) = split_url(url).ok_or_else(|| DemoError::Url { url: url.to_owned() })?;
    let file = data.join(WORKER_FILE);
    tracing::info!(url, file = %file.display(), "fetching");
    loop {
        // Both arms are cancel-safe: a fetch that is dropped has written nothing yet.
        let line = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            fetched = timeout(EXCHANGE_TIMEOUT, fetch(authority, path)) => match fetched {
                Ok(Ok(line)) => line,
                Ok(Err(error)) => format!("failed: {error}"),
                Err(_) => format!("failed: no answer within {}", humantime::format_duration(EXCHANGE_TIMEOUT)),
            },
        };
        tracing::info!(line, "fetched");
        append_line(&file, &line).await.map_err(|source| DemoError::Write { path: file.clone(), source })?;
        // Both arms are cancel-safe: neither holds anything.
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn answer(mut stream: TcpStream, line: &str) -> io::Result<()> {
    let request = read_message(&mut stream, |text| text.contains("\r\n\r\n")).await?;
    let (status, body) = respond(&request, line);
    let length = body.len();
    let header = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{header}Connection: close\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// Status and body for a request.
fn respond<'a>(request: &str, line: &'a str) -> (&'static str, &'a str) {
    let mut words = request.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some("/healthz")) => ("200 OK", "ok\n"),
        (Some("GET"), Some("/")) => ("200 OK", line),
        (Some("GET"), Some(_)) => ("404 Not Found", "no such page\n"),
        (Some(_), Some(_)) => ("405 Method Not Allowed", "only GET\n"),
        (_, None) | (None, Some(_)) => ("400 Bad Request", "not a request\n"),
    }
}

/// Authority and path of an `http://` URL.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let split_at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split_at);
    let (host, port) = authority.rsplit_once(':')?;
    let is_whole = !host.is_empty() && port.parse::<u16>().is_ok() && !url.contains(char::is_whitespace);
    is_whole.then_some((authority, if path.is_empty() { "/" } else { path }))
}

/// The first line of the body of one GET.
async fn fetch(authority: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let message = read_message(&mut stream, |_| false).await?;
    let body = message.split_once("\r\n\r\n").map(|(_, body)| body);
    body.and_then(|body| body.lines().next())
        .map(str::to_owned)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer without a body"))
}

/// Reads until `is_complete`, the end of the stream or [`MESSAGE_LIMIT`].
async fn read_message(stream: &mut TcpStream, is_complete: impl Fn(&str) -> bool) -> io::Result<String> {
    let mut message = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        message.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&message);
        if count == 0 || message.len() >= MESSAGE_LIMIT || is_complete(&text) {
            return Ok(text.into_owned());
        }
    }
}

async fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
    file.write_all(format!("{line}\n").as_bytes()).await?;
    file.flush().await
}

/// The container's host name; the Engine writes it into this file.
pub(super) async fn read_host_name() -> String {
    let read = tokio::fs::read_to_string("/etc/hostname").await;
    read.map_or_else(|_| "an unnamed host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{append_line, fetch, respond, run_web, split_url};

    #[test]
    fn the_server_answers_a_line_its_health_and_nothing_else() {
        assert_eq!(respond("GET / HTTP/1.1\r\n\r\n", "hello from web-0\n"), ("200 OK", "hello from web-0\n"));
        assert_eq!(respond("GET /healthz HTTP/1.1\r\n\r\n", "web-0").1, "ok\n");
        assert_eq!(respond("GET /etc HTTP/1.1\r\n\r\n", "web-0").0, "404 Not Found");
        assert_eq!(respond("POST / HTTP/1.1\r\n\r\n", "web-0").0, "405 Method Not Allowed");
        assert_eq!(respond("", "web-0").0, "400 Bad Request");
    }

    #[test]
    fn a_url_needs_its_scheme_its_host_and_its_port() {
        assert_eq!(split_url("http://web:8080"), Some(("web:8080", "/")));
        assert_eq!(split_url("http://web:8080/a/b"), Some(("web:8080", "/a/b")));
        for bad in
            ["web:8080", "https://web:8080", "http://web", "http://:80", "http://web:80/\r\nX: y", "http://web:99999"]
        {
            assert_eq!(split_url(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_the_server_says_is_what_the_worker_fetches() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let server = tokio::spawn(run_web(address));
        let line = loop {
            match fetch(&address.to_string(), "/").await {
                Ok(line) => break line,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(line.starts_with("hello from "), "{line}");
        server.abort();
    }

    #[tokio::test]
    async fn lines_are_appended() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fetched.log");
        append_line(&file, "one").await.unwrap();
        append_line(&file, "two").await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
    }
}
