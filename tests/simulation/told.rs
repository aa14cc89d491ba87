//! What the controller tells and keeps: that it never goes back, is true, and stays small.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller::board::EVENT_CAPACITY;
use controller::store::event_log::{EVENTS_IN_ALL, EVENTS_PER_OBJECT};
use controller::store::{ARCHIVED_MANIFESTS, FINISHED_PASSES};
use crds_schema::ObjectKey;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::sim::{RESYNC, Sim};
use super::wanted::Wanted;

/// For how many resyncs something may be told that is not so, where nothing goes wrong.
const LIE_RESYNCS: u32 = 4;
/// How often it is looked.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// What has been told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The latest generation that was said to be observed, by object and when it came to be.
    generations: BTreeMap<ObjectKey, u64>,
}

impl Told {
    /// A controller starts; `is_disk_another` where its disk is not the one that the last one left.
    pub(crate) fn begin(&mut self, is_disk_another: bool) {
        if is_disk_another {
            self.generations.clear();
        }
    }
}

impl Sim {
    /// S19: what generation is said to be observed never goes back.
    pub(crate) fn look_at_what_is_told(&mut self) {
        let Some(process) = &self.running else { return };
        let records = process.board.objects();
        for record in &records {
            let observed = record.status.observed_generation;
            let last = self.told.generations.entry(record.key.clone()).or_default();
            // One that was in no manifest for a while begins anew when it comes back.
            if observed < *last && observed > 0 && !self.oracle.was_ever_missing(&record.key) {
                let text = format!("S19: {} is told to be at generation {observed} after {last}", record.key);
                self.oracle.accuse(text);
            }
            *last = (*last).max(observed);
        }
    }

    /// S22: everything that could grow has not. S23: the stream of events was read.
    pub(crate) fn look_at_caps(&self) {
        for fault in self.overgrown() {
            self.oracle.accuse(format!("S22: {fault}"));
        }
        let counts = self.trace.counts();
        let (_, lost) = self.engine.recent_events();
        // Faults of the way keep it from being read.
        let ways = [
            "fault: frozen stream",
            "fault: frozen controller",
            "fault: delayed event",
            "fault: reordered event",
            "fault: killed at a point",
        ];
        if lost > 0 && !ways.iter().any(|way| counts.contains_key(way)) {
            self.oracle.accuse(format!("S23: {lost} events were lost since nobody read them"));
        }
    }

    fn overgrown(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |what: String, count: usize, cap: usize| {
            if count > cap {
                faults.push(format!("{count} {what}, and {cap} is the most"));
            }
        };
        let most = |cap: u64| usize::try_from(cap).unwrap_or(usize::MAX);
        check("passes on the disk".to_owned(), self.disk.durable("pass/").len(), most(FINISHED_PASSES));
        check("manifests in the archive".to_owned(), self.disk.durable("archive/").len(), most(ARCHIVED_MANIFESTS));
        let events = self.disk.durable("event/");
        check("events on the disk".to_owned(), events.len(), EVENTS_IN_ALL);
        if events.len() > EVENTS_PER_OBJECT {
            let mut by_object: BTreeMap<String, usize> = BTreeMap::new();
            for (_, record) in &events {
                let record: Json = serde_json::from_slice(record).unwrap_or_default();
                *by_object.entry(record["data"]["object"].to_string()).or_default() += 1;
            }
            for (object, count) in by_object {
                check(format!("events of {object} on the disk"), count, EVENTS_PER_OBJECT);
            }
        }
        if let Some(process) = &self.running {
            check("events on the board".to_owned(), process.board.events(None, 0).len(), EVENT_CAPACITY);
            let waiting = usize::try_from(process.metrics.queue_depth.get()).unwrap_or(usize::MAX);
            check("keys in the queue".to_owned(), waiting, self.oracle.objects_ever());
        }
        faults
    }

    /// S24: what is told to be ready is so. Looks for so long, while nothing goes wrong.
    ///
    /// # Errors
    /// What was told for too long though it was not so.
    pub(crate) async fn watch_truth(&mut self, wanted: &Wanted, time: Duration) -> Result<(), String> {
        let until = Instant::now() + time;
        let mut lies_since: BTreeMap<ObjectKey, Instant> = BTreeMap::new();
        while Instant::now() < until {
            self.pass_time(LOOK_TIME).await;
            let differences = self.differences(wanted);
            let Some(process) = &self.running else { continue };
            let is_lie = |key: &&ObjectKey| {
                process.board.object(key).is_some_and(|record| record.status.is_ready())
                    && differences.iter().any(|difference| difference.starts_with(&format!("{key}:")))
            };
            let lies: BTreeSet<&ObjectKey> = wanted.objects.keys().filter(is_lie).collect();
            lies_since.retain(|key, _| lies.contains(key));
            for key in lies {
                let since = *lies_since.entry(key.clone()).or_insert_with(Instant::now);
                if since.elapsed() > RESYNC * LIE_RESYNCS {
                    return Err(format!("S24: {key} is told to be ready: {differences:?}"));
                }
            }
        }
        Ok(())
    }
}
