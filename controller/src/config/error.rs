//! What can be wrong with the configuration, with a stable code and a hint each.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crds_schema::Diagnostic;

use super::setting::{Origin, Setting};
use super::value::ListenAddress;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the config file `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not YAML, or not a mapping of settings.
    #[error("cannot understand the config file `{}`: {text}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why, with line and column.
        text: String,
    },
    /// The file sets something that is not a setting.
    #[error("unknown setting `{key}` in `{}`", path.display())]
    UnknownSetting {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The setting that may have been meant.
        similar: Option<&'static str>,
    },
    /// A value cannot be read.
    #[error("invalid value `{text}` for `{}` ({origin}): {reason}", setting.key())]
    InvalidValue {
        /// Of which setting.
        setting: Setting,
        /// The value.
        text: String,
        /// Where it was written.
        origin: Origin,
        /// What was expected.
        reason: String,
    },
    /// The store would be read as manifests, or the manifests be kept in the store.
    #[error("the data directory `{}` and the manifests `{}` must not contain each other", data_dir.display(), manifests.display())]
    Overlap {
        /// The one.
        data_dir: PathBuf,
        /// The other.
        manifests: PathBuf,
    },
    /// Other hosts would reach an API that has no TLS.
    #[error("`listen` is `{listen}`, which other hosts reach")]
    RemoteListen {
        /// The address.
        listen: ListenAddress,
    },
}

impl ConfigError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } => "E0301",
            Self::UnknownSetting { .. } => "E0302",
            Self::InvalidValue { .. } => "E0303",
            Self::Overlap { .. } => "E0243",
            Self::RemoteListen { .. } => "E0304",
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "name another file with `--config`, or make this one readable".into(),
            Self::Malformed { .. } => "write one `setting: value` a line, such as `resync: 30s`".into(),
            Self::UnknownSetting { similar: Some(similar), .. } => format!("did you mean `{similar}`?"),
            Self::UnknownSetting { similar: None, .. } => "`evenkeel config show` lists every setting".into(),
            Self::InvalidValue { setting, .. } => {
                format!(
                    "set it with `{}`, `{}` or `{}` in the config file",
                    setting.flag(),
                    setting.variable(),
                    setting.key()
                )
            }
            Self::Overlap { .. } => "choose another directory with `--data-dir` or `--manifests`".into(),
            Self::RemoteListen { .. } => {
                "listen on 127.0.0.1 or a unix socket with a TLS proxy in front, or set `--allow-remote true`".into()
            }
        }
    }
}

/// Everything that is wrong with the configuration, at once.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} fault{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// The faults as plain data.
    pub fn to_diagnostics(&self) -> Vec<Diagnostic> {
        let to_diagnostic = |error: &ConfigError| {
            let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
            Diagnostic::error(error.code(), format!("{error}{source}")).hint(error.hint())
        };
        self.0.iter().map(to_diagnostic).collect()
    }
}
