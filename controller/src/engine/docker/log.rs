//! The last lines of a container's output.

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use futures_util::stream::{Stream, StreamExt};

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
    use super::{BYTES_LIMIT, clean_tail};

    #[test]
    fn output_is_cut_from_the_front_at_a_whole_character_and_escaped() {
        assert_eq!(clean_tail(b"a\r\n\tb\x1b[31m\xff"), "a\n\tb\\u{1b}[31m\u{fffd}");
        let long = "é".repeat(BYTES_LIMIT);
        let tail = clean_tail(&[b"x", long.as_bytes()].concat());
        assert!(tail.len() <= BYTES_LIMIT && tail.chars().all(|character| character == 'é'));
        assert_eq!(clean_tail(b""), "");
    }
}
