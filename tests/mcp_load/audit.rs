//! The gateway's own account of each call: which instance it went to, and how it ended.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

use crate::support::engine::TestBed;

/// A call as it is written down.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The first digits of its container's id; empty where it came to none.
    pub(super) instance: String,
    pub(super) outcome: String,
    pub(super) begun_ms: i64,
    pub(super) ended_ms: i64,
}

impl Record {
    /// Whether it went to a container.
    pub(super) fn is_of(&self, container_id: &str) -> bool {
        !self.instance.is_empty() && container_id.starts_with(&self.instance)
    }
}

/// The audit of the gateway `hub`, read on as it grows.
pub(super) struct Audit {
    path: PathBuf,
    offset: u64,
    calls: Vec<Record>,
}

impl Audit {
    /// The audit of a bed's gateway, from its beginning.
    pub(super) fn of(bed: &TestBed) -> Self {
        let path = bed.data().join(format!("mcp/{}_hub.audit.jsonl", bed.namespace()));
        Self { path, offset: 0, calls: Vec::new() }
    }

    /// Every call of a tool so far.
    pub(super) fn calls(&mut self) -> &[Record] {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        // The last line may be half written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.offset += u64::try_from(whole).unwrap();
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            let record = &line["record"];
            if record["method"] == "tools/call" {
                let begun_ms = record["timeMs"].as_i64().unwrap();
                self.calls.push(Record {
                    instance: record["instance"].as_str().unwrap_or_default().to_owned(),
                    outcome: record["outcome"].as_str().unwrap_or_default().to_owned(),
                    begun_ms,
                    ended_ms: begun_ms + record["micros"].as_i64().unwrap() / 1_000,
                });
            }
        }
        &self.calls
    }
}
