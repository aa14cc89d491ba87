//! The text of one file, checked byte by byte, with its lines: what places and snippets are taken from.

use crate::diagnostic::{Diagnostic, Span};
use crate::escape::{is_invisible, printable};
use crate::open_secret::has_secret;

/// The largest manifest file in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 256 * 1024;
/// The longest snippet in characters.
const MAX_SNIPPET_CHARS: usize = 200;
/// How many faults of one sort are reported for one file.
pub(crate) const MAX_FAULTS_OF_A_SORT: usize = 20;

/// A place in a file: line and column from 1, and a length in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters are meant; 0 where only the position is known.
    pub length: u32,
}

/// A file that is valid UTF-8.
#[derive(Debug)]
pub(crate) struct SourceText<'a> {
    /// The file, as the user knows it.
    pub(crate) file: &'a str,
    /// Its text, without a byte-order mark.
    pub(crate) text: &'a str,
    /// As YAML counts them, without a line feed at their end, but with a carriage return.
    lines: Vec<&'a str>,
}

impl<'a> SourceText<'a> {
    /// Checks size, encoding and characters. Faults of characters do not stop the reading, so that others are found too.
    ///
    /// # Errors
    /// The one fault that makes reading on pointless: too large, or not UTF-8.
    #[expect(clippy::result_large_err, reason = "asked for once a file or command: boxing saves nothing")]
    pub(crate) fn decode(file: &'a str, bytes: &'a [u8]) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let whole_file = || Span {
            file: file.to_owned(),
            line: 1,
            column: 1,
            length: 0,
            snippet: String::new(),
            label: String::new(),
        };
        if bytes.len() > MAX_FILE_BYTES {
            let message = format!("the file is larger than 256KiB ({} bytes)", bytes.len());
            return Err(Diagnostic::error("E0108", message).hint("split it into several files").span(whole_file()));
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(Diagnostic::error("E0103", "the file is UTF-16, not UTF-8")
                .hint("save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`")
                .span(whole_file()));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.valid_up_to();
                let before = String::from_utf8_lossy(&bytes[..offset]);
                let mut lines = split_lines(before.strip_prefix('\u{feff}').unwrap_or(&before));
                // What ends a line at the end of this part begins another one.
                if before.ends_with('\r') {
                    lines.push("");
                }
                let mut span = whole_file();
                span.line = saturating(lines.len());
                span.column = saturating(lines.last().map_or(0, |line| line.chars().count()) + 1);
                return Err(Diagnostic::error("E0103", format!("not UTF-8 at byte {offset}"))
                    .hint("save the file as UTF-8")
                    .span(span));
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Self { file, text, lines: split_lines(text) };
        let faults = source.check_characters();
        Ok((source, faults))
    }

    fn check_characters(&self) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let mut end = 0;
        for (index, line) in self.lines.iter().enumerate() {
            end += line.len();
            let is_ended_well = self.text.as_bytes().get(end).is_none_or(|byte| *byte == b'\n');
            end += usize::from(is_ended_well);
            if line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                continue;
            }
            for (column, character) in line.chars().enumerate() {
                let is_line_end = is_ended_well && character == '\r' && column + 1 == line.chars().count();
                let fault = if character.is_control() && character != '\t' && !is_line_end {
                    Diagnostic::error("E0104", format!("control character U+{:04X}", u32::from(character)))
                        .hint("remove it, or write it as an escape in a double-quoted string")
                } else if is_invisible(character) {
                    Diagnostic::error("E0105", format!("invisible character U+{:04X}", u32::from(character)))
                        .hint("remove it, or write it as an escape in a double-quoted string")
                } else {
                    continue;
                };
                if faults.len() == MAX_FAULTS_OF_A_SORT {
                    return faults;
                }
                let place = Place { line: saturating(index + 1), column: saturating(column + 1), length: 1 };
                faults.push(fault.span(self.span(place)));
            }
        }
        faults
    }

    /// The line with this number, without its end; empty when there is none.
    pub(crate) fn line(&self, line: u32) -> &'a str {
        let index = (line as usize).wrapping_sub(1);
        self.lines.get(index).map_or("", |line| line.trim_end_matches('\r'))
    }

    /// Whether as much of the line as may be shown holds a secret, as far as that can be told of a line.
    pub(crate) fn has_secret(&self, line: u32) -> bool {
        let line = self.line(line);
        // The end of what stands across the end of a snippet tells what it is.
        has_secret(&line[..line.floor_char_boundary(MAX_SNIPPET_CHARS * 4)])
    }

    /// The place as part of a diagnostic.
    pub(crate) fn span(&self, place: Place) -> Span {
        self.labelled_span(place, "")
    }

    /// The place as part of a diagnostic, with what it is.
    pub(crate) fn labelled_span(&self, place: Place, label: &str) -> Span {
        Span {
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            length: place.length,
            snippet: printable(self.line(place.line), MAX_SNIPPET_CHARS),
            label: label.to_owned(),
        }
    }
}

/// Lines as YAML ends them: at a line feed, or at a carriage return with or without one.
fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for part in text.split('\n') {
        let mut rest = part;
        while let Some(at) = rest.find('\r').filter(|at| at + 1 < rest.len()) {
            let (line, after) = rest.split_at(at + 1);
            lines.push(line);
            rest = after;
        }
        lines.push(rest);
    }
    lines
}

/// A count as a line or column number.
pub(crate) fn saturating(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
