//! Server-sent events, read and written (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id, to go on from.
    pub id: Option<String>,
    /// Its name; `message` where none is given.
    pub name: Option<String>,
    /// Its data, the lines joined.
    pub data: String,
    /// How long to wait before connecting again, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// An event is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {0} bytes")]
pub struct TooLarge(pub usize);

/// Reads events from the pieces that they come in.
#[derive(Debug)]
pub struct SseReader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    was_return: bool,
    limit: usize,
}

impl SseReader {
    /// A reader of events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), event: Event::default(), has_data: false, was_return: false, limit }
    }

    /// Takes a piece in and gives the events that it completes.
    ///
    /// # Errors
    /// When an event is larger than allowed.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        for &byte in piece {
            let is_end = match byte {
                b'\n' if self.was_return => {
                    self.was_return = false;
                    continue;
                }
                b'\n' | b'\r' => true,
                _ => false,
            };
            self.was_return = byte == b'\r';
            if is_end {
                let line = std::mem::take(&mut self.line);
                events.extend(self.end_line(&String::from_utf8_lossy(&line)));
                continue;
            }
            self.line.push(byte);
            if self.line.len() + self.event.data.len() > self.limit {
                return Err(TooLarge(self.limit));
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let is_event = std::mem::take(&mut self.has_data) || event.id.is_some() || event.retry_ms.is_some();
            return is_event.then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.name = Some(value.to_owned()),
            "retry" => self.event.retry_ms = value.parse().ok(),
            // A comment, or a field that the standard does not know.
            _ => {}
        }
        None
    }
}

/// An event of this JSON text, which holds no line end.
pub fn event_text(json: &str) -> String {
    debug_assert!(!json.contains(['\n', '\r']), "JSON of one line");
    format!("event: message\ndata: {json}\n\n")
}

/// JSON text with the line ends that it may hold between its tokens taken out: inside strings they are always escaped.
pub fn one_line(json: &str) -> std::borrow::Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

#[cfg(test)]
mod tests {
    use super::{Event, SseReader, TooLarge, event_text, one_line};

    fn read(pieces: &[&str]) -> Vec<Event> {
        let mut reader = SseReader::new(1_000);
        pieces.iter().flat_map(|piece| reader.push(piece.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn events_are_read_wherever_they_are_cut() {
        let text = ": hello\r\nid: 7\r\nevent: message\r\ndata: a\r\ndata:b\r\n\r\nretry: 10\n\ndata: é\n\n";
        let whole = read(&[text]);
        assert_eq!(whole.len(), 3);
        assert_eq!((whole[0].data.as_str(), whole[0].id.as_deref()), ("a\nb", Some("7")));
        assert_eq!(whole[1].retry_ms, Some(10));
        assert_eq!(whole[2].data, "é");
        let mut reader = SseReader::new(1_000);
        let bytewise: Vec<Event> = text.bytes().flat_map(|byte| reader.push(&[byte]).unwrap()).collect();
        assert_eq!(bytewise, whole);
    }

    #[test]
    fn what_is_written_is_read_back_and_what_is_endless_is_refused() {
        assert_eq!(read(&[&event_text("{\"a\":1}")])[0].data, "{\"a\":1}");
        assert_eq!(one_line("{\n \"a\":\r\n1}"), "{  \"a\":  1}");
        let mut reader = SseReader::new(10);
        assert_eq!(reader.push(b"data: 0123456789"), Err(TooLarge(10)));
    }
}
