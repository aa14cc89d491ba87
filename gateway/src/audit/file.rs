//! The file that lines are added to, by one writer alone, also while another file takes its place.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::backup::{Backup, directory_of, read_end};
use super::chain::{Place, read_link};
use super::tail::read_tail;

/// The file that lines are added to. Its lock is held for as long as this is.
pub(super) struct CurrentFile {
    path: PathBuf,
    file: File,
    /// How much of it is whole lines.
    length: u64,
}

impl CurrentFile {
    /// Opens it, which has it made where it is not there. Returns also where its chain goes on: after its last line, or where it has none after
    /// that of the newest older file. A half-written last line is cut off. `patience`: how long it is waited for whoever else writes to it.
    ///
    /// # Errors
    /// When it cannot be read, when somebody else writes to it, or when the last line is no record: to begin a new chain behind it would hide that.
    pub(super) fn open(path: &Path, patience: Duration) -> io::Result<(Self, Place)> {
        let until = Instant::now() + patience;
        loop {
            let mut file = writable().create(true).truncate(false).open(path)?;
            lock(until, || file.try_lock())?;
            if what_is_at(path, &file)? != Found::This {
                continue;
            }
            let (length, last) = cut_to_lines(&mut file)?;
            let place = match last {
                Some(last) => {
                    read_link(&last).ok_or_else(|| io::Error::other("its last line is no audit record"))?.next()
                }
                None => end_of_backups(path, until)?,
            };
            // Whoever is about to put a new file here does so in the place of this one, if it is none that he writes to.
            if what_is_at(path, &file)? == Found::This {
                return Ok((Self { path: path.to_owned(), file, length }, place));
            }
        }
    }

    /// Its size in bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Adds lines. Where that fails, none of them is there.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn append(&mut self, lines: &str) -> io::Result<()> {
        let written = self.file.write_all(lines.as_bytes());
        if written.is_ok() {
            self.length += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        } else {
            // What is half written would break the chain for good.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            if let Err(error) = undone {
                tracing::error!(error = %error, "what was half written to the audit log cannot be taken back");
            }
        }
        written
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// When the system cannot.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Gives it the name of an older file and begins a new one in its place, which has its first line from the beginning: where older files are
    /// put away meanwhile, it says where the chain goes on. It must have a line itself.
    ///
    /// Its lock is held until the new one, which is locked before it can be found, is there: so nobody who finds no file, or an empty one, can
    /// take it for his while this goes on.
    ///
    /// # Errors
    /// When that cannot be done: then all is as it was.
    pub(super) fn rotate(&mut self, first_line: &str) -> io::Result<()> {
        self.file.sync_all()?;
        let next = self.path.with_added_extension("next");
        // It may be left of a rotation that was not ended.
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = writable().create_new(true).open(&next)?;
        let begun = file.try_lock().map_err(io::Error::from).and_then(|()| file.write_all(first_line.as_bytes()));
        let swapped = begun.and_then(|()| file.sync_all()).and_then(|()| self.make_way_for(&next));
        if let Err(error) = swapped {
            drop(fs::remove_file(&next));
            return Err(error);
        }
        (self.file, self.length) = (file, u64::try_from(first_line.len()).unwrap_or(u64::MAX));
        if let Err(error) = File::open(directory_of(&self.path)).and_then(|directory| directory.sync_all()) {
            tracing::error!(error = %error, "the names of the audit's files cannot be made durable");
        }
        Ok(())
    }

    fn make_way_for(&self, next: &Path) -> io::Result<()> {
        match what_is_at(&self.path, &self.file)? {
            // Its name alone would go, and the file stay where it is.
            Found::This if fs::symlink_metadata(&self.path)?.is_symlink() => {
                return Err(io::Error::other("it is a symbolic link"));
            }
            Found::This => {}
            Found::Another => return Err(io::Error::other("another file was put in its place")),
            // Somebody has put it away under a name of his own.
            Found::Nothing => return fs::rename(next, &self.path),
        }
        let older = Backup::path_of(&self.path, first_sequence(&self.path)?)?;
        if fs::symlink_metadata(&older).is_ok() {
            return Err(io::Error::other(format!("`{}` is there already", older.display())));
        }
        fs::rename(&self.path, &older)?;
        fs::rename(next, &self.path).inspect_err(|_| {
            if let Err(error) = fs::rename(&older, &self.path) {
                tracing::error!(file = %older.display(), error = %error, "the audit goes on in a file that has the name of an older one");
            }
        })
    }
}

/// How files are opened that lines are added to.
fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Two writers would each go on from the same line. The lock ends with the thread that writes, which may just be about to.
fn lock(until: Instant, try_lock: impl Fn() -> Result<(), TryLockError>) -> io::Result<()> {
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    This,
    Another,
    Nothing,
}

fn what_is_at(path: &Path, file: &File) -> io::Result<Found> {
    let here = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (here.dev(), here.ino()) => Ok(Found::This),
        Ok(_) => Ok(Found::Another),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(error),
    }
}

/// Cuts off a half-written last line. Returns the length and the last line; the file stands at its end then.
fn cut_to_lines(file: &mut File) -> io::Result<(u64, Option<String>)> {
    let tail = read_tail(file)?;
    if tail.whole_bytes < tail.bytes {
        tracing::warn!("the last line of the audit log was not whole and is cut off");
        file.set_len(tail.whole_bytes)?;
    }
    file.seek(SeekFrom::Start(tail.whole_bytes))?;
    Ok((tail.whole_bytes, tail.last))
}

/// Where a chain goes on after the newest of its older files; at its beginning where there is none.
fn end_of_backups(path: &Path, until: Instant) -> io::Result<Place> {
    let Some(newest) = Backup::list(path)?.pop() else { return Ok(Place::beginning()) };
    let mut file = File::open(&newest.path)?;
    // Held by whoever is about to put a new file in the place of this one.
    lock(until, || file.try_lock_shared())?;
    tracing::info!(file = %newest.path.display(), "the audit goes on after an older file");
    let end = read_end(&mut file).map_err(|error| io::Error::other(format!("`{}`: {error}", newest.path.display())))?;
    Ok(end.link.next())
}

/// The number of the first line.
fn first_sequence(path: &Path) -> io::Result<u64> {
    let mut line = String::new();
    BufReader::new(File::open(path)?).read_line(&mut line)?;
    let place = Place::of(&line).ok_or_else(|| io::Error::other("its first line is no audit record"))?;
    Ok(place.sequence)
}
