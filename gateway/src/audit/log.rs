//! Takes records from whoever has one, for the thread that writes them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::file::CurrentFile;
use super::record::AuditRecord;
use super::writer::Writer;
use crate::config::Rotation;

/// How many records wait at most; whoever brings one more waits himself, so that none is lost.
const QUEUE_LENGTH: usize = 4_096;
/// How long a writer that ends has for what it still has to write.
const LOCK_TIME: Duration = Duration::from_millis(250);
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
pub(super) enum Item {
    /// A record, as it is written. Whoever has one makes a text of it: the memory that it took is given back where it was taken, and a
    /// processor that need not fetch it from another one is quicker.
    Record(String),
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
    /// acknowledged to nobody before it is whole. Full files are put aside beside it, and kept as `rotation` says.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or somebody still writes to it.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self, AuditError> {
        let fail = |source| AuditError { path: path.to_owned(), source };
        let (file, place) = CurrentFile::open(path, LOCK_TIME).map_err(fail)?;
        let (tx, rx) = mpsc::channel(QUEUE_LENGTH);
        // Of its own: the caller's may be paused, or gone before the last record is written.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(fail)?;
        let failures = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(path.to_owned(), (file, place), rotation, Arc::clone(&failures));
        let spawned = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&runtime, rx));
        // The thread ends by itself when the last sender is gone.
        drop(spawned.map_err(fail)?);
        Ok(Self { tx: Some(tx), failures })
    }

    /// Writes a record down. Waits while the queue is full. Whoever does not wait so long has it written as [`Self::write_now`] does.
    pub fn write(&self, record: &AuditRecord) -> impl Future<Output = ()> + use<'_> {
        let record = self.is_enabled().then(|| record.to_text());
        let mut waiting = Waiting { log: self, record };
        async move {
            let Some(tx) = &self.tx else { return };
            match (tx.reserve().await, waiting.record.take()) {
                (Ok(place), Some(record)) => place.send(Item::Record(record)),
                (Err(_), Some(_)) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                }
                (_, None) => {}
            }
        }
    }

    /// A place in the queue for a record that is made later. `None` where none is free, or nothing is kept.
    pub(super) fn place(&self) -> Option<Reservation> {
        self.tx.clone()?.try_reserve_owned().ok().map(Reservation)
    }

    /// Writes a record down without waiting; counted as failed when the queue is full. For ends that cannot wait.
    pub fn write_now(&self, record: &AuditRecord) {
        if let Some(tx) = &self.tx {
            self.bring(tx, record.to_text());
        }
    }

    fn bring(&self, tx: &mpsc::Sender<Item>, record: String) {
        if tx.try_send(Item::Record(record)).is_err() {
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

/// A place in the queue, taken before what it is for is there.
#[derive(Debug)]
pub(super) struct Reservation(mpsc::OwnedPermit<Item>);

impl Reservation {
    /// Writes a record down in it.
    pub(super) fn fill(self, record: &AuditRecord) {
        drop(self.0.send(Item::Record(record.to_text())));
    }
}

/// A record that waits for its place in the queue.
struct Waiting<'log> {
    log: &'log AuditLog,
    /// Absent once it has one.
    record: Option<String>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let (Some(tx), Some(record)) = (&self.log.tx, self.record.take()) {
            self.log.bring(tx, record);
        }
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
    use crate::config::Rotation;

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
        let log = AuditLog::open(&path, Rotation::default()).unwrap();
        for count in 1..=20 {
            log.write(&record("tools/call")).await;
            log.settled().await;
            assert_eq!(verify(BufReader::new(fs::File::open(&path).unwrap())).unwrap(), count);
        }
        AuditLog::disabled().settled().await;
    }

    #[tokio::test]
    async fn a_record_that_nobody_waits_for_any_more_is_written_or_counted() {
        let (tx, mut rx) = mpsc::channel(1);
        let log = AuditLog { tx: Some(tx), failures: Arc::default() };
        log.write(&record("first")).await;
        for has_room in [false, true] {
            let mut writing = Box::pin(log.write(&record("second")));
            tokio::select! {
                biased;
                () = &mut writing => panic!("the queue is full"),
                () = std::future::ready(()) => {}
            }
            if has_room {
                assert!(matches!(rx.recv().await, Some(Item::Record(record)) if record.contains("\"first\"")));
            }
            drop(writing);
            assert_eq!(log.failures(), 1);
        }
        assert!(matches!(rx.try_recv(), Ok(Item::Record(record)) if record.contains("\"second\"")));
    }

    #[tokio::test]
    async fn the_chain_goes_on_where_a_kill_tore_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let log = AuditLog::open(&path, Rotation::default()).unwrap();
        for _ in 0..300 {
            log.write(&record("tools/call")).await;
        }
        await_lines(&path, 300).await;
        assert!(AuditLog::open(&path, Rotation::default()).is_err(), "two writers would break the chain");
        drop(log);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"seq\":301,\"prev\":\"12").unwrap();
        let log = loop {
            // The first writer ends in its own time.
            match AuditLog::open(&path, Rotation::default()) {
                Ok(log) => break log,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        };
        log.write(&record("tools/list")).await;
        await_lines(&path, 301).await;
        assert_eq!(log.failures(), 0);
    }

    #[tokio::test]
    async fn a_line_of_any_length_is_gone_on_from_and_what_is_no_record_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let open = async || {
            loop {
                match AuditLog::open(&path, Rotation::default()) {
                    Ok(log) => return log,
                    Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        let log = open().await;
        log.write(&record("first")).await;
        log.write(&record(&"x".repeat(1 << 20))).await;
        await_lines(&path, 2).await;
        drop(log);
        let log = open().await;
        log.write(&record("third")).await;
        await_lines(&path, 3).await;
        drop(log);
        fs::write(&path, "not a record\n").unwrap();
        assert!(AuditLog::open(&path, Rotation::default()).is_err());
    }
}
