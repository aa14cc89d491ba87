//! A client that costs little: one connection, one request at a time, no more of HTTP than is needed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::message;
use crate::place::Place;
use crate::tool::Era;

/// One connection to one address.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The session that was begun.
    pub(crate) session: Option<String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects to where requests for a server go.
    pub(crate) async fn connect(place: &Place, server: usize) -> Option<Self> {
        let stream = TcpStream::connect(place.address(server)).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Option<Reply> {
        self.stream.write_all(request).await.ok()?;
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let text = std::str::from_utf8(self.buffer.get(..head)?).ok()?;
        let field = |wanted: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
            })
        };
        let status = text.get(9..12)?.parse().ok()?;
        let session = field("mcp-session-id");
        let length: Option<usize> = field("content-length").and_then(|length| length.parse().ok());
        let is_chunked = field("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
        self.buffer.drain(..head);
        let body = if is_chunked { self.read_chunks().await? } else { self.take(length.unwrap_or(0)).await? };
        Some(Reply { status, session, body })
    }

    async fn read(&mut self) -> Option<()> {
        (self.stream.read_buf(&mut self.buffer).await.ok()? > 0).then_some(())
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.read().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn read_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                    break end + 2;
                }
                self.read().await?;
            };
            let line = self.take(end).await?;
            let size = usize::from_str_radix(std::str::from_utf8(&line).ok()?.trim(), 16).ok()?;
            let chunk = self.take(size + 2).await?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(chunk.get(..size)?);
        }
    }

    /// Sends a request that must be answered by a result.
    pub(crate) async fn expect(&mut self, request: &[u8]) -> Reply {
        let reply = self.send(request).await;
        // An error says so in its first bytes; a long list is not searched.
        let is_result = |reply: &Reply| {
            let begin = String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]);
            matches!(reply.status, 200 | 202) && !begin.contains("\"error\":") && !begin.contains("\"isError\":true")
        };
        match reply {
            Some(reply) if is_result(&reply) => reply,
            reply => {
                let asked = String::from_utf8_lossy(request);
                let said = reply.map(|reply| (reply.status, String::from_utf8_lossy(&reply.body).into_owned()));
                unreachable!("a request was not answered by a result: {asked}\n{said:?}")
            }
        }
    }

    /// Begins a session where clients of this era have one.
    pub(crate) async fn begin(&mut self, place: &Place, server: usize) -> Option<String> {
        if place.era == Era::Modern {
            return None;
        }
        let session = self.expect(&message::initialize(place, server)).await.session;
        self.expect(&message::initialized(place, server, session.as_deref())).await;
        session
    }
}
