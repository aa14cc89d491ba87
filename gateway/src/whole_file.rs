//! Small files that are whole or not there: written under another name, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Whether a file must outlive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// What is lost is found again.
    Process,
    /// What is lost is lost.
    Disk,
}

/// Writes a file that only its owner may read, in place of what had its name: whoever reads it sees either.
pub(crate) fn write_whole(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.{:08x}", std::process::id(), fastrand::u32(..)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(content).and_then(|()| match durability {
        Durability::Process => fs::rename(&temporary, path),
        Durability::Disk => {
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        }
    });
    if written.is_err() {
        // What is left of it is nothing to anybody.
        drop(fs::remove_file(&temporary));
    }
    written
}
