//! Where commands write: data to stdout, talk to stderr.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use super::error::CliError;
use super::sanitise::sanitise;

/// How a command ended, as its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: as it should be.
    Success,
    /// 1: there are differences, or something is not ready.
    Differences,
    /// 2: the usage or the input was wrong, or something failed.
    Failure,
}

impl ExitStatus {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Differences => 1,
            Self::Failure => 2,
        }
    }
}

/// stdout and stderr.
pub struct Console {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    is_quiet: bool,
    use_color: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("is_quiet", &self.is_quiet).finish_non_exhaustive()
    }
}

impl Console {
    /// The process's own; colours only where both are terminals and nobody minds.
    pub fn of_this_process(is_quiet: bool, may_color: bool) -> Self {
        let use_color = may_color && io::stdout().is_terminal() && io::stderr().is_terminal();
        Self { stdout: Box::new(io::stdout()), stderr: Box::new(io::stderr()), is_quiet, use_color }
    }

    /// Whether to use colours.
    pub const fn use_color(&self) -> bool {
        self.use_color
    }

    /// Whether talk is unwanted.
    pub const fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Writes data to stdout, without whatever could drive a terminal.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn data(&mut self, text: &str) -> Result<(), CliError> {
        self.raw_data(&sanitise(text))
    }

    /// Writes text of ours to stdout as it is: a rendering that has its colours already.
    ///
    /// # Errors
    /// When stdout is gone.
    pub fn raw_data(&mut self, text: &str) -> Result<(), CliError> {
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        write!(self.stdout, "{text}{end}").and_then(|()| self.stdout.flush()).map_err(CliError::Output)
    }

    /// Says something on stderr, unless talk is unwanted. That stderr is gone is nobody's problem.
    pub fn talk(&mut self, text: &str) {
        if !self.is_quiet {
            self.complain(text);
        }
    }

    /// Says something on stderr in any case: an error.
    pub fn complain(&mut self, text: &str) {
        drop(writeln!(self.stderr, "{}", sanitise(text)));
    }

    /// Writes a rendering of ours, with its colours, to stderr in any case.
    pub fn raw_complaint(&mut self, text: &str) {
        drop(writeln!(self.stderr, "{text}"));
    }
}
