//! Why a command failed, with what to do about it.

use std::error::Error;
use std::io;

use super::client::ClientError;
use crate::config::ConfigErrors;
use crate::telemetry::LoggingError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments make no sense together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// The configuration has faults; they are shown one by one.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// The controller did not give what was asked for.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log could not be started.
    #[error("cannot run")]
    Logging(#[from] LoggingError),
    /// stdout or stderr could not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The asynchronous runtime could not be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// A part of the program that is built elsewhere failed; the error has its own words.
    #[error("{context}")]
    Failed {
        /// What was tried.
        context: String,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
        /// What the user can do about it; may be empty.
        hint: String,
    },
}

impl CliError {
    /// Arguments that make no sense together.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// What the user can do about it; empty where the message says all.
    pub fn hint(&self) -> String {
        match self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
            Self::Client(error) => error.hint(),
            Self::Config(_) | Self::Logging(_) | Self::Output(_) | Self::Runtime(_) => String::new(),
        }
    }

    /// Whether the reader of stdout has gone, which is its right.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error and what is below it, in one line.
    pub fn chain(&self) -> String {
        crate::wording::with_causes(self)
    }
}
