//! Faults of calls to the Engine, and which calls are meant.

use std::time::Duration;

/// What becomes of a call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The Engine gets it later.
    Delay(Duration),
    /// The Engine never gets it, and the caller loses its connection.
    LoseRequest,
    /// The caller loses its connection, and the Engine gets the call so much later.
    ApplyLate(Duration),
    /// The Engine does it, and the caller loses its connection in place of the answer.
    LoseReply,
    /// The same, but the caller gets the head of the answer and a part of its body.
    CutReply,
    /// The caller gets this in place of the Engine's answer; the Engine does not get the call.
    Answer(Answer),
    /// The Engine does it, and the caller gets this in place of the answer.
    Replace(Answer),
    /// The caller gets the answer that the last call of the same method and path got.
    Replay,
    /// Nobody answers until the rule is taken back; then the connection is closed.
    Hang,
}

/// An answer that the Engine did not give.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    /// An error as the Engine words it.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self { status, content_type: "application/json", body }
    }
}

/// Which calls are meant: by method, path and order.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    method: &'static str,
    parts: Vec<String>,
    pub(super) skipped: usize,
    pub(super) limit: usize,
    pub(super) percent: u64,
}

impl Calls {
    /// Calls of a method, or with `*` of any; `WRITE` is every one that changes something. `path` is what the path without its version
    /// contains; what stands between its stars is looked for in order.
    pub(crate) fn to(method: &'static str, path: &str) -> Self {
        let parts = path.split('*').map(str::to_owned).collect();
        Self { method, parts, skipped: 0, limit: usize::MAX, percent: 100 }
    }

    /// Only the first so many.
    pub(crate) fn first(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Not the first so many.
    pub(crate) fn after(self, skipped: usize) -> Self {
        Self { skipped, ..self }
    }

    /// Only a share of them, as the proxy's seed decides.
    pub(crate) fn some(self, percent: u64) -> Self {
        Self { percent, ..self }
    }

    pub(super) fn fits(&self, method: &str, path: &str) -> bool {
        let is_method = match self.method {
            "*" => true,
            "WRITE" => !matches!(method, "GET" | "HEAD"),
            wanted => wanted == method,
        };
        let mut rest = path;
        is_method
            && self.parts.iter().all(|part| {
                let found = rest.find(part.as_str());
                found.inspect(|at| rest = &rest[at + part.len()..]).is_some()
            })
    }
}
