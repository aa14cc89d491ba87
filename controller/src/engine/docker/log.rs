//! A container's output: its last lines, or line by line for as long as somebody reads.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

/// Which of a container's output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRequest {
    /// Its standard output too, and not just its standard error.
    pub has_stdout: bool,
    /// Only so many of the last lines.
    pub tail: Option<u32>,
    /// Only what was written since, in seconds of the Unix epoch, by the Engine's clock.
    pub since_secs: Option<i32>,
    /// Go on with what it writes, until it ends.
    pub is_following: bool,
}

impl LogRequest {
    pub(super) fn to_options(self) -> LogsOptions {
        let tail = self.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::new().stdout(self.has_stdout).stderr(true).follow(self.is_following);
        options.since(self.since_secs.unwrap_or(0)).tail(&tail).build()
    }
}

/// Output line by line, without the ends of the lines. What was written to standard output and what to standard error are lines of their
/// own, also where they came in between each other.
pub(super) fn split_lines(
    output: impl Stream<Item = Result<LogOutput, Error>> + Send + 'static,
) -> BoxStream<'static, Result<String, Error>> {
    let lines = Lines { output: output.fuse().boxed(), begun: [Vec::new(), Vec::new()], whole: VecDeque::new() };
    stream::unfold(lines, |mut lines| async move { Some((lines.next().await?, lines)) }).boxed()
}

struct Lines {
    output: BoxStream<'static, Result<LogOutput, Error>>,
    /// Of standard output and of standard error, the line whose end has not come.
    begun: [Vec<u8>; 2],
    whole: VecDeque<String>,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<String, Error>> {
        loop {
            if let Some(line) = self.whole.pop_front() {
                return Some(Ok(line));
            }
            match self.output.next().await {
                Some(Ok(LogOutput::StdErr { message })) => self.take(1, &message),
                Some(Ok(piece)) => self.take(0, &piece.into_bytes()),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    for index in [0, 1] {
                        if !self.begun[index].is_empty() {
                            self.end_line(index);
                        }
                    }
                    return self.whole.pop_front().map(Ok);
                }
            }
        }
    }

    fn take(&mut self, index: usize, bytes: &[u8]) {
        for (number, piece) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                self.end_line(index);
            }
            self.begun[index].extend_from_slice(piece);
            // One that never ends must not fill the memory.
            if self.begun[index].len() > LINE_LIMIT {
                self.end_line(index);
            }
        }
    }

    fn end_line(&mut self, index: usize) {
        let line = std::mem::take(&mut self.begun[index]);
        self.whole.push_back(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned());
    }
}

/// A longer line is told in pieces.
const LINE_LIMIT: usize = 64 * 1024;

/// The options of a call for the last lines, of both streams.
pub(super) fn tail_options(lines: u32) -> LogsOptions {
    LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&lines.to_string()).build()
}

/// The last [`BYTES_LIMIT`] bytes of the output, whole characters only, with control characters escaped: what a container
/// prints is not trusted.
pub(super) async fn read_tail(output: impl Stream<Item = Result<LogOutput, Error>>) -> Result<String, Error> {
    let mut output = std::pin::pin!(output);
    let mut bytes = Vec::new();
    while let Some(chunk) = output.next().await {
        bytes.extend_from_slice(&chunk?.into_bytes());
        if bytes.len() > 4 * BYTES_LIMIT {
            bytes.drain(..bytes.len() - BYTES_LIMIT);
        }
    }
    Ok(clean_tail(&bytes))
}

fn clean_tail(bytes: &[u8]) -> String {
    let mut clean = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '\r' => {}
            character if character.is_control() && !matches!(character, '\n' | '\t') => {
                clean.extend(character.escape_unicode());
            }
            character => clean.push(character),
        }
    }
    let surplus = clean.len().saturating_sub(BYTES_LIMIT);
    let start = (surplus..clean.len()).find(|index| clean.is_char_boundary(*index)).unwrap_or(surplus);
    clean.split_off(start)
}

/// The most bytes that are kept.
const BYTES_LIMIT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use bollard::container::LogOutput;
    use bollard::errors::Error;
    use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

    use super::{BYTES_LIMIT, LINE_LIMIT, clean_tail, split_lines};

    async fn lines_of(pieces: Vec<(bool, Vec<u8>)>) -> Vec<String> {
        let output = pieces.into_iter().map(|(is_error, text)| {
            let message = text.into();
            Ok::<_, Error>(if is_error { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } })
        });
        split_lines(stream::iter(output)).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_were_cut_and_whatever_came_between() {
        let pieces = [(false, "one\ntw"), (true, "oh "), (false, "o\r\n\nthr"), (true, "no\n"), (true, "end")];
        let pieces = pieces.map(|(is_error, text)| (is_error, text.as_bytes().to_vec())).to_vec();
        assert_eq!(lines_of(pieces).await, ["one", "two", "", "oh no", "thr", "end"]);
        assert!(lines_of(vec![]).await.is_empty());
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_told_in_pieces_and_what_broke_off_is_an_error() {
        let lines = lines_of(vec![(false, vec![b'x'; LINE_LIMIT]); 3]).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [2 * LINE_LIMIT, LINE_LIMIT]);
        let gone = Error::SocketNotFoundError("gone".to_owned());
        let mut broken = split_lines(stream::iter([Err(gone)]));
        assert!(broken.next().await.unwrap().is_err());
        assert!(broken.next().await.is_none());
    }

    #[test]
    fn output_is_cut_from_the_front_at_a_whole_character_and_escaped() {
        assert_eq!(clean_tail(b"a\r\n\tb\x1b[31m\xff"), "a\n\tb\\u{1b}[31m\u{fffd}");
        let long = "é".repeat(BYTES_LIMIT);
        let tail = clean_tail(&[b"x", long.as_bytes()].concat());
        assert!(tail.len() <= BYTES_LIMIT && tail.chars().all(|character| character == 'é'));
        assert_eq!(clean_tail(b""), "");
    }
}
