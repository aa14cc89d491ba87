//! The tokens of gateways: files of the user's, or one that is made at the first start. Only their hashes leave this file.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crds_schema::kinds::mcp_gateway::McpToken;
use gateway::config::TokenConfig;
use sha2::{Digest as _, Sha256};

use crate::durable_file::write_durably;
use crate::identity::draw_secret;
use crate::secret_file::{SecretError, read_secret};

/// The fewest characters of a token.
const LEAST_CHARS: usize = 16;
/// Who comes with the token that the controller made.
const DEFAULT_PRINCIPAL: &str = "default";

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    /// It cannot be made.
    #[error("cannot make the token `{}`", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be read.
    #[error("the token cannot be used")]
    Read(#[from] SecretError),
    /// It is too easy to guess.
    #[error("the token `{}` is shorter than {LEAST_CHARS} characters", path.display())]
    TooShort {
        /// The file.
        path: PathBuf,
    },
}

/// The tokens of a gateway: the user's, or where there are none the one in `own`, which is made where it is not there yet.
///
/// # Errors
/// When any of them cannot be used: a gateway that lets in only some would look as if it worked.
pub(super) fn load_tokens(tokens: &[McpToken], own: &Path) -> Result<Vec<TokenConfig>, TokenError> {
    if tokens.is_empty() {
        let sha256 = load_or_create(own)?;
        return Ok(vec![TokenConfig { principal: DEFAULT_PRINCIPAL.to_owned(), roles: Vec::new(), sha256 }]);
    }
    let load = |token: &McpToken| {
        let sha256 = load_hash(Path::new(&token.file))?;
        let roles = token.roles.iter().map(ToString::to_string).collect();
        Ok(TokenConfig { principal: token.name.to_string(), roles, sha256 })
    };
    tokens.iter().map(load).collect()
}

fn load_or_create(path: &Path) -> Result<[u8; 32], TokenError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let failed = |source| TokenError::Make { path: path.to_owned(), source };
            let secret = draw_secret().map_err(failed)?;
            write_durably(path, |writer| writeln!(writer, "{}", URL_SAFE_NO_PAD.encode(secret))).map_err(failed)?;
        }
        Ok(_) | Err(_) => {}
    }
    load_hash(path)
}

fn load_hash(path: &Path) -> Result<[u8; 32], TokenError> {
    let token = read_secret(path)?;
    if token.chars().count() < LEAST_CHARS {
        return Err(TokenError::TooShort { path: path.to_owned() });
    }
    Ok(Sha256::digest(token).into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use crds_schema::kinds::mcp_gateway::McpToken;
    use sha2::{Digest as _, Sha256};

    use super::load_tokens;
    use crate::wording::with_causes;

    fn token(path: &Path) -> McpToken {
        McpToken {
            name: "laptop".parse().unwrap(),
            file: path.display().to_string(),
            roles: vec!["developer".parse().unwrap()],
        }
    }

    #[test]
    fn a_token_is_made_once_closed_to_others_and_then_kept() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("default_hub.token");
        let first = load_tokens(&[], &own).unwrap();
        let text = fs::read_to_string(&own).unwrap();
        assert_eq!((text.trim().len(), fs::metadata(&own).unwrap().permissions().mode() & 0o777), (43, 0o600));
        assert_eq!((first[0].principal.as_str(), first[0].sha256), ("default", Sha256::digest(text.trim()).into()));
        assert_eq!(load_tokens(&[], &own).unwrap(), first);
    }

    #[test]
    fn a_token_of_the_user_is_taken_without_the_white_space_around_it_and_nothing_else_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let (file, own) = (directory.path().join("laptop.token"), directory.path().join("default_hub.token"));
        fs::write(&file, "  a-secret-of-some-length\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let loaded = load_tokens(&[token(&file)], &own).unwrap();
        assert_eq!(loaded[0].sha256, <[u8; 32]>::from(Sha256::digest("a-secret-of-some-length")));
        assert_eq!(
            (loaded[0].principal.as_str(), loaded[0].roles.as_slice()),
            ("laptop", &["developer".to_owned()][..])
        );
        assert!(!own.exists());
    }

    #[test]
    fn a_token_that_is_short_open_to_everybody_or_not_there_is_told_of_without_itself() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("laptop.token");
        let fault = || with_causes(&load_tokens(&[token(&file)], Path::new("/nowhere")).unwrap_err());
        assert!(fault().contains("cannot read") && fault().contains("laptop.token"), "{}", fault());
        fs::write(&file, "short-secret\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert!(fault().ends_with("is shorter than 16 characters"), "{}", fault());
        fs::write(&file, "a-secret-of-some-length").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
        assert!(fault().contains("everybody may read") && !fault().contains("a-secret"), "{}", fault());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(fault().ends_with("it is no plain file"), "{}", fault());
    }
}
