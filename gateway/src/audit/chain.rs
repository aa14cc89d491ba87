//! The chain of hashes: each line holds the hash of the one before it.

use std::io::BufRead;

use sha2::{Digest, Sha256};

/// The hash before the first line.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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

/// A record with its place in the chain: `{"seq":N,"prev":"…","record":{…},"hash":"…"}`; the hash covers everything before it.
pub(super) fn link(sequence: u64, previous: &str, record: &str) -> (String, String) {
    let head = format!("{{\"seq\":{sequence},\"prev\":\"{previous}\",\"record\":{record}");
    let hash = hash_of(&head);
    (format!("{head},\"hash\":\"{hash}\"}}\n"), hash)
}

fn hash_of(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(text.as_bytes());
    let mut hash = String::with_capacity(GENESIS.len());
    for byte in digest {
        hash.extend([byte >> 4, byte & 0xf].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    hash
}

/// What a line says of its place: sequence, previous hash, own hash and whether the hash fits.
pub(super) struct Link {
    pub(super) sequence: u64,
    pub(super) previous: String,
    pub(super) hash: String,
    is_intact: bool,
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
}

/// Checks a whole log. A log may begin anywhere (older ones may have been put away), and from there every line must follow the one before it.
/// `after`: the last line of the log that it must go on from.
///
/// # Errors
/// The first line that does not fit.
pub fn read_piece(log: impl BufRead, after: Option<(u64, String)>) -> Result<Piece, ChainFault> {
    let mut piece = Piece { count: 0, first: None, last: after };
    for line in log.lines() {
        piece.count += 1;
        let line_number = piece.count;
        let line = line.map_err(|source| ChainFault::Read { line: line_number, source })?;
        let place = read_link(&line).ok_or(ChainFault::NotARecord { line: line_number })?;
        let follows = piece
            .last
            .as_ref()
            .is_none_or(|(sequence, hash)| sequence.checked_add(1) == Some(place.sequence) && place.previous == *hash);
        if !place.is_intact || !follows {
            return Err(ChainFault::Broken { line: line_number });
        }
        piece.first.get_or_insert_with(|| place.hash.clone());
        piece.last = Some((place.sequence, place.hash));
    }
    Ok(piece)
}

/// Whether a line is the first of a chain.
pub fn is_first_line(line: &str) -> bool {
    read_link(line).is_some_and(|place| place.sequence == 1 && place.previous == GENESIS)
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
    use super::{ChainFault, GENESIS, Piece, is_first_line, link, read_piece, verify};

    fn log(records: &[&str]) -> String {
        let mut previous = GENESIS.to_owned();
        let mut text = String::new();
        for (sequence, record) in (1..).zip(records) {
            let (line, hash) = link(sequence, &previous, record);
            text.push_str(&line);
            previous = hash;
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
        let Piece { count, first, last } = read_piece(lines[0].as_bytes(), None).unwrap();
        assert!(count == 1 && is_first_line(lines[0]) && !is_first_line(lines[1]));
        assert_eq!(first, last.clone().map(|(_, hash)| hash));
        let rest = read_piece([lines[1], lines[2]].join("\n").as_bytes(), last.clone()).unwrap();
        assert!(rest.count == 2 && rest.last.as_ref().is_some_and(|(number, _)| *number == 3));
        let lacking = read_piece(lines[2].as_bytes(), last.clone());
        assert!(matches!(lacking, Err(ChainFault::Broken { line: 1 })));
        assert_eq!(read_piece("".as_bytes(), last.clone()).unwrap().last, last);
        let cut = read_piece([lines[0], lines[1]].join("\n").as_bytes(), None).unwrap();
        assert_ne!(cut.last, rest.last, "what was cut off at the end shows in the last hash alone");
    }
}
