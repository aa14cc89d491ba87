//! The bearer token that every change needs: a file beside the store that only its owner reads.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::identity::TOKEN_FILE;

/// 256 random bits as 64 hexadecimal digits, or what the user put in the file.
#[derive(Clone)]
pub struct Token(String);

/// The token could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the token `{}`", path.display())]
pub struct TokenError {
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
            Err(source) => Err(TokenError { path, source }),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Token;
    use crate::identity::load_or_create;

    #[test]
    fn the_token_is_the_one_that_the_controller_made() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Token::read(directory.path()).unwrap().is_none());
        let local = load_or_create(directory.path(), &"default".parse().unwrap()).unwrap();
        let token = Token::read(directory.path()).unwrap().unwrap();
        assert!(token.matches(&local.api_token));
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
