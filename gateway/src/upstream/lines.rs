//! Lines of bounded length, as the stdio transport frames its messages.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What a stream held next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Text(String),
    /// A line that is no UTF-8.
    Garbage,
    /// A line of more than the limit: nothing after it can be trusted.
    TooLong,
    /// The stream has ended. A line without an end is not one.
    End,
}

/// Reads the next line of at most `limit` bytes. Not cancel-safe: what was read of a line is lost.
///
/// # Errors
/// When the stream cannot be read.
pub async fn read_line<R: AsyncBufRead + Unpin>(reader: &mut R, limit: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let piece = reader.fill_buf().await?;
        if piece.is_empty() {
            return Ok(Line::End);
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        if line.len() + taken.len() > limit {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(taken);
        let consumed = end.map_or(piece.len(), |end| end + 1);
        reader.consume(consumed);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(String::from_utf8(line).map_or(Line::Garbage, Line::Text));
        }
    }
}

/// Reads on to the end of a line that was too long. Not cancel-safe.
///
/// # Errors
/// When the stream cannot be read.
pub async fn skip_line<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<()> {
    loop {
        let piece = reader.fill_buf().await?;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let consumed = end.map_or(piece.len(), |end| end + 1);
        if consumed == 0 {
            return Ok(());
        }
        reader.consume(consumed);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::{Line, read_line, skip_line};

    #[tokio::test]
    async fn lines_are_read_up_to_their_limit() {
        let mut reader = BufReader::with_capacity(3, &b"{\"a\":1}\r\n\n\xff\n0123456789\n"[..]);
        let mut next = async || read_line(&mut reader, 9).await.unwrap();
        assert_eq!(next().await, Line::Text("{\"a\":1}".to_owned()));
        assert_eq!(next().await, Line::Text(String::new()));
        assert_eq!(next().await, Line::Garbage);
        assert_eq!(next().await, Line::TooLong);
        let mut long = BufReader::with_capacity(3, &b"0123456789\nnext\n"[..]);
        assert_eq!(read_line(&mut long, 9).await.unwrap(), Line::TooLong);
        skip_line(&mut long).await.unwrap();
        assert_eq!(read_line(&mut long, 9).await.unwrap(), Line::Text("next".to_owned()));
        let mut torn = BufReader::new(&b"half a li"[..]);
        assert_eq!(read_line(&mut torn, 100).await.unwrap(), Line::End);
    }
}
