//! Many sessions of legacy clients: each begins, calls each server once, gets its own answers, and ends, or is left alone.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::engine::eventually;
use crate::support::mcp_client::{Door, Ended, Era, McpClient};
use crate::support::scene::PATIENCE;

/// How many sessions the gateway allows at once.
pub(super) const LIMIT: usize = 128;
/// How far descriptors may be apart: pooled connections come and go.
pub(super) const DESCRIPTORS_APART: usize = 8;
/// What an allocator may keep that was free before.
pub(super) const ALLOCATOR_KIB: u64 = 8 << 10;
/// Of so many sessions one is left alone, and not ended.
pub(super) const LEFT_ONE_IN: u64 = 10;
/// The error of too much at once.
const OVERLOADED: i64 = -31004;

/// What came of all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionTally {
    pub(super) ended: u64,
    pub(super) left: u64,
    /// How often there were as many as there may be, so that one had to wait.
    pub(super) waits: u64,
    /// The most that the gateway told of.
    pub(super) most: usize,
    pub(super) faults: Vec<String>,
}

impl fmt::Display for SessionTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ended, left, waits, most, .. } = self;
        let all = ended + left;
        write!(
            f,
            "{all} sessions, {ended} ended and {left} left alone, at most {most} of {LIMIT} at once, {waits} waits"
        )
    }
}

/// Those who come.
pub(super) struct Crowd {
    runtime: Runtime,
    door: Door,
    tools: [String; 2],
    /// How many clients come at once.
    clients: usize,
    tally: Arc<Mutex<SessionTally>>,
}

impl Crowd {
    pub(super) fn new(door: &Door, tools: [String; 2], clients: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { runtime, door: door.clone(), tools, clients, tally: Arc::default() }
    }

    /// Fills caches and pools.
    pub(super) fn warm_up(&self) {
        self.pass(2 * u64::try_from(LIMIT).unwrap(), u64::MAX);
        *self.tally.lock().unwrap() = SessionTally::default();
    }

    /// Lets so many sessions pass. Of `left_one_in` of them one is left alone, and not ended.
    pub(super) fn pass(&self, count: u64, left_one_in: u64) {
        let left = Arc::new(AtomicU64::new(count));
        let is_over = Arc::new(AtomicUsize::new(self.clients));
        let clients: Vec<_> = (0..self.clients)
            .map(|_| {
                let (door, tools) = (self.door.clone(), self.tools.clone());
                let (left, tally, is_over) = (Arc::clone(&left), Arc::clone(&self.tally), Arc::clone(&is_over));
                self.runtime.spawn(async move {
                    let mut client = McpClient::new(&door, Era::Legacy);
                    let take = |left: u64| left.checked_sub(1);
                    while let Ok(number) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                        let is_left = number % left_one_in == left_one_in - 1;
                        pass_one(&mut client, &tools, (number, is_left), &tally).await;
                    }
                    is_over.fetch_sub(1, Ordering::Relaxed);
                })
            })
            .collect();
        while is_over.load(Ordering::Relaxed) > 0 && !clients.iter().all(tokio::task::JoinHandle::is_finished) {
            let most = self.door.gauge("evenkeel_mcp_sessions").unwrap_or_default();
            let mut tally = self.tally.lock().unwrap();
            tally.most = tally.most.max(most);
            drop(tally);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for client in clients {
            self.runtime.block_on(client).unwrap();
        }
    }

    pub(super) fn tally(&self) -> SessionTally {
        self.tally.lock().unwrap().clone()
    }

    /// Sessions that are open are told of, and those that ended are not.
    pub(super) fn check_that_the_gauge_falls_when_sessions_end(&self) {
        self.await_sessions(0);
        let mut clients: Vec<McpClient> = (0..self.clients).map(|_| McpClient::new(&self.door, Era::Legacy)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(self.runtime.block_on(client.begin()), Ended::Well, "session {number}");
            assert!(self.sessions() > 0, "session {number} is not told of");
            assert_eq!(self.runtime.block_on(client.end()), Ended::Well, "session {number}");
            assert_eq!(self.sessions(), 0, "session {number} is over");
        }
    }

    fn sessions(&self) -> usize {
        self.door.gauge("evenkeel_mcp_sessions").unwrap()
    }

    fn await_sessions(&self, count: usize) {
        eventually(&format!("there are {count} sessions"), PATIENCE, || (self.sessions() == count).then_some(()));
    }
}

async fn pass_one(
    client: &mut McpClient,
    tools: &[String; 2],
    (number, is_left): (u64, bool),
    tally: &Mutex<SessionTally>,
) {
    let fault = |what: &str, ended: Ended| tally.lock().unwrap().faults.push(format!("{number}: {what}: {ended:?}"));
    loop {
        match client.begin().await {
            Ended::Well => break,
            Ended::Error(OVERLOADED, _) => {
                tally.lock().unwrap().waits += 1;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            ended @ (Ended::Error(..) | Ended::SessionLost | Ended::Broken(_)) => {
                return fault("it does not begin", ended);
            }
        }
    }
    for tool in tools {
        // The server answers with what it was asked, so that an answer to somebody else is seen.
        let mine = json!({ "name": format!("session {number}"), "email": "a@example.com" });
        match client.call_for(tool, &mine).await {
            Ok(result) if result["structuredContent"]["arguments"] == mine => {}
            Ok(result) => fault(tool, Ended::Broken(format!("the answer to another session: {result}"))),
            Err(ended) => fault(tool, ended),
        }
    }
    if is_left {
        tally.lock().unwrap().left += 1;
        return;
    }
    let ended = client.end().await;
    if ended == Ended::Well {
        tally.lock().unwrap().ended += 1;
    } else {
        fault("it does not end", ended);
    }
}

/// How many files a process has open.
pub(super) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How much memory a process has.
pub(super) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
