//! The last whole line of a file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// How much of the end of a file is read at first.
const TAIL_BYTES: u64 = 256 * 1024;

/// How a file ends.
pub(super) struct Tail {
    /// Its last whole line; absent where it has none.
    pub(super) last: Option<String>,
    /// How many of its bytes are whole lines.
    pub(super) whole_bytes: u64,
    /// How many it has.
    pub(super) bytes: u64,
}

/// Reads the end of a file, however long its last line is.
pub(super) fn read_tail(file: &mut File) -> io::Result<Tail> {
    let bytes = file.metadata()?.len();
    let mut tail_bytes = TAIL_BYTES;
    loop {
        let begin = bytes.saturating_sub(tail_bytes);
        file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let lines = tail.get(..whole.saturating_sub(1)).unwrap_or_default();
        let before = lines.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
        if begin > 0 && (whole == 0 || before.is_none()) {
            // The last line is longer than what was read of it.
            tail_bytes = tail_bytes.saturating_mul(2);
            continue;
        }
        let last = lines.get(before.unwrap_or(0)..).unwrap_or_default();
        return Ok(Tail {
            last: (whole > 0).then(|| String::from_utf8_lossy(last).into_owned()),
            whole_bytes: begin + u64::try_from(whole).unwrap_or(u64::MAX),
            bytes,
        });
    }
}
