//! Lines of bounded length, each a JSON value.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest opening of a connection: nobody is known yet.
pub(super) const OPENING_BYTES: usize = 4 << 10;
/// The longest line afterwards: a few hundred servers with everything that is said of them are a hundredth of it.
pub(super) const LINE_BYTES: usize = 16 << 20;

/// Reads lines. What has come of one is kept when a read is given up.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    begun: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, begun: Vec::new() }
    }

    /// What reads on after the last line.
    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// The next line; `None` where the other side has ended. Cancel-safe.
    ///
    /// # Errors
    /// A line that is too long, that is no such value, or that ends in its middle.
    pub(super) async fn next<T: DeserializeOwned>(&mut self, longest: usize) -> io::Result<Option<T>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return if self.begun.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            if self.begun.len() + taken > longest {
                return Err(invalid(format!("a line is longer than {longest} bytes")));
            }
            self.begun.extend_from_slice(&chunk[..taken]);
            self.reader.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                let line = std::mem::take(&mut self.begun);
                // What it says may be a secret: only where it does not fit is told.
                let fault =
                    |error: serde_json::Error| invalid(format!("a line is not understood at {}", error.column()));
                return serde_json::from_slice(&line).map(Some).map_err(fault);
            }
        }
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Writes a value as a line.
///
/// # Errors
/// Those of the system, and a line that the other side would not take.
pub(super) async fn write_line(writer: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    if line.len() > LINE_BYTES {
        return Err(invalid(format!("a line would be longer than {LINE_BYTES} bytes")));
    }
    line.push(b'\n');
    writer.write_all(&line).await
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[tokio::test]
    async fn a_line_has_a_length_and_an_end_and_says_nothing_of_itself_when_it_is_wrong() {
        let mut lines = Lines::new(&b"1\n22\n333\n"[..]);
        assert_eq!(lines.next::<u32>(2).await.unwrap(), Some(1));
        assert_eq!(lines.next::<u32>(2).await.unwrap(), Some(22));
        assert!(lines.next::<u32>(2).await.unwrap_err().to_string().contains("longer than 2"));
        let mut lines = Lines::new(&b"\"hush-hush\"\n1"[..]);
        let fault = lines.next::<u32>(99).await.unwrap_err().to_string();
        assert!(!fault.contains("hush"), "{fault}");
        assert!(lines.next::<u32>(99).await.is_err(), "it has no end");
        assert_eq!(Lines::new(&b""[..]).next::<u32>(9).await.unwrap(), None);
    }
}
