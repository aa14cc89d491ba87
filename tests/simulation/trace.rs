//! The trace of a run: every line of it goes into one hash, and the lines are kept where somebody wants to read them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Counts of things that happened, by name: faults that fired, recoveries that were made, points that were passed.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What happened in a run, in order. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    state: Arc<Mutex<State>>,
    origin: Instant,
}

#[derive(Debug)]
struct State {
    hash: u64,
    lines: u64,
    kept: Option<Vec<String>>,
    counts: Counts,
}

/// What two runs of one seed must agree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    hash: u64,
    lines: u64,
}

impl Trace {
    /// An empty trace; `is_kept` decides whether its lines can be read afterwards.
    pub(crate) fn new(is_kept: bool) -> Self {
        let kept = is_kept.then(Vec::new);
        let state = State { hash: 0xCBF2_9CE4_8422_2325, lines: 0, kept, counts: Counts::new() };
        Self { state: Arc::new(Mutex::new(state)), origin: Instant::now() }
    }

    /// Adds a line, with the time before it.
    pub(crate) fn say(&self, line: &str) {
        let elapsed_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        state.lines += 1;
        // FNV-1a: small, and the same everywhere.
        for byte in elapsed_ms.to_le_bytes().iter().chain(line.as_bytes()) {
            state.hash = (state.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if let Some(kept) = &mut state.kept {
            kept.push(format!("{:>10.3} {line}", self.origin.elapsed().as_secs_f64()));
        }
    }

    /// Adds a line for people, where lines are kept; it is not part of what two runs must agree in.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(kept) = &mut self.lock().kept {
            kept.push(format!("{:>10} {}", "", line()));
        }
    }

    /// Counts something that happened.
    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    /// Everything that was counted.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// What the trace comes to.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let state = self.lock();
        Fingerprint { hash: state.hash, lines: state.lines }
    }

    /// The lines, where they were kept.
    pub(crate) fn text(&self) -> String {
        self.lock().kept.as_ref().map(|lines| lines.join("\n")).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
