//! The record of what is under way.

use std::time::Duration;

use tokio::time::Instant;

use super::log::{AuditLog, Reservation};
use super::record::AuditRecord;
use crate::hub::now_ms;

/// How much of an answer is written down at most.
const RESULT_BYTES: usize = 16 << 10;

/// A record that says how something ended once it has. Dropped before that, it says that it was cancelled.
#[derive(Debug)]
pub struct Draft {
    audit: AuditLog,
    /// Absent once it is written.
    record: Option<Box<AuditRecord>>,
    begun: Instant,
    has_values: bool,
}

impl Draft {
    /// Something begins. `has_values`: whether what is answered is written down too.
    pub fn begin(audit: &AuditLog, has_values: bool, record: AuditRecord) -> Self {
        // What is moved several times on its way is large.
        let record = Some(Box::new(AuditRecord { time_ms: now_ms(), ..record }));
        Self { audit: audit.clone(), record, begun: Instant::now(), has_values }
    }

    /// Changes what is known of it.
    pub fn edit(&mut self, edit: impl FnOnce(&mut AuditRecord)) {
        if let Some(record) = &mut self.record {
            edit(record);
        }
    }

    /// What is answered; nothing that must go nowhere may be in it any more.
    pub fn set_result(&mut self, text: &str) {
        if self.has_values {
            let beginning = text.get(..text.floor_char_boundary(RESULT_BYTES)).unwrap_or_default();
            self.edit(|record| record.result = Some(beginning.to_owned()));
        }
    }

    /// How long it has taken so far.
    pub fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// It has ended.
    pub async fn end(mut self, outcome: &'static str, code: Option<i64>, bytes: usize) {
        if let Some(record) = self.finish(outcome, code, bytes) {
            self.audit.write(&record).await;
        }
    }

    /// It has ended, and is written down when what is returned is dropped, which waits for nothing: its place in the queue is taken. Where
    /// there is none, that is waited for now.
    pub async fn end_later(mut self, outcome: &'static str, code: Option<i64>, bytes: usize) -> Option<Ended> {
        let record = self.finish(outcome, code, bytes)?;
        let Some(place) = self.audit.place() else {
            self.audit.write(&record).await;
            return None;
        };
        Some(Ended { place: Some(place), record })
    }

    fn finish(&mut self, outcome: &'static str, code: Option<i64>, bytes: usize) -> Option<Box<AuditRecord>> {
        let mut record = self.record.take()?;
        record.outcome = outcome.into();
        record.code = code;
        record.micros = u64::try_from(self.took().as_micros()).unwrap_or(u64::MAX);
        record.answer_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Some(record)
    }
}

/// What has ended and is not written yet.
#[derive(Debug)]
pub struct Ended {
    /// Absent once it is used.
    place: Option<Reservation>,
    record: Box<AuditRecord>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.fill(&self.record);
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(record) = self.finish("cancelled", None, 0) {
            self.audit.write_now(&record);
        }
    }
}
