//! What the program of a simulated image does.

use std::fmt;
use std::sync::Arc;

/// A program: when it ends by itself, what it does when it is asked to end, and what its health check finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Whether it can be started.
    pub start: Start,
    /// When it ends by itself.
    pub end: End,
    /// What it does at its stop signal.
    pub at_stop_signal: AtStopSignal,
    /// What a health check finds; only asked where the image has a health check.
    pub health: HealthScript,
    /// What it prints.
    pub output: String,
    /// What it answers to a line of its standard input, while somebody is attached to it.
    pub answers: Answers,
}

/// Whether a program can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It can.
    Works,
    /// It cannot; the container stays as it was, with this exit code and error.
    Fails {
        /// The HTTP status of the answer.
        status: u16,
        /// Its text.
        text: String,
        /// The exit code, such as 127.
        exit_code: i64,
    },
}

/// When a program ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Never.
    Never,
    /// Some time after its start.
    After {
        /// Milliseconds.
        after_ms: u64,
        /// Its exit code.
        code: i64,
    },
    /// At once, with 0, where its standard input is not held open: it reads the end of it.
    AtEndOfInput,
    /// It is killed for want of memory some time after its start.
    OutOfMemory {
        /// Milliseconds.
        after_ms: u64,
    },
}

/// Gives the lines that answer a line.
pub type LineHandler = dyn Fn(&str) -> Vec<String> + Send + Sync;

/// What a program answers to lines of its standard input.
#[derive(Clone, Default)]
pub enum Answers {
    /// Each line itself.
    #[default]
    Echo,
    /// The lines that this gives, which must come from the line alone or from what it keeps itself.
    Scripted(Arc<LineHandler>),
}

/// What a program does at its stop signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtStopSignal {
    /// It ends.
    Exits {
        /// Milliseconds later.
        after_ms: u64,
        /// With this exit code.
        code: i64,
    },
    /// Nothing: it is killed after the grace and exits with 137.
    Ignores,
}

/// What a health check finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthScript {
    /// It passes from this many milliseconds after the start.
    PassesAfter(u64),
    /// It never passes.
    Fails,
    /// It passes for this many milliseconds, then fails for as many, and so on.
    Flaps(u64),
}

impl Default for Program {
    fn default() -> Self {
        Self::forever()
    }
}

impl Program {
    /// Runs for ever, and ends with 0 at once when it is asked to.
    pub fn forever() -> Self {
        Self {
            start: Start::Works,
            end: End::Never,
            at_stop_signal: AtStopSignal::Exits { after_ms: 0, code: 0 },
            health: HealthScript::PassesAfter(0),
            output: String::new(),
            answers: Answers::Echo,
        }
    }

    /// Runs for ever and does not listen to its stop signal.
    pub fn ignoring_stop() -> Self {
        Self { at_stop_signal: AtStopSignal::Ignores, ..Self::forever() }
    }

    /// Ends by itself.
    pub fn exiting(after_ms: u64, code: i64) -> Self {
        Self { end: End::After { after_ms, code }, ..Self::forever() }
    }

    /// Reads its standard input until that ends, and repeats each line of it.
    pub fn reading_input() -> Self {
        Self { end: End::AtEndOfInput, ..Self::forever() }
    }

    /// Reads its standard input until that ends, and answers each line of it with lines of its own.
    pub fn answering(answer: impl Fn(&str) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self { answers: Answers::Scripted(Arc::new(answer)), ..Self::reading_input() }
    }

    /// Is killed for want of memory.
    pub fn out_of_memory(after_ms: u64) -> Self {
        Self { end: End::OutOfMemory { after_ms }, ..Self::forever() }
    }

    /// Names a file that the image does not have.
    pub fn missing(path: &str) -> Self {
        let text = format!(
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
             process: exec: \"{path}\": stat {path}: no such file or directory: unknown"
        );
        Self { start: Start::Fails { status: 400, text, exit_code: 127 }, ..Self::forever() }
    }

    /// The same program with this health.
    #[must_use]
    pub fn with_health(self, health: HealthScript) -> Self {
        Self { health, ..self }
    }

    /// The same program with this output.
    #[must_use]
    pub fn printing(self, output: &str) -> Self {
        Self { output: output.to_owned(), ..self }
    }
}

impl Answers {
    /// The answer to a line.
    pub(super) fn to(&self, line: &str) -> Vec<String> {
        match self {
            Self::Echo => vec![line.to_owned()],
            Self::Scripted(answer) => answer(line),
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "Echo",
            Self::Scripted(_) => "Scripted",
        })
    }
}

impl PartialEq for Answers {
    /// Two scripts are equal when they are one.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Echo, Self::Echo) => true,
            (Self::Scripted(ours), Self::Scripted(theirs)) => Arc::ptr_eq(ours, theirs),
            (Self::Echo | Self::Scripted(_), _) => false,
        }
    }
}

impl Eq for Answers {}

impl HealthScript {
    /// Whether a check passes this long after the start.
    pub(super) const fn passes(&self, elapsed_ms: u64) -> bool {
        match self {
            Self::PassesAfter(after_ms) => elapsed_ms >= *after_ms,
            Self::Fails => false,
            Self::Flaps(0) => true,
            Self::Flaps(half_ms) => (elapsed_ms / *half_ms).is_multiple_of(2),
        }
    }
}
