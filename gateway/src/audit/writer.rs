//! The file that the audit is written to, by a thread of its own.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::chain::{GENESIS, link, read_link};
use super::record::AuditRecord;

/// How many records wait at most; whoever brings one more waits himself, so that none is lost.
const QUEUE_LENGTH: usize = 4_096;
/// How much of the end of a log is read for its last line.
const TAIL_BYTES: u64 = 256 * 1024;
/// How long a writer that ends has for what it still has to write.
const LOCK_TIME: Duration = Duration::from_millis(250);
/// How often the file is made durable while there is something new in it.
const SYNC_TIME: Duration = Duration::from_secs(1);
/// How many records are taken at once.
const BATCH_LENGTH: usize = 256;
/// How long further records are gathered after a batch: a thread that is woken for each of them costs more than writing them does.
const GATHER_TIME: Duration = Duration::from_millis(5);
/// How long [`AuditLog::settled`] waits for a disk that does not answer.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// The log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the audit log `{}`", path.display())]
pub struct AuditError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Takes records and writes them in their order.
#[derive(Debug, Clone)]
pub struct AuditLog {
    tx: Option<mpsc::Sender<Item>>,
    failures: Arc<AtomicU64>,
}

/// What is brought to the writer.
#[derive(Debug)]
enum Item {
    Record(Box<AuditRecord>),
    /// Told, by being dropped, when everything that came before is in the file for good.
    Settled(oneshot::Sender<()>),
}

impl AuditLog {
    /// A log that keeps nothing.
    pub fn disabled() -> Self {
        Self { tx: None, failures: Arc::default() }
    }

    /// Whether it keeps anything.
    pub fn is_enabled(&self) -> bool {
        self.tx.is_some()
    }

    /// Opens the log and goes on from its last line. A half-written last line, as a kill leaves it, is cut off: a line is
    /// acknowledged to nobody before it is whole.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or somebody still writes to it.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let fail = |source| AuditError { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(fail)?;
        lock(&file).map_err(fail)?;
        let End { sequence, previous, length } = find_end(&mut file).map_err(fail)?;
        let (tx, rx) = mpsc::channel(QUEUE_LENGTH);
        // Of its own: the caller's may be paused, or gone before the last record is written.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(fail)?;
        let failures = Arc::new(AtomicU64::new(0));
        let writer = Writer { file, sequence, previous, length, failures: Arc::clone(&failures), unsynced: None };
        let spawned = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&runtime, rx));
        // The thread ends by itself when the last sender is gone.
        drop(spawned.map_err(fail)?);
        Ok(Self { tx: Some(tx), failures })
    }

    /// Writes a record down. Waits while the queue is full. Whoever does not wait so long has it written as [`Self::write_now`] does.
    pub async fn write(&self, record: impl Into<Box<AuditRecord>>) {
        let Some(tx) = &self.tx else { return };
        let mut waiting = Waiting { log: self, record: Some(record.into()) };
        match (tx.reserve().await, waiting.record.take()) {
            (Ok(place), Some(record)) => place.send(Item::Record(record)),
            (Err(_), Some(_)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            (_, None) => {}
        }
    }

    /// Writes a record down without waiting; counted as failed when the queue is full. For ends that cannot wait.
    pub fn write_now(&self, record: impl Into<Box<AuditRecord>>) {
        if let Some(tx) = &self.tx
            && tx.try_send(Item::Record(record.into())).is_err()
        {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what has been brought so far is in the file and durable, at most five seconds. To be called before a process ends: the
    /// thread that writes ends with it.
    pub async fn settled(&self) {
        let Some(tx) = &self.tx else { return };
        let (tell, told) = oneshot::channel();
        let settling = async {
            if tx.send(Item::Settled(tell)).await.is_ok() {
                // Nothing is ever sent.
                drop(told.await);
            }
        };
        if timeout(SETTLE_TIME, settling).await.is_err() {
            tracing::warn!("the end of the audit log is not written: the disk does not answer");
        }
    }

    /// How many records could not be written.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// A record that waits for its place in the queue.
struct Waiting<'log> {
    log: &'log AuditLog,
    /// Absent once it has one.
    record: Option<Box<AuditRecord>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.log.write_now(record);
        }
    }
}

/// Two writers would each go on from the same line. The lock ends with the thread that writes, which may just be about to.
fn lock(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIME => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

struct Writer {
    file: File,
    sequence: u64,
    previous: String,
    /// How much of the file is whole lines.
    length: u64,
    failures: Arc<AtomicU64>,
    unsynced: Option<Instant>,
}

impl Writer {
    fn run(mut self, runtime: &Runtime, mut rx: mpsc::Receiver<Item>) {
        let mut batch = Vec::new();
        loop {
            let receiving = rx.recv_many(&mut batch, BATCH_LENGTH);
            let received = runtime.block_on(async {
                match self.unsynced {
                    None => Some(receiving.await),
                    Some(since) => timeout(SYNC_TIME.saturating_sub(since.elapsed()), receiving).await.ok(),
                }
            });
            match received {
                Some(0) => break,
                Some(count) => {
                    let waiting = self.write(&mut batch);
                    let since = *self.unsynced.get_or_insert_with(Instant::now);
                    if !waiting.is_empty() || since.elapsed() >= SYNC_TIME {
                        self.sync();
                    }
                    drop(waiting);
                    if count < BATCH_LENGTH && !rx.is_closed() {
                        std::thread::sleep(GATHER_TIME);
                    }
                }
                None => self.sync(),
            }
        }
        self.sync();
    }

    /// Writes the records of a batch. Returns who waits for that.
    fn write(&mut self, batch: &mut Vec<Item>) -> Vec<oneshot::Sender<()>> {
        let mut text = String::new();
        let mut waiting = Vec::new();
        let (sequence, previous) = (self.sequence, self.previous.clone());
        for item in batch.drain(..) {
            let record = match item {
                Item::Record(record) => record,
                Item::Settled(tell) => {
                    waiting.push(tell);
                    continue;
                }
            };
            let record = serde_json::to_string(&record).unwrap_or_default();
            let (line, hash) = link(self.sequence, &self.previous, &record);
            text.push_str(&line);
            self.sequence += 1;
            self.previous = hash;
        }
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => self.length += u64::try_from(text.len()).unwrap_or(u64::MAX),
            Err(error) => {
                self.failures.fetch_add(self.sequence - sequence, Ordering::Relaxed);
                tracing::error!(error = %error, "the audit log cannot be written");
                // What is half written would break the chain for good.
                (self.sequence, self.previous) = (sequence, previous);
                let undone = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
                if let Err(error) = undone {
                    tracing::error!(error = %error, "what was half written to the audit log cannot be taken back");
                }
            }
        }
        waiting
    }

    fn sync(&mut self) {
        if let Err(error) = self.file.sync_data() {
            tracing::error!(error = %error, "the audit log cannot be made durable");
        }
        self.unsynced = None;
    }
}

/// Where a log goes on.
struct End {
    sequence: u64,
    previous: String,
    length: u64,
}

/// Where a log goes on; the file stands there then. A half-written last line is cut off.
///
/// # Errors
/// When it cannot be read, or its last whole line is no record: to begin a new chain behind it would hide that.
fn find_end(file: &mut File) -> io::Result<End> {
    let length = file.metadata()?.len();
    let mut tail_bytes = TAIL_BYTES;
    loop {
        let begin = length.saturating_sub(tail_bytes);
        file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let lines = tail.get(..whole.saturating_sub(1)).unwrap_or_default();
        let before = lines.iter().rposition(|byte| *byte == b'\n').map(|place| place + 1);
        if begin > 0 && (whole == 0 || before.is_none()) {
            // The last line is longer than what was read of it.
            tail_bytes = tail_bytes.saturating_mul(2);
            continue;
        }
        let end = begin + u64::try_from(whole).unwrap_or(u64::MAX);
        if end < length {
            tracing::warn!("the last line of the audit log was not whole and is cut off");
            file.set_len(end)?;
        }
        file.seek(SeekFrom::Start(end))?;
        if end == 0 {
            return Ok(End { sequence: 1, previous: GENESIS.to_owned(), length: 0 });
        }
        let last = String::from_utf8_lossy(lines.get(before.unwrap_or(0)..).unwrap_or_default()).into_owned();
        let place = read_link(&last).ok_or_else(|| io::Error::other("its last line is no audit record"))?;
        return Ok(End { sequence: place.sequence + 1, previous: place.hash, length: end });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufReader, Write};
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::{AuditLog, Item};
    use crate::audit::{AuditRecord, verify};

    fn record(method: &str) -> AuditRecord {
        AuditRecord { method: method.to_owned(), ..AuditRecord::default() }
    }

    async fn await_lines(path: &std::path::Path, count: u64) {
        loop {
            let file = fs::File::open(path).unwrap();
            if verify(BufReader::new(file)).is_ok_and(|found| found == count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[tokio::test]
    async fn everything_is_in_the_file_once_the_log_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        for count in 1..=20 {
            log.write(record("tools/call")).await;
            log.settled().await;
            assert_eq!(verify(BufReader::new(fs::File::open(&path).unwrap())).unwrap(), count);
        }
        AuditLog::disabled().settled().await;
    }

    #[tokio::test]
    async fn a_record_that_nobody_waits_for_any_more_is_written_or_counted() {
        let (tx, mut rx) = mpsc::channel(1);
        let log = AuditLog { tx: Some(tx), failures: Arc::default() };
        log.write(record("first")).await;
        for has_room in [false, true] {
            let mut writing = Box::pin(log.write(record("second")));
            tokio::select! {
                biased;
                () = &mut writing => panic!("the queue is full"),
                () = std::future::ready(()) => {}
            }
            if has_room {
                assert!(matches!(rx.recv().await, Some(Item::Record(record)) if record.method == "first"));
            }
            drop(writing);
            assert_eq!(log.failures(), 1);
        }
        assert!(matches!(rx.try_recv(), Ok(Item::Record(record)) if record.method == "second"));
    }

    #[tokio::test]
    async fn the_chain_goes_on_where_a_kill_tore_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        for _ in 0..300 {
            log.write(record("tools/call")).await;
        }
        await_lines(&path, 300).await;
        assert!(AuditLog::open(&path).is_err(), "two writers would break the chain");
        drop(log);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"seq\":301,\"prev\":\"12").unwrap();
        let log = loop {
            // The first writer ends in its own time.
            match AuditLog::open(&path) {
                Ok(log) => break log,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        };
        log.write(record("tools/list")).await;
        await_lines(&path, 301).await;
        assert_eq!(log.failures(), 0);
    }

    #[tokio::test]
    async fn a_line_of_any_length_is_gone_on_from_and_what_is_no_record_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let open = async || {
            loop {
                match AuditLog::open(&path) {
                    Ok(log) => return log,
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        let log = open().await;
        log.write(record("first")).await;
        log.write(record(&"x".repeat(1 << 20))).await;
        await_lines(&path, 2).await;
        drop(log);
        let log = open().await;
        log.write(record("third")).await;
        await_lines(&path, 3).await;
        drop(log);
        fs::write(&path, "not a record\n").unwrap();
        assert!(AuditLog::open(&path).is_err());
    }
}
