//! One HTTP request at a time, over TCP or a Unix socket: all that a test needs of a client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long a read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct HttpResponse {
    /// The status, such as 200.
    pub(crate) status: u16,
    /// The header, as it came.
    pub(crate) header: String,
    /// The body.
    pub(crate) body: String,
}

impl HttpResponse {
    /// The body as JSON; fails the test when it is not.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// Asks a server on this machine.
///
/// # Errors
/// When it cannot be reached, or answers with what is not HTTP.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<HttpResponse> {
    request(address, "GET", path, "")
}

/// Sends any request; `headers` are whole lines, each ended by `\r\n`.
///
/// # Errors
/// When the server cannot be reached, or answers with what is not HTTP.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> io::Result<HttpResponse> {
    let stream = TcpStream::connect_timeout(&address, READ_TIMEOUT)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    exchange(stream, &format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n"))
}

/// Sends a body; `headers` are whole lines, each ended by `\r\n`.
///
/// # Errors
/// When the server cannot be reached, or answers with what is not HTTP.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> io::Result<HttpResponse> {
    let stream = TcpStream::connect_timeout(&address, READ_TIMEOUT)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n");
    exchange(stream, &format!("{head}Connection: close\r\n\r\n{body}"))
}

/// Asks a server behind a Unix socket. HTTP/1.0, so that the answer comes in one piece.
///
/// # Errors
/// When it cannot be reached, or answers with what is not HTTP.
pub(crate) fn get_over_unix_socket(socket: &str, path: &str) -> io::Result<HttpResponse> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    exchange(stream, &format!("GET {path} HTTP/1.0\r\nHost: engine\r\n\r\n"))
}

fn exchange<S: Read + Write>(mut stream: S, request: &str) -> io::Result<HttpResponse> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let not_http = || io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {answer:?}"));
    let (header, body) = answer.split_once("\r\n\r\n").ok_or_else(not_http)?;
    let status = header.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(not_http)?;
    let is_chunked = header.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { join_chunks(body).ok_or_else(not_http)? } else { body.to_owned() };
    Ok(HttpResponse { status, header: header.to_owned(), body })
}

fn join_chunks(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn chunks_are_joined() {
        assert_eq!(super::join_chunks("4\r\nWiki\r\n5;x=y\r\npedia\r\n0\r\n\r\n").as_deref(), Some("Wikipedia"));
        assert_eq!(super::join_chunks("4\r\nWi"), None);
    }
}
