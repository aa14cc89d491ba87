//! The output of an attached container without its frames: standard output to whoever reads, standard error to the log.
//!
//! Each frame is a byte for the stream, three of zero, a length of four bytes and so many bytes, see
//! <https://docs.docker.com/engine/api/v1.41/#operation/ContainerAttach>. A frame is handed on as it comes in, whatever its size.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};

/// The head of a frame, in bytes.
const HEAD_BYTES: usize = 8;
/// How much is read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// The most bytes that are told of a line of standard error.
const LINE_LIMIT: usize = 400;

/// Reads standard output out of the frames of an attached container.
#[derive(Debug)]
pub(super) struct Demultiplexer<R> {
    frames: BufReader<R>,
    place: Place,
    errors: ErrorLines,
}

/// Where in the frames it is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In the head of one, of which so many bytes have come.
    Head { bytes: [u8; HEAD_BYTES], filled: usize },
    /// In its content, of which so many bytes are to come.
    Content { stream: Stream, left: usize },
}

/// Which stream a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Error,
}

impl Place {
    const START: Self = Self::Head { bytes: [0; HEAD_BYTES], filled: 0 };
}

impl<R: AsyncRead> Demultiplexer<R> {
    /// Reads frames from here. `container` is told with what it writes to its standard error.
    pub(super) fn new(frames: R, container: &str) -> Self {
        let errors = ErrorLines { container: container.to_owned(), line: Vec::new() };
        Self { frames: BufReader::with_capacity(BUFFER_BYTES, frames), place: Place::START, errors }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Demultiplexer<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let filled_before = into.filled().len();
        while into.remaining() > 0 {
            // What was read already is handed on before anybody waits for more.
            if into.filled().len() > filled_before && me.frames.buffer().is_empty() {
                break;
            }
            let piece = ready!(Pin::new(&mut me.frames).poll_fill_buf(cx))?;
            if piece.is_empty() {
                me.errors.flush();
                return Poll::Ready(me.place.end());
            }
            let taken = me.place.take(piece, into, &mut me.errors)?;
            Pin::new(&mut me.frames).consume(taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl Place {
    /// Takes from the beginning of a piece, which is not empty. Returns how many bytes.
    fn take(&mut self, piece: &[u8], into: &mut ReadBuf<'_>, errors: &mut ErrorLines) -> io::Result<usize> {
        match self {
            Self::Head { bytes, filled } => {
                let taken = piece.len().min(HEAD_BYTES - *filled);
                bytes[*filled..*filled + taken].copy_from_slice(&piece[..taken]);
                *filled += taken;
                if *filled == HEAD_BYTES {
                    *self = Self::after(*bytes)?;
                }
                Ok(taken)
            }
            Self::Content { stream, left } => {
                let here = piece.len().min(*left);
                let taken = match stream {
                    Stream::Output => {
                        let taken = here.min(into.remaining());
                        into.put_slice(&piece[..taken]);
                        taken
                    }
                    Stream::Error => {
                        errors.push(&piece[..here]);
                        here
                    }
                };
                *left -= taken;
                if *left == 0 {
                    *self = Self::START;
                }
                Ok(taken)
            }
        }
    }

    /// The place after a head.
    fn after(head: [u8; HEAD_BYTES]) -> io::Result<Self> {
        let [stream, 0, 0, 0, length @ ..] = head else { return Err(not_a_frame()) };
        let stream = match stream {
            // The Engine's own client takes 0 for the output as well.
            0 | 1 => Stream::Output,
            // 3 is what the Engine itself has to say.
            2 | 3 => Stream::Error,
            _ => return Err(not_a_frame()),
        };
        let left = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
        Ok(if left == 0 { Self::START } else { Self::Content { stream, left } })
    }

    /// What an end of the frames means here.
    fn end(self) -> io::Result<()> {
        match self {
            Self::Head { filled: 0, .. } => Ok(()),
            Self::Head { .. } | Self::Content { .. } => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the Engine went away in the middle of a frame"))
            }
        }
    }
}

fn not_a_frame() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the Engine sent what is no frame; has the container a terminal?")
}

/// What a container writes to its standard error, line by line, as far as somebody wants to know.
#[derive(Debug)]
struct ErrorLines {
    container: String,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

impl ErrorLines {
    fn push(&mut self, bytes: &[u8]) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        self.extend(pieces.next().unwrap_or_default());
        for piece in pieces {
            self.flush();
            self.extend(piece);
        }
    }

    fn extend(&mut self, piece: &[u8]) {
        let room = LINE_LIMIT.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            let line = crate::engine::classify::clean_text(&String::from_utf8_lossy(&self.line));
            tracing::debug!(container = %self.container, line = %line, "a container wrote to its standard error");
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

    use super::{Demultiplexer, LINE_LIMIT};

    fn frame(stream: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], content].concat()
    }

    async fn read(frames: &[u8]) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        Demultiplexer::new(frames, "web").read_to_end(&mut output).await.map(|_| output)
    }

    #[tokio::test]
    async fn standard_output_comes_without_frames_and_without_standard_error() {
        let frames = [frame(1, b"one\n"), frame(2, b"oh no\n"), frame(1, b""), frame(3, b"engine"), frame(1, b"two")];
        assert_eq!(read(&frames.concat()).await.unwrap(), b"one\ntwo");
        assert_eq!(read(b"").await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_frame_of_several_megabytes_and_a_hundred_thousand_small_ones_are_read() {
        let large: Vec<u8> = (0_u32..5 << 20).map(|index| index.to_le_bytes()[0]).collect();
        assert!(read(&frame(1, &large)).await.unwrap() == large);
        let small: Vec<u8> = (0_u32..100_000).flat_map(|index| frame(1, &index.to_le_bytes())).collect();
        let expected: Vec<u8> = (0_u32..100_000).flat_map(u32::to_le_bytes).collect();
        assert!(read(&small).await.unwrap() == expected);
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_no_frame_is_an_error() {
        let whole = [frame(1, b"one\n"), frame(1, b"two\n")].concat();
        for end in 0..=whole.len() {
            let is_whole = end == 0 || end == 12 || end == 24;
            let kind = read(&whole[..end]).await.err().map(|error| error.kind());
            assert_eq!(kind, (!is_whole).then_some(io::ErrorKind::UnexpectedEof), "{end}");
        }
        for bad in [&b"a line of a terminal\n"[..], &[4, 0, 0, 0, 0, 0, 0, 1, 65], &[1, 1, 0, 0, 0, 0, 0, 1, 65]] {
            assert_eq!(read(bad).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn what_has_come_is_handed_on_while_the_rest_of_its_frame_is_under_way() {
        let (mut engine, frames) = tokio::io::duplex(64);
        let mut output = Demultiplexer::new(frames, "web");
        let whole = frame(1, b"hello");
        tokio::io::AsyncWriteExt::write_all(&mut engine, &whole[..10]).await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(output.read(&mut buffer).await.unwrap(), 2);
        assert_eq!(&buffer[..2], b"he");
    }

    #[test]
    fn a_line_of_standard_error_without_an_end_takes_no_more_than_its_limit() {
        let mut errors = super::ErrorLines { container: "web".to_owned(), line: Vec::new() };
        for _ in 0..100 {
            errors.extend(&[b'x'; 1000]);
        }
        assert_eq!(errors.line.len(), LINE_LIMIT);
    }

    /// Bytes that come in pieces of random sizes, and now and then not at once.
    struct Cut<'bytes> {
        bytes: &'bytes [u8],
        random: fastrand::Rng,
    }

    impl AsyncRead for Cut<'_> {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.random.u8(..) < 40 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let most = self.bytes.len().min(into.remaining());
            let taken = if most == 0 { 0 } else { self.random.usize(1..=most.min(30)) };
            into.put_slice(&self.bytes[..taken]);
            self.bytes = &self.bytes[taken..];
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn however_the_bytes_are_cut_the_same_comes_out() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut frames, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..random.usize(1..40) {
                let content: Vec<u8> = (0..random.usize(0..50)).map(|_| random.u8(..)).collect();
                let stream = random.u8(0..4);
                if stream < 2 {
                    expected.extend_from_slice(&content);
                }
                frames.extend(frame(stream, &content));
            }
            let mut reader = Demultiplexer::new(Cut { bytes: &frames, random: random.fork() }, "web");
            let mut output = Vec::new();
            loop {
                let mut buffer = vec![0; random.usize(1..20)];
                match reader.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => output.extend_from_slice(&buffer[..count]),
                }
            }
            assert!(output == expected, "seed {seed}");
        }
    }
}
