//! Where log lines go: to stderr, by a thread of its own, so that whoever should read them and does not holds nobody up.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many lines wait for the reader; those beyond are counted and lost.
const LINES_HELD: usize = 4_096;
/// How long the end waits for the last lines to be taken.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// Takes lines, and never waits.
#[derive(Debug, Clone)]
pub(crate) struct LogSink {
    messages: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// Waits for the last lines when it is dropped, but not for long.
#[derive(Debug)]
#[must_use = "the last lines are lost where nobody waits for them"]
pub struct LogDrain(SyncSender<Message>);

/// One line on its way.
#[derive(Debug)]
pub(crate) struct LogLine<'a> {
    sink: &'a LogSink,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Everything before is written.
    Drain(SyncSender<()>),
}

impl LogSink {
    /// Starts the thread. `describe_lost` makes the line that tells how many were lost.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        out: impl Write + Send + 'static,
        describe_lost: fn(u64) -> String,
    ) -> io::Result<(Self, LogDrain)> {
        let (messages, taken) = sync_channel(LINES_HELD);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        // It ends with the process: the sink lives as long.
        std::thread::Builder::new()
            .name("evenkeel-log".into())
            .spawn(move || write_lines(out, &taken, &counted, describe_lost))?;
        Ok((Self { messages: messages.clone(), lost }, LogDrain(messages)))
    }
}

fn write_lines(mut out: impl Write, taken: &Receiver<Message>, lost: &AtomicU64, describe_lost: fn(u64) -> String) {
    for message in taken {
        match message {
            Message::Line(bytes) => {
                // A reader that has gone does not want to know.
                out.write_all(&bytes).unwrap_or_default();
                let count = lost.swap(0, Ordering::Relaxed);
                if count > 0 {
                    out.write_all(describe_lost(count).as_bytes()).unwrap_or_default();
                }
            }
            Message::Drain(done) => drop(done.try_send(())),
        }
    }
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine { sink: self, bytes: Vec::new() }
    }
}

impl Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.bytes);
        if !line.is_empty() && self.sink.messages.try_send(Message::Line(line)).is_err() {
            self.sink.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for LogDrain {
    fn drop(&mut self) {
        let (done, drained) = sync_channel(1);
        // Full means that nobody reads.
        if self.0.try_send(Message::Drain(done)).is_ok() {
            drained.recv_timeout(DRAIN_TIME).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing_subscriber::fmt::MakeWriter as _;

    use super::{LINES_HELD, LogSink};

    /// Takes one line for each leave that is given.
    struct SlowReader {
        leave: Receiver<()>,
        read: Sender<String>,
    }

    impl Write for SlowReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.leave.recv().unwrap_or_default();
                drop(self.read.send(String::from_utf8_lossy(bytes).into_owned()));
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_counted_and_hold_nobody_up() {
        let ((give_leave, leave), (read, lines)) = (channel(), channel());
        let (sink, drain) = LogSink::start(SlowReader { leave, read }, |count| format!("{count} lost\n")).unwrap();
        let log = |text: String| sink.make_writer().write_all(text.as_bytes()).unwrap();
        let logged = LINES_HELD + 1_000;
        for number in 0..logged {
            log(format!("line {number}\n"));
        }
        // Given up on in time, though nothing has been read.
        drop(drain);
        drop(give_leave);
        let first: Vec<String> = lines.iter().take(2).collect();
        assert_eq!(first[0], "line 0\n");
        let lost: usize = first[1].strip_suffix(" lost\n").unwrap_or("0").parse().unwrap();
        // One line may have been on its way already.
        assert!((999..=1_000).contains(&lost), "{first:?}");
    }

    #[test]
    fn the_last_lines_are_written_before_the_end() {
        let ((give_leave, leave), (read, lines)) = (channel(), channel());
        drop(give_leave);
        let (sink, drain) = LogSink::start(SlowReader { leave, read }, |_| String::new()).unwrap();
        sink.make_writer().write_all(b"the last one\n").unwrap();
        drop(drain);
        assert_eq!(lines.try_recv().as_deref(), Ok("the last one\n"));
    }
}
