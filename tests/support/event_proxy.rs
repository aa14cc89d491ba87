//! The stream of events, line by line: what the proxy lets through of it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::proxy::Shared;

/// What becomes of the stream of events.
#[derive(Debug, Clone)]
pub(crate) enum EventFault {
    /// Lines that contain all of these texts are lost.
    Lose(Vec<String>),
    /// Every line comes twice.
    Double,
    /// Each line is followed by this one.
    Add(String),
    /// The stream stays open, and nothing comes any more.
    Freeze,
    /// The stream ends with the next line.
    Cut,
}

/// Passes the head of the Engine's answer on, then the events, until one of the two sides ends.
pub(super) fn relay_events(shared: &Shared, engine: UnixStream, mut client: &UnixStream) -> io::Result<()> {
    let mut engine = BufReader::new(engine);
    let mut line = Vec::new();
    while line != b"\r\n" {
        line.clear();
        if engine.read_until(b'\n', &mut line)? == 0 {
            return client.shutdown(Shutdown::Both);
        }
        client.write_all(&line)?;
    }
    // Each chunk of the Engine's is one event.
    while let Some(event) = read_chunk(&mut engine)? {
        let text = String::from_utf8_lossy(&event);
        let fault = shared.event_fault();
        let fault = match fault {
            Some(EventFault::Lose(texts)) if !texts.iter().all(|lost| text.contains(lost.as_str())) => None,
            fault => fault,
        };
        if fault.is_some() {
            shared.count_faulted_event();
        }
        match fault {
            None => write_chunk(client, &event)?,
            Some(EventFault::Double) => {
                write_chunk(client, &event)?;
                write_chunk(client, &event)?;
            }
            Some(EventFault::Add(more)) => {
                write_chunk(client, &event)?;
                write_chunk(client, format!("{more}\n").as_bytes())?;
            }
            Some(EventFault::Lose(_) | EventFault::Freeze) => {}
            Some(EventFault::Cut) => break,
        }
    }
    client.shutdown(Shutdown::Both)
}

fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut size = String::new();
    reader.read_line(&mut size)?;
    let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok(Some(chunk))
}

fn write_chunk(mut client: &UnixStream, chunk: &[u8]) -> io::Result<()> {
    client.write_all(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
}
