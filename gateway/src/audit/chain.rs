//! The chain of hashes: each line holds the hash of the one before it.

use std::io::BufRead;

use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

/// The method of the record that an older file is removed.
pub(super) const PRUNED: &str = "audit/pruned";
/// The hash before the first line.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where a chain is broken.
#[derive(Debug, thiserror::Error)]
pub enum ChainFault {
    /// A line cannot be read.
    #[error("line {line} cannot be read")]
    Read {
        /// Counted from 1.
        line: u64,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("line {line} is no audit record")]
    NotARecord {
        /// Counted from 1.
        line: u64,
    },
    /// A line was changed, or one before it was taken out or put in.
    #[error("line {line} does not fit the chain: it or a line before it was changed, removed or added")]
    Broken {
        /// Counted from 1.
        line: u64,
    },
}

/// A place in a chain, for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The number of the line, from 1.
    pub sequence: u64,
    /// The hash of the line before it.
    pub previous: String,
}

impl Place {
    /// Of the first line.
    pub(super) fn beginning() -> Self {
        Self { sequence: 1, previous: GENESIS.to_owned() }
    }

    /// The place of a line; `None` where it is no record. Nothing is checked.
    pub fn of(line: &str) -> Option<Self> {
        read_link(line).map(|link| Self { sequence: link.sequence, previous: link.previous })
    }

    /// Whether it is that of the first line of a chain.
    pub fn is_beginning(&self) -> bool {
        *self == Self::beginning()
    }

    /// Whether a line with this number and hash is the one before it.
    pub fn follows(&self, (sequence, hash): &(u64, String)) -> bool {
        sequence.checked_add(1) == Some(self.sequence) && self.previous == *hash
    }
}

/// A record with its place in the chain: `{"seq":N,"prev":"…","record":{…},"hash":"…"}`; the hash covers everything before it.
/// Returns also where the chain goes on after it.
pub(super) fn link(place: &Place, record: &str) -> (String, Place) {
    let Place { sequence, previous } = place;
    let number = sequence.to_string();
    let mut line = ["{\"seq\":", &number, ",\"prev\":\"", previous, "\",\"record\":", record].concat();
    let hash = hash_of(&line);
    line.reserve_exact(hash.len() + 12);
    line.extend([",\"hash\":\"", &hash, "\"}\n"]);
    (line, Place { sequence: sequence + 1, previous: hash })
}

fn hash_of(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hash = Vec::with_capacity(GENESIS.len());
    for byte in Sha256::digest(text.as_bytes()) {
        hash.extend([byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)]));
    }
    // Digits are text.
    String::from_utf8(hash).unwrap_or_default()
}

/// What a line says of its place: sequence, previous hash, own hash and whether the hash fits.
pub(super) struct Link {
    pub(super) sequence: u64,
    previous: String,
    pub(super) hash: String,
    is_intact: bool,
}

impl Link {
    /// Where the chain goes on after it.
    pub(super) fn next(&self) -> Place {
        Place { sequence: self.sequence.saturating_add(1), previous: self.hash.clone() }
    }
}

pub(super) fn read_link(line: &str) -> Option<Link> {
    #[derive(serde::Deserialize)]
    struct Place {
        seq: u64,
        prev: String,
        hash: String,
    }
    let place: Place = serde_json::from_str(line).ok()?;
    let (head, tail) = line.rsplit_once(",\"hash\":\"")?;
    let is_intact = hash_of(head) == place.hash && tail.trim_end() == format!("{}\"}}", place.hash);
    Some(Link { sequence: place.seq, previous: place.prev, hash: place.hash, is_intact })
}

/// A log that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// How many records it has.
    pub count: u64,
    /// The hash of its first line; none where there is no line.
    pub first: Option<String>,
    /// The number and the hash of its last line, or of the one before it where there is none.
    pub last: Option<(u64, String)>,
    /// The last lines of older files that were removed, as it says itself.
    pub removed: Vec<(u64, String)>,
}

/// Checks a whole log. A log may begin anywhere (older ones may have been put away), and from there every line must follow the one before it.
/// `after`: the last line of the log that it must go on from.
///
/// # Errors
/// The first line that does not fit.
pub fn read_piece(log: impl BufRead, after: Option<(u64, String)>) -> Result<Piece, ChainFault> {
    let mut piece = Piece { count: 0, first: None, last: after, removed: Vec::new() };
    for line in log.lines() {
        piece.count += 1;
        let line_number = piece.count;
        let line = line.map_err(|source| ChainFault::Read { line: line_number, source })?;
        let read = read_link(&line).ok_or(ChainFault::NotARecord { line: line_number })?;
        let place = Place { sequence: read.sequence, previous: read.previous };
        if !read.is_intact || piece.last.as_ref().is_some_and(|last| !place.follows(last)) {
            return Err(ChainFault::Broken { line: line_number });
        }
        piece.removed.extend(removed_by(&line));
        piece.first.get_or_insert_with(|| read.hash.clone());
        piece.last = Some((place.sequence, read.hash));
    }
    Ok(piece)
}

/// The last line of an older file, where a line says that it was removed.
fn removed_by(line: &str) -> Option<(u64, String)> {
    #[derive(serde::Deserialize)]
    struct Line {
        record: Record,
    }
    #[derive(serde::Deserialize)]
    struct Record {
        method: String,
        era: Option<IgnoredAny>,
        arguments: Arguments,
    }
    #[derive(serde::Deserialize)]
    struct Arguments {
        last: u64,
        hash: String,
    }
    // Nearly none does, and reading one takes longer than looking for this.
    let Line { record } = line.contains(PRUNED).then(|| serde_json::from_str(line).ok())??;
    // What a client asks has an era, whatever its method is called.
    let is_own = record.method == PRUNED && record.era.is_none();
    is_own.then_some((record.arguments.last, record.arguments.hash))
}

/// Checks a whole log by itself and returns how many records it has.
///
/// # Errors
/// The first line that does not fit.
pub fn verify(log: impl BufRead) -> Result<u64, ChainFault> {
    read_piece(log, None).map(|piece| piece.count)
}

#[cfg(test)]
mod tests {
    use super::{ChainFault, PRUNED, Piece, Place, link, read_piece, verify};

    fn log(records: &[&str]) -> String {
        let mut place = Place::beginning();
        let mut text = String::new();
        for record in records {
            let (line, next) = link(&place, record);
            text.push_str(&line);
            place = next;
        }
        text
    }

    #[test]
    fn an_edit_a_removal_and_an_insertion_are_found_where_they_are() {
        let whole = log(&["{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":4}"]);
        assert_eq!(verify(whole.as_bytes()).unwrap(), 4);
        let edited = whole.replace("{\"a\":3}", "{\"a\":7}");
        assert!(matches!(verify(edited.as_bytes()), Err(ChainFault::Broken { line: 3 })));
        let lines: Vec<&str> = whole.lines().collect();
        let removed = [lines[0], lines[2], lines[3]].join("\n");
        assert!(matches!(verify(removed.as_bytes()), Err(ChainFault::Broken { line: 2 })));
        let twice = [lines[0], lines[1], lines[1], lines[2]].join("\n");
        assert!(matches!(verify(twice.as_bytes()), Err(ChainFault::Broken { line: 3 })));
        let torn = &whole[..whole.len() - 9];
        assert!(matches!(verify(torn.as_bytes()), Err(ChainFault::NotARecord { line: 4 })));
        assert_eq!(verify([lines[2], lines[3]].join("\n").as_bytes()).unwrap(), 2);
    }

    #[test]
    fn a_piece_goes_on_from_the_one_before_it_or_does_not_and_its_ends_show_what_was_cut_off() {
        let whole = log(&["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
        let lines: Vec<&str> = whole.lines().collect();
        let Piece { count, first, last, .. } = read_piece(lines[0].as_bytes(), None).unwrap();
        let is_first = |line: &str| Place::of(line).is_some_and(|place| place.is_beginning());
        assert!(count == 1 && is_first(lines[0]) && !is_first(lines[1]) && !is_first("{}"));
        assert_eq!(first, last.clone().map(|(_, hash)| hash));
        let rest = read_piece([lines[1], lines[2]].join("\n").as_bytes(), last.clone()).unwrap();
        assert!(rest.count == 2 && rest.last.as_ref().is_some_and(|(number, _)| *number == 3));
        let lacking = read_piece(lines[2].as_bytes(), last.clone());
        assert!(matches!(lacking, Err(ChainFault::Broken { line: 1 })));
        assert_eq!(read_piece("".as_bytes(), last.clone()).unwrap().last, last);
        let cut = read_piece([lines[0], lines[1]].join("\n").as_bytes(), None).unwrap();
        assert_ne!(cut.last, rest.last, "what was cut off at the end shows in the last hash alone");
    }

    #[test]
    fn only_a_record_of_its_own_says_that_an_older_file_was_removed() {
        let arguments = format!("{{\"method\":\"{PRUNED}\",\"last\":7,\"hash\":\"ab\"}}");
        let of = |method: &str| format!("{{\"method\":\"{method}\",\"arguments\":{arguments}}}");
        let by_client = format!("{{\"era\":\"modern\",\"method\":\"{PRUNED}\",\"arguments\":{arguments}}}");
        let text = log(&[&of("tools/call"), &of(PRUNED), &format!("{{\"method\":\"{PRUNED}\"}}"), &by_client]);
        assert_eq!(read_piece(text.as_bytes(), None).unwrap().removed, [(7, "ab".to_owned())]);
    }
}
