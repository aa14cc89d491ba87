//! The lock on the data directory: one process at a time, and the next one is told which.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::durable_file::write_durably;
use crate::holder::Holder;

/// The lock; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    holder_path: PathBuf,
    _file: File,
}

/// Why the data directory cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data directory `{}` is in use by {}", path.display(), describe(holder.as_deref()))]
    Held {
        /// The data directory.
        path: PathBuf,
        /// Who has it; `None` when it has not said so yet.
        holder: Option<Box<Holder>>,
    },
    /// The system refuses.
    #[error("cannot lock the data directory `{}`", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LockError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Held { .. } => "end that process first, or name another `--data-dir`",
            Self::Io { .. } => "see that the data directory is on a local disk and belongs to this user",
        }
    }
}

impl DataDirLock {
    /// Locks a data directory, which must exist, and notes who has it.
    ///
    /// # Errors
    /// [`LockError::Held`] at once, without waiting, when another process has it.
    pub fn acquire(data_dir: &Path, me: &Holder) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: data_dir.to_owned(), source };
        let holder_path = data_dir.join("lock.holder");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(data_dir.join("lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read(&holder_path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
                return Err(LockError::Held { path: data_dir.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let text = serde_json::to_string(me).map_err(|error| failed(error.into()))?;
        write_durably(&holder_path, |writer| writeln!(writer, "{text}")).map_err(failed)?;
        Ok(Self { holder_path, _file: file })
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Only a note for people: the next holder writes its own over it.
        drop(fs::remove_file(&self.holder_path));
    }
}

fn describe(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::{DataDirLock, LockError};
    use crate::holder::Holder;

    #[test]
    fn a_second_opener_is_told_who_has_the_directory_until_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let me = Holder::current(&"prod".parse().unwrap()).unwrap();
        let lock = DataDirLock::acquire(directory.path(), &me).unwrap();
        let refused = DataDirLock::acquire(directory.path(), &me).unwrap_err();
        assert!(refused.to_string().contains(&format!("process {} on host", me.pid)), "{refused}");
        assert!(matches!(refused, LockError::Held { holder: Some(holder), .. } if *holder == me));
        drop(lock);
        DataDirLock::acquire(directory.path(), &me).unwrap();
    }
}
