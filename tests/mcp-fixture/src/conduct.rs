//! How the server behaves at each tool call: slow, or dead.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::arguments::Behaviour;

/// How long a dying server goes on writing.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What happens at a tool call, beside its answer.
#[derive(Debug)]
pub(crate) struct Conduct {
    behaviour: Behaviour,
    calls: AtomicU64,
}

/// What a call brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing but the answer.
    Answer,
    /// The description of a tool changes, once the call is answered.
    Change,
}

impl Conduct {
    /// No call was made yet.
    pub(crate) fn new(behaviour: &Behaviour) -> Self {
        Self { behaviour: behaviour.clone(), calls: AtomicU64::new(0) }
    }

    /// Counts a call and does what its number asks for; waits as long as a slow server lets a call wait.
    ///
    /// The program ends here, with 1, when it was told to die in place of this call.
    pub(crate) async fn begin(&self) -> Deed {
        let before = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.behaviour.die_after == Some(before) {
            // What was answered before is on its way, and is let through.
            tokio::time::sleep(LAST_WORDS).await;
            say("dying, as told");
            std::process::exit(1);
        }
        if let Some(delay) = self.behaviour.slow {
            tokio::time::sleep(delay).await;
        }
        if self.behaviour.change_after == Some(before + 1) { Deed::Change } else { Deed::Answer }
    }
}

/// Says a line on stderr, where a server's talk belongs. A reader that is gone is no reason to fail.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "mcp-fixture: {line}"));
}
