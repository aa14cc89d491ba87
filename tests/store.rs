//! The store in a process that is killed: what was acknowledged is there, and nothing is damaged.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test says what fails by failing")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use controller::store::recovery::{Recovery, StoreConfig, open};

/// Makes the test below write until it is killed, in the directory that this variable names.
const CHILD_DIRECTORY: &str = "EVENKEEL_TEST_STORE_DIRECTORY";
const KILLS: u64 = 20;

#[test]
fn every_acknowledged_number_outlives_a_kill_at_any_moment() {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        write_until_killed(Path::new(&directory));
    }
    let seed = u64::from(std::process::id());
    println!("seed: {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let lifetime = Duration::from_millis(random.u64(1..120));
        acknowledged = run_child_for(directory.path(), lifetime).unwrap_or(acknowledged);
        let opened = open(&StoreConfig::new(directory.path())).unwrap();
        assert!(matches!(opened.recovery, Recovery::Intact | Recovery::Fresh), "kill {kill}: {:?}", opened.recovery);
        let kept: u64 = opened.store.meta("number").unwrap().unwrap_or(0);
        assert!(kept >= acknowledged, "kill {kill}: {kept} is there of {acknowledged}");
        let intents = opened.store.open_intents().unwrap();
        assert_eq!(u64::try_from(intents.len()).unwrap(), kept, "kill {kill}: a commit is there or not, as a whole");
    }
    assert!(acknowledged > 0);
}

/// Runs the child until it has acknowledged something and then for a while, kills it, and returns what it acknowledged last.
fn run_child_for(directory: &Path, lifetime: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["every_acknowledged_number_outlives_a_kill_at_any_moment", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = None;
    let mut deadline = None;
    while let Some(Ok(line)) = lines.next() {
        // A line that the kill cut short was not acknowledged.
        let number = line.strip_prefix("acknowledged ").and_then(|line| line.strip_suffix('.')?.parse().ok());
        last = number.or(last);
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + lifetime);
        if last.is_some() && Instant::now() >= deadline {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    last
}

/// Writes rising numbers, each in one commit with an intent, and prints each once it is durable.
fn write_until_killed(directory: &Path) -> ! {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(&StoreConfig::new(directory)).unwrap().store;
        let key = "Deployment/web".parse().unwrap();
        let mut number: u64 = store.meta("number").unwrap().unwrap_or(0);
        loop {
            number += 1;
            let mut write = store.write();
            write.put_meta("number", &number);
            write.begin_pass(&key, vec![format!("step {number}")], 0);
            write.commit().await.unwrap();
            println!("acknowledged {number}.");
        }
    })
}
