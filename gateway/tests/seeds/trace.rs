//! The trace of a run: every line of it goes into one hash, and the lines are kept where somebody wants to read them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

/// What happened, by name, and how often.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// What two runs of one seed must agree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    hash: u64,
    lines: u64,
}

/// What happened in a run, in order.
#[derive(Debug)]
pub(crate) struct Trace {
    origin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    fingerprint: Fingerprint,
    kept: Option<Vec<String>>,
    counts: Counts,
}

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Self {
        let fingerprint = Fingerprint { hash: 0xCBF2_9CE4_8422_2325, lines: 0 };
        let state = State { fingerprint, kept: is_kept.then(Vec::new), counts: Counts::new() };
        Self { origin: Instant::now(), state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a line, with the time before it.
    pub(crate) fn say(&self, line: &str) {
        let elapsed = self.origin.elapsed();
        let mut state = self.lock();
        state.fingerprint.lines += 1;
        // FNV-1a: small, and the same everywhere.
        for byte in elapsed.as_millis().to_le_bytes().iter().chain(line.as_bytes()) {
            let hash = state.fingerprint.hash;
            state.fingerprint.hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if let Some(kept) = &mut state.kept {
            kept.push(format!("{:>9.3} {line}", elapsed.as_secs_f64()));
        }
    }

    /// One more of this.
    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.lock().fingerprint
    }

    /// The lines, where they are kept.
    pub(crate) fn text(&self) -> String {
        self.lock().kept.clone().unwrap_or_default().join("\n")
    }
}
