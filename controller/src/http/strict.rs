//! A connection whose bytes are looked at before the HTTP library sees them, because it forgives what must not be forgiven.
//!
//! hyper 1.12 accepts lines that end in a bare line feed, and silently drops a `Content-Length` beside a `Transfer-Encoding`;
//! behind a proxy that reads such a request otherwise, a second request can be hidden in it. The scanner knows heads only: once a
//! request has a body, nothing after it is scanned, and the guard has the connection closed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A connection that moves no byte for this long is closed: a client that never reads its watch too.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// What the scanner found; the guard reads it with every request.
#[derive(Debug, Default)]
pub(super) struct WireReport {
    is_ambiguous: AtomicBool,
    has_body: AtomicBool,
}

impl WireReport {
    /// Whether two readers could take the bytes for different requests.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous.load(Ordering::Acquire)
    }

    /// Whether a request had a body, so that what follows was not scanned.
    pub(super) fn has_body(&self) -> bool {
        self.has_body.load(Ordering::Acquire)
    }
}

/// Reads the heads of requests, byte by byte.
#[derive(Debug, Default)]
struct HeadScanner {
    /// The first bytes of the line, lower case: enough for the two names that matter.
    line: Vec<u8>,
    line_length: usize,
    previous: u8,
    has_request_line: bool,
    has_length: bool,
    has_transfer_encoding: bool,
}

/// The longer of the two names.
const LONGEST_NAME: usize = "transfer-encoding".len();

impl HeadScanner {
    fn scan(&mut self, bytes: &[u8], report: &WireReport) {
        for byte in bytes.iter().copied() {
            if report.has_body() || report.is_ambiguous() {
                return;
            }
            if byte == b'\n' {
                self.end_line(report);
            } else if byte != b'\r' {
                self.line_length += 1;
                if self.line.len() <= LONGEST_NAME {
                    self.line.push(byte.to_ascii_lowercase());
                }
            }
            self.previous = byte;
        }
    }

    fn end_line(&mut self, report: &WireReport) {
        if self.previous != b'\r' {
            report.is_ambiguous.store(true, Ordering::Release);
        }
        if self.line_length > 0 {
            self.has_request_line = true;
            self.has_length |= self.line.starts_with(b"content-length:");
            self.has_transfer_encoding |= self.line.starts_with(b"transfer-encoding:");
            self.line.clear();
            self.line_length = 0;
        } else if self.has_request_line {
            let (has_length, has_transfer_encoding) = (self.has_length, self.has_transfer_encoding);
            *self = Self::default();
            report.is_ambiguous.fetch_or(has_length && has_transfer_encoding, Ordering::AcqRel);
            report.has_body.fetch_or(has_length || has_transfer_encoding, Ordering::AcqRel);
        }
    }
}

/// A stream that is scanned and ends when it is idle.
#[derive(Debug)]
pub(super) struct StrictStream<S> {
    inner: S,
    scanner: HeadScanner,
    report: Arc<WireReport>,
    idle: Pin<Box<Sleep>>,
}

impl<S> StrictStream<S> {
    pub(super) fn new(inner: S, report: Arc<WireReport>) -> Self {
        Self { inner, scanner: HeadScanner::default(), report, idle: Box::pin(sleep(IDLE_TIMEOUT)) }
    }

    fn note_progress(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
    }

    /// What to answer where the inner stream is not ready.
    fn poll_idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                this.note_progress();
                this.scanner.scan(&buffer.filled()[before..], &this.report);
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_idle(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_write(cx, bytes) {
            Poll::Ready(result) => {
                this.note_progress();
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_idle(cx),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{HeadScanner, WireReport};

    fn scan(text: &str) -> (bool, bool) {
        let report = WireReport::default();
        let mut scanner = HeadScanner::default();
        for byte in text.as_bytes() {
            scanner.scan(&[*byte], &report);
        }
        (report.is_ambiguous(), report.has_body())
    }

    #[test]
    fn what_two_readers_could_read_differently_is_told() {
        assert_eq!(scan("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), (false, false));
        assert_eq!(scan("GET / HTTP/1.1\nHost: a\n\n"), (true, false));
        assert_eq!(scan("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n"), (false, true));
        assert_eq!(scan("POST / HTTP/1.1\r\nCONTENT-LENGTH: 2\r\nTransfer-Encoding: chunked\r\n\r\n"), (true, true));
        assert_eq!(
            scan("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: x\r\nContent-Length:1\r\n\r\n"),
            (true, true)
        );
    }
}
