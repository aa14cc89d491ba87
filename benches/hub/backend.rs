//! A process that serves MCP by HTTP on several ports, each a server of its own: `http-server ERA PORT=TOOLS …`.
//!
//! It reads no more of HTTP than it needs, so that it costs the candidates little of the cores that they share with it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::tool::{Era, Server};

/// Serves until it is killed.
pub(crate) fn serve(era: &str, ports: &[&str]) {
    let era = Era::of(era);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for word in ports {
            let (port, tools) = word.split_once('=').unwrap();
            let server = Arc::new(Server::new(era, tools.parse().unwrap()));
            let listener = TcpListener::bind(("127.0.0.1", port.parse::<u16>().unwrap())).await.unwrap();
            tokio::spawn(async move {
                loop {
                    let Ok((stream, _)) = listener.accept().await else { continue };
                    drop(stream.set_nodelay(true));
                    tokio::spawn(follow(stream, Arc::clone(&server), era));
                }
            });
        }
        std::future::pending::<()>().await;
    });
}

/// Answers one connection's requests until it ends.
async fn follow(mut stream: TcpStream, server: Arc<Server>, era: Era) -> Option<()> {
    let mut buffer: Vec<u8> = Vec::with_capacity(4096);
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let (is_post, length) = {
            let text = std::str::from_utf8(buffer.get(..head)?).ok()?;
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            (text.starts_with("POST"), length.unwrap_or(0))
        };
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        }
        let body = std::str::from_utf8(buffer.get(head..head + length)?).ok()?;
        let is_initialize = era == Era::Legacy && body.contains("\"initialize\"");
        let answer = if is_post { server.answer(body) } else { None };
        let text = match answer {
            Some(answer) => {
                let session = if is_initialize { "mcp-session-id: a-session-of-the-benchmarks\r\n" } else { "" };
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{session}content-length: {}\r\n\r\n{answer}",
                    answer.len()
                )
            }
            None if is_post => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned(),
            // It offers no stream.
            None => "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        stream.write_all(text.as_bytes()).await.ok()?;
        buffer.drain(..head + length);
    }
}
