//! Small files that are whole or not there: written under another name, synced, renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Ends the name of a file that is being written; whoever finds one may remove it.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Writes a file that only its owner may read, in place of what had its name. A crash at any moment leaves the old file or the new one.
///
/// # Errors
/// Those of the system; the old file is left as it was, unless only the directory could not be synced.
pub(crate) fn write_durably<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), E> {
    let mut temporary_name = path.as_os_str().to_owned();
    temporary_name.push(TEMPORARY_SUFFIX);
    let temporary = Path::new(&temporary_name);
    // One that a crash left behind may have other rights.
    match fs::remove_file(temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    let mut writer = BufWriter::new(created);
    fill(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    fs::rename(temporary, path)?;
    sync_directory_of(path)?;
    Ok(())
}

/// Makes the names in a file's directory durable.
///
/// # Errors
/// Those of the system.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}
