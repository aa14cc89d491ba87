//! Clients that call tools without a pause until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::mcp_client::{Door, Ended, Era, McpClient};

/// One thing that a client calls.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) tool: String,
    pub(crate) arguments: Value,
}

/// A call without a result.
#[derive(Debug)]
#[expect(dead_code, reason = "some of it is only printed, when a call is lost")]
pub(crate) struct Failed {
    /// Whose it was.
    pub(crate) client: usize,
    pub(crate) era: Era,
    pub(crate) tool: String,
    pub(crate) begun_ms: i64,
    pub(crate) ended_ms: i64,
    pub(crate) ended: Ended,
}

/// What clients counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failed: Vec<Failed>,
}

/// Clients at work.
pub(crate) struct Load {
    runtime: Runtime,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Begins with a client of each era for each of these, which it calls one after the other, over and over.
    pub(crate) fn begin(door: &Door, works: &[Vec<Work>]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for work in works {
            for era in [Era::Legacy, Era::Modern] {
                let client = (clients.len(), McpClient::new(door, era), era);
                clients.push(runtime.spawn(call_on(client, work.clone(), Arc::clone(&is_over))));
            }
        }
        Self { runtime, is_over, clients }
    }

    /// Lets each client finish what it began. Fails where one gave up by itself.
    pub(crate) fn stop(self) -> Tally {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = self.runtime.block_on(client).unwrap();
            all.calls += tally.calls;
            all.failed.extend(tally.failed);
        }
        all
    }
}

async fn call_on(
    (number, mut client, era): (usize, McpClient, Era),
    work: Vec<Work>,
    is_over: Arc<AtomicBool>,
) -> Tally {
    assert_eq!(client.begin().await, Ended::Well);
    let mut tally = Tally::default();
    for Work { tool, arguments } in work.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let begun_ms = now_ms();
        let ended = client.call(tool, arguments).await;
        tally.calls += 1;
        if ended != Ended::Well {
            tally.failed.push(Failed { client: number, era, tool: tool.clone(), begun_ms, ended_ms: now_ms(), ended });
        }
    }
    tally
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}
