//! Who this controller is: the key that its proofs of ownership are made with, the token of its API, and its data directory's id.
//!
//! All three are files beside the store, not in it: a lost store must not cost the proof of what is ours.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crds_schema::Name;
use planner::Identity;
use planner::hash::to_hex;

use crate::durable_file::write_durably;

/// The file of the key, in the data directory.
pub const KEY_FILE: &str = "instance.key";
/// The file of the API's token.
pub const TOKEN_FILE: &str = "api.token";
/// The file of the data directory's id.
pub const ID_FILE: &str = "data-dir.id";

/// What a data directory says about its controller.
pub struct LocalIdentity {
    /// The instance and its key.
    pub identity: Identity,
    /// The bearer token of the API: 64 hex digits.
    pub api_token: String,
    /// The id of the data directory: 64 hex digits. No secret; a copy of the directory has the same.
    pub data_dir_id: String,
    /// Whether the key was made just now. If there was a store already, the old key was lost, and with it the proof of
    /// everything that was made with it.
    pub is_key_new: bool,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Others may read it.
    #[error("`{}` may be read or changed by others (mode {mode:04o})", path.display())]
    TooOpen {
        /// The file or the data directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not what we wrote.
    #[error("`{}` does not hold 64 hex digits", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It is something else than a file, or than a directory.
    #[error("`{}` is not a plain {expected}", path.display())]
    WrongType {
        /// What is there.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// The system refuses.
    #[error("cannot read or create `{}`", path.display())]
    Io {
        /// What was tried on.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl IdentityError {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::TooOpen { path, .. } => {
                let mode = if path.is_dir() { "700" } else { "600" };
                format!(
                    "run `chmod {mode} {}`; if others may have read a key or token, remove it instead",
                    path.display()
                )
            }
            Self::Malformed { path } => format!(
                "restore `{}` from a backup; removed, it is made anew, but what was made with an old key is no longer known as ours",
                path.display()
            ),
            Self::WrongType { path, .. } => format!("move `{}` away, or name another `--data-dir`", path.display()),
            Self::Io { .. } => {
                "see that the data directory can be written by this user, or name another `--data-dir`".into()
            }
        }
    }
}

impl fmt::Debug for LocalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = (&self.identity, &self.data_dir_id, self.is_key_new);
        f.debug_tuple("LocalIdentity").field(&fields).finish_non_exhaustive()
    }
}

/// Makes a data directory that only its owner may enter, or checks that it is one.
///
/// # Errors
/// When it is open to others: it is not closed to them unasked, since it may be a directory of another use.
pub fn prepare_data_dir(data_dir: &Path) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Io { path: data_dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
    let metadata = fs::metadata(data_dir).map_err(failed)?;
    check_mode(data_dir, metadata.permissions().mode())
}

/// Loads the files of a data directory, and makes those that are not there. The caller holds its lock.
///
/// # Errors
/// When a file is too open or malformed: it is never replaced unasked.
pub fn load_or_create(data_dir: &Path, instance: &Name) -> Result<LocalIdentity, IdentityError> {
    let (key, is_key_new) = load_or_create_secret(&data_dir.join(KEY_FILE))?;
    let (token, _) = load_or_create_secret(&data_dir.join(TOKEN_FILE))?;
    let (id, _) = load_or_create_secret(&data_dir.join(ID_FILE))?;
    let identity = Identity { instance: instance.clone(), key };
    Ok(LocalIdentity { identity, api_token: to_hex(&token), data_dir_id: to_hex(&id), is_key_new })
}

/// The identity of a data directory, without making anything: where there is no key yet, nothing in the Engine is proved ours.
///
/// # Errors
/// When the key file is too open or malformed.
pub fn read(data_dir: &Path, instance: &Name) -> Result<Identity, IdentityError> {
    let path = data_dir.join(KEY_FILE);
    let key = if path.exists() { load_or_create_secret(&path)?.0 } else { [0; 32] };
    Ok(Identity { instance: instance.clone(), key })
}

/// 32 random bytes that a file keeps as hex digits, and whether they were drawn just now.
fn load_or_create_secret(path: &Path) -> Result<([u8; 32], bool), IdentityError> {
    let failed = |source| IdentityError::Io { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = draw_secret().map_err(failed)?;
            write_durably(path, |writer| writeln!(writer, "{}", to_hex(&secret))).map_err(failed)?;
            return Ok((secret, true));
        }
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        return Err(IdentityError::WrongType { path: path.to_owned(), expected: "file" });
    }
    check_mode(path, metadata.permissions().mode())?;
    let mut text = String::new();
    let mut file = File::open(path).map_err(failed)?.take(100);
    let malformed = || IdentityError::Malformed { path: path.to_owned() };
    file.read_to_string(&mut text).map_err(|_| malformed())?;
    let secret = parse_hex(text.trim_end()).filter(|secret| *secret != [0; 32]).ok_or_else(malformed)?;
    Ok((secret, false))
}

/// 32 random bytes.
///
/// # Errors
/// When the system gives none.
pub(crate) fn draw_secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(secret)
}

fn check_mode(path: &Path, mode: u32) -> Result<(), IdentityError> {
    let mode = mode & 0o7777;
    let rights_of_others = mode & 0o077;
    if rights_of_others == 0 { Ok(()) } else { Err(IdentityError::TooOpen { path: path.to_owned(), mode }) }
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{IdentityError, KEY_FILE, TOKEN_FILE, load_or_create, prepare_data_dir};

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_files_are_made_once_closed_to_others_and_then_kept() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("a/b");
        prepare_data_dir(&data_dir).unwrap();
        let name = "prod".parse().unwrap();
        let first = load_or_create(&data_dir, &name).unwrap();
        let second = load_or_create(&data_dir, &name).unwrap();
        assert!(first.is_key_new && !second.is_key_new);
        assert_eq!(first.identity.key, second.identity.key);
        assert_eq!((&first.api_token, &first.data_dir_id), (&second.api_token, &second.data_dir_id));
        assert_eq!(first.api_token.len(), 64);
        assert_ne!(first.api_token, first.data_dir_id);
        assert_eq!((mode_of(&data_dir), mode_of(&data_dir.join(KEY_FILE))), (0o700, 0o600));
        assert!(!format!("{first:?}").contains(&first.api_token));
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_malformed_is_an_error_with_a_hint() {
        let directory = tempfile::tempdir().unwrap();
        let name = "prod".parse().unwrap();
        load_or_create(directory.path(), &name).unwrap();
        let key = directory.path().join(KEY_FILE);
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let error = load_or_create(directory.path(), &name).unwrap_err();
        assert!(matches!(error, IdentityError::TooOpen { mode: 0o640, .. }), "{error}");
        assert!(error.hint().contains("chmod 600"));
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        for malformed in ["", "abc", &"g".repeat(64), &"0".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
            fs::write(&key, malformed).unwrap();
            let error = load_or_create(directory.path(), &name).unwrap_err();
            assert!(matches!(error, IdentityError::Malformed { .. }), "{malformed}: {error}");
        }
        fs::remove_file(&key).unwrap();
        std::os::unix::fs::symlink(directory.path().join(TOKEN_FILE), &key).unwrap();
        assert!(matches!(load_or_create(directory.path(), &name), Err(IdentityError::WrongType { .. })));
    }

    #[test]
    fn a_data_directory_that_is_open_to_others_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(prepare_data_dir(directory.path()), Err(IdentityError::TooOpen { mode: 0o755, .. })));
        assert_eq!(mode_of(directory.path()), 0o755);
    }
}
