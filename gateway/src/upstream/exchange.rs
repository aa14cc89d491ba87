//! One request to a server, and everything that comes of it.

use tokio::sync::{mpsc, oneshot};

use crate::wire::id::Id;

/// How many notes of one request wait at most; what a server sends beyond them is dropped, its answer never is.
pub const NOTES_LENGTH: usize = 256;

/// What a server answered, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A result.
    Result(String),
    /// An error object.
    Error(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The server is not there, or went away.
    #[error("the server is gone: {0}")]
    Gone(String),
    /// The server is not there, and was not asked.
    #[error("the server is gone: {0}")]
    Unreached(String),
    /// What it said was larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// It answered with an HTTP status and no JSON-RPC.
    #[error("the server answered {status}: {text}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of the body.
        text: String,
    },
    /// It does not know the session any more.
    #[error("the server has forgotten the session")]
    SessionLost,
    /// It did not speak MCP.
    #[error("the server does not speak MCP: {0}")]
    NotMcp(String),
}

/// What comes before the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A notification.
    Notification {
        /// Its method.
        method: String,
        /// Its params, as JSON text.
        params: Option<String>,
    },
    /// A request of the server to the client.
    Request {
        /// What the answer must carry.
        id: Id,
        /// Its method.
        method: String,
        /// Its params, as JSON text.
        params: Option<String>,
    },
}

/// A request that was sent.
#[derive(Debug)]
pub enum Exchange {
    /// It has been answered.
    Done(Result<Answer, UpstreamError>),
    /// It will be. Dropped before that, the server is told that nobody waits any more.
    Open(OpenExchange),
}

/// A request that is not answered yet.
#[derive(Debug)]
pub struct OpenExchange {
    /// What comes before the answer.
    pub notes: mpsc::Receiver<Note>,
    /// The answer.
    pub answer: oneshot::Receiver<Result<Answer, UpstreamError>>,
    /// Tells the server when this is dropped too early.
    pub(super) guard: Option<CancelGuard>,
}

/// What comes next of an open exchange.
#[derive(Debug)]
pub enum Next {
    /// A note.
    Note(Note),
    /// The answer; nothing comes after it.
    Answer(Result<Answer, UpstreamError>),
}

impl OpenExchange {
    /// The next thing that comes. Notes that came before the answer are given before it. Cancel-safe.
    pub async fn next(&mut self) -> Next {
        tokio::select! {
            // Cancel-safe: both are receivers. The order is fixed so that notes come first.
            biased;
            Some(note) = self.notes.recv() => Next::Note(note),
            answer = &mut self.answer => {
                if let Some(guard) = &mut self.guard {
                    guard.disarm();
                }
                Next::Answer(answer.unwrap_or_else(|_| Err(UpstreamError::Gone("it ended".to_owned()))))
            }
        }
    }
}

impl Exchange {
    /// Waits for the answer; notes are dropped.
    ///
    /// # Errors
    /// When there is none.
    pub async fn answer(self) -> Result<Answer, UpstreamError> {
        match self {
            Self::Done(answer) => answer,
            Self::Open(mut open) => loop {
                if let Next::Answer(answer) = open.next().await {
                    return answer;
                }
            },
        }
    }
}

/// Does something when it is dropped before it was disarmed.
pub struct CancelGuard {
    action: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl CancelGuard {
    pub(super) fn new(action: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { action: Some(Box::new(action)) }
    }

    pub(super) fn disarm(&mut self) {
        self.action = None;
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(action) = self.action.take() {
            action();
        }
    }
}

impl std::fmt::Debug for CancelGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CancelGuard").field("is_armed", &self.action.is_some()).finish()
    }
}
