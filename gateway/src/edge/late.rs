//! What is done once an answer is on its way: its client need not wait for that.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::Ended;

/// The record of the answer that a connection has just given, which is written down after it.
#[derive(Debug, Clone, Default)]
pub(super) struct Late(Arc<Mutex<Option<Ended>>>);

impl Late {
    /// A request has ended; one that ended before it is written down.
    pub(super) fn put(&self, ended: Ended) {
        self.replace(Some(ended));
    }

    /// Writes down what there is.
    pub(super) fn write(&self) {
        self.replace(None);
    }

    /// What a future comes to. After each look at it what there is then is written down.
    pub(super) async fn after<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            self.write();
            polled
        })
        .await
    }

    fn replace(&self, ended: Option<Ended>) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Written by being dropped, in the order in which they ended.
        drop(std::mem::replace(&mut *place, ended));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::pin::pin;

    use super::Late;
    use crate::audit::{AuditLog, AuditRecord, Draft};
    use crate::config::Rotation;

    #[tokio::test]
    async fn what_has_ended_is_written_after_its_answer_or_before_the_next_and_in_any_case() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let log = AuditLog::open(&path, Rotation::default()).unwrap();
        let end = async |method: &str| {
            let draft = Draft::begin(&log, false, AuditRecord { method: method.to_owned(), ..AuditRecord::default() });
            draft.end_later("ok", None, 7).await.expect("the queue has places")
        };
        let written = async || {
            log.settled().await;
            let text = fs::read_to_string(&path).unwrap();
            let method = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["record"]["method"].as_str().unwrap().to_owned()
            };
            text.lines().map(method).collect::<Vec<_>>()
        };
        let late = Late::default();
        late.put(end("first").await);
        assert!(written().await.is_empty());
        late.put(end("second").await);
        assert_eq!(written().await, ["first"]);
        late.write();
        assert_eq!(written().await, ["first", "second"]);
        late.write();
        late.after(pin!(async { late.put(end("third").await) })).await;
        assert_eq!(written().await, ["first", "second", "third"]);
        late.clone().put(end("fourth").await);
        drop(late);
        assert_eq!(written().await, ["first", "second", "third", "fourth"]);
        let none = Draft::begin(&AuditLog::disabled(), false, AuditRecord::default());
        assert!(none.end_later("ok", None, 0).await.is_none());
    }
}
