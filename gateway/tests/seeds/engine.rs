//! Where instances run: started, attached to, cut off and killed.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gateway::hub::Attach;
use gateway::upstream::stdio::Attached;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ledger::Ledger;
use super::mutants::Mutant;
use super::server::{Kind, Process};

/// How much of what nobody has read yet is between the hub and an instance.
const PIPE_BYTES: usize = 4 << 10;

/// All instances that run, by id.
#[derive(Debug)]
pub(crate) struct Engine {
    ledger: Arc<Ledger>,
    processes: Mutex<BTreeMap<String, Arc<Process>>>,
    /// Until when each is not attached to.
    refused: Mutex<BTreeMap<String, Instant>>,
    is_calm: AtomicBool,
}

impl Engine {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self {
            ledger: Arc::clone(ledger),
            processes: Mutex::default(),
            refused: Mutex::default(),
            is_calm: AtomicBool::new(false),
        })
    }

    /// An instance runs from now on; one that ran before by this id has ended.
    pub(crate) fn start(&self, id: &str, kind: &Arc<Kind>, rng: fastrand::Rng) {
        let process = Process::begin(id, kind, &self.ledger, rng, self.is_calm.load(Ordering::Relaxed));
        self.processes.lock().unwrap().insert(id.to_owned(), process);
    }

    pub(crate) fn process(&self, id: &str) -> Option<Arc<Process>> {
        self.processes.lock().unwrap().get(id).cloned()
    }

    /// Every instance, by id.
    pub(crate) fn all(&self) -> Vec<Arc<Process>> {
        self.processes.lock().unwrap().values().cloned().collect()
    }

    /// From now on every instance does what it is asked.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        for process in self.all() {
            process.calm();
        }
    }

    /// It dies. Whether anything was under way on it.
    pub(crate) fn kill(&self, id: &str) -> bool {
        let process = self.processes.lock().unwrap().remove(id);
        self.ledger.trace.say(&format!("{id} dies"));
        process.is_some_and(|process| process.kill())
    }

    /// It is stopped, since nobody needs it.
    pub(crate) fn stop(&self, id: &str) {
        let process = self.processes.lock().unwrap().remove(id);
        self.ledger.trace.say(&format!("{id} is stopped"));
        if let Some(process) = process {
            process.stop();
        }
    }

    /// Whoever is attached to it is cut off, and nobody can attach until then.
    pub(crate) fn refuse(&self, id: &str, until: Instant) {
        self.refused.lock().unwrap().insert(id.to_owned(), until);
        if let Some(process) = self.process(id) {
            process.cut();
        }
    }
}

#[async_trait]
impl Attach for Engine {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        if self.refused.lock().unwrap().get(instance).is_some_and(|until| *until > Instant::now()) {
            self.ledger.trace.say(&format!("{instance} is not attached to"));
            self.ledger.trace.count("fault: attach failed");
            return Err(io::Error::other("the engine does not answer"));
        }
        if self.refused.lock().unwrap().remove(instance).is_some() {
            self.ledger.trace.count("recovery: attached after a failure");
        }
        let mut process = self.process(instance);
        if self.ledger.is(Mutant::LendsTwice)
            && let Some(own) = &process
        {
            let first = self.all().into_iter().find(|other| other.kind.name == own.kind.name);
            process = first.or(process);
        }
        let lines = process.as_ref().and_then(|process| process.attach());
        let (Some(process), Some(lines)) = (process, lines) else {
            return Err(io::Error::other("there is no such container"));
        };
        let (input, its_input) = duplex(PIPE_BYTES);
        let (its_output, output) = duplex(PIPE_BYTES);
        tokio::spawn(pump(process, lines, its_input, its_output));
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

/// Carries lines both ways until either side ends.
async fn pump(
    process: Arc<Process>,
    mut lines: mpsc::UnboundedReceiver<String>,
    input: DuplexStream,
    mut output: DuplexStream,
) {
    let mut input = BufReader::new(input).lines();
    loop {
        tokio::select! {
            // Cancel-safe: two receivers. The order is fixed so that a run can be repeated.
            biased;
            line = lines.recv() => {
                let Some(line) = line else { return };
                if output.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
            line = input.next_line() => {
                let Ok(Some(line)) = line else { return };
                process.take(&line);
            }
        }
    }
}
