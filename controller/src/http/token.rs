//! The bearer token that every change needs: a file beside the store that only its owner reads.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The name of the file in the data directory.
pub const TOKEN_FILE: &str = "token";

/// Where the randomness is from.
const RANDOM_SOURCE: &str = "/dev/urandom";

/// 256 random bits as 64 hexadecimal digits, or what the user put in the file.
#[derive(Clone)]
pub struct Token(String);

/// The token could not be read or made.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the token `{}`", path.display())]
pub struct TokenError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Token {
    /// A token that is known already.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether a caller's token is this one, in a time that does not tell how much of it is right.
    pub fn matches(&self, presented: &str) -> bool {
        let (expected, presented) = (self.0.as_bytes(), presented.as_bytes());
        let is_same_length = expected.len() == presented.len() && !expected.is_empty();
        let difference = expected.iter().zip(presented).fold(0_u8, |bits, (left, right)| bits | (left ^ right));
        is_same_length && difference == 0
    }

    /// The text, to be sent and never to be printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The token of a data directory; made with mode 0600 where there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or cannot be made.
    pub fn ensure(data_dir: &Path) -> Result<Self, TokenError> {
        if let Some(token) = Self::read(data_dir)? {
            return Ok(token);
        }
        let path = data_dir.join(TOKEN_FILE);
        let fail = |source| TokenError { action: "create", path: path.clone(), source };
        let token = Self::random().map_err(fail)?;
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(fail)?;
        // The mode above is for a file that is made; an empty one may have been there with another.
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(fail)?;
        writeln!(file, "{}", token.0).and_then(|()| file.sync_all()).map_err(fail)?;
        Ok(token)
    }

    /// The token of a data directory; `None` where the file is absent or empty.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, TokenError> {
        let path = data_dir.join(TOKEN_FILE);
        match fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Ok(Some(Self(text.trim().to_owned()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TokenError { action: "read", path, source }),
        }
    }

    fn random() -> io::Result<Self> {
        let mut bytes = [0_u8; 32];
        fs::File::open(RANDOM_SOURCE)?.read_exact(&mut bytes)?;
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        Ok(Self(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::Token;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Token::read(directory.path()).unwrap().is_none());
        std::fs::write(directory.path().join("token"), "\n").unwrap();
        let token = Token::ensure(directory.path()).unwrap();
        assert_eq!(token.reveal().len(), 64);
        assert!(Token::ensure(directory.path()).unwrap().matches(token.reveal()));
        let mode = std::fs::metadata(directory.path().join("token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token::new("abc");
        assert!(token.matches("abc"));
        for wrong in ["", "ab", "abcd", "abd"] {
            assert!(!token.matches(wrong), "{wrong}");
        }
        assert!(!Token::new("").matches(""));
    }
}
