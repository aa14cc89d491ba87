//! What the typed store promises, on the database in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{event, key, object};
use crate::store::codec::{CodecError, wrap};
use crate::store::committer::Pace;
use crate::store::event_log::{EVENTS_IN_ALL, EVENTS_PER_OBJECT};
use crate::store::kv::{Batch, CommitMode, Kv, KvError, KvErrorKind, Value};
use crate::store::memory::{Fault, MemoryKv};
use crate::store::record::{ArchivedManifest, GoodFile, InventoryEntry};
use crate::store::{ARCHIVED_MANIFESTS, COMMIT_DEADLINE, FINISHED_PASSES, Store, StoreError};

#[tokio::test]
async fn everything_that_is_put_is_there_after_a_restart() {
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    let web = key("Deployment/prod/web");
    let entry = InventoryEntry { protect: true, delete_with_object: false, manifest: json!({ "spec": {} }) };
    let file = GoodFile { text_hash: "abc".into(), manifests: vec![json!({ "kind": "Network" })] };
    let mut write = store.write();
    write.put_object(&object("Deployment/prod/web"));
    write.put_event(event(7, Some("Deployment/prod/web"), "hello"));
    assert_eq!(write.observe_manifest(&web, &json!({ "spec": { "a": 1 } })), 1);
    write.put_inventory("dir|one", &web, &entry);
    write.put_good_file("sub/a.yaml", &file);
    write.put_tombstone(&web, 42);
    write.put_known_container("c0ffee", &web);
    write.put_engine_id("ENGINE");
    write.put_meta("lease-epoch", &3_u64);
    let intent = write.begin_pass(&web, vec!["#1 container/web Create".into()], 5);
    write.commit().await.unwrap();

    let store = Store::over_memory(kv.crash()).unwrap();
    assert_eq!(store.object(&web).unwrap(), Some(object("Deployment/prod/web")));
    assert_eq!(store.objects().unwrap().len(), 1);
    assert_eq!(store.events().unwrap(), [event(7, Some("Deployment/prod/web"), "hello")]);
    assert_eq!(store.generation_of(&web).unwrap(), 1);
    assert_eq!(store.inventory("dir|one").unwrap()[&web], entry);
    assert!(store.inventory("dir").unwrap().is_empty());
    assert_eq!(store.good_files().unwrap()["sub/a.yaml"], file);
    assert_eq!(store.tombstones().unwrap()[&web], 42);
    assert_eq!(store.known_containers().unwrap()["c0ffee"], web);
    assert_eq!(store.engine_id().unwrap().as_deref(), Some("ENGINE"));
    assert_eq!(store.meta::<u64>("lease-epoch").unwrap(), Some(3));
    assert_eq!(store.open_intents().unwrap()[0].id, intent);

    let mut write = store.write();
    write.finish_pass(intent, vec!["done".into()], 6);
    let next = write.begin_pass(&web, vec![], 7);
    assert!(next > intent, "a number is never given twice");
    write.commit().await.unwrap();
    assert_eq!(store.open_intents().unwrap().len(), 1);
    assert_eq!(store.finished_passes().unwrap()[0].outcomes, ["done"]);
}

#[tokio::test]
async fn a_generation_counts_changes_of_the_spec_and_of_nothing_else() {
    let store = Store::in_memory().unwrap();
    let web = key("Deployment/web");
    let mut write = store.write();
    let first: serde_json::Value = serde_json::from_str(r#"{"spec":{"a":1,"b":{"c":2,"d":3}}}"#).unwrap();
    let reordered = serde_json::from_str(r#"{"metadata":{"labels":{}},"spec":{"b":{"d":3,"c":2},"a":1}}"#).unwrap();
    assert_eq!(write.observe_manifest(&web, &first), 1);
    assert_eq!(write.observe_manifest(&web, &reordered), 1);
    assert_eq!(write.observe_manifest(&web, &json!({ "spec": { "a": 2 } })), 2);
    write.commit().await.unwrap();
    assert_eq!(store.write().observe_manifest(&web, &first), 3);
    assert_eq!(store.generation_of(&web).unwrap(), 2, "a write that is dropped changes nothing");
}

#[tokio::test]
async fn a_damaged_generation_goes_on_from_what_was_told_of_the_object() {
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    let mut record = object("Deployment/web");
    record.manifest = json!({ "spec": { "a": 1 } });
    record.status.generation = 7;
    let mut write = store.write();
    write.put_object(&record);
    write.commit().await.unwrap();
    kv.corrupt(&format!("generation/{}", record.key), b"{");
    let store = Store::over_memory(kv.crash()).unwrap();
    assert_eq!(store.write().observe_manifest(&record.key, &record.manifest), 7);
    assert_eq!(store.write().observe_manifest(&record.key, &json!({ "spec": { "a": 2 } })), 8);
}

#[tokio::test]
async fn events_are_capped_per_object_and_in_all_and_repeats_take_their_old_place() {
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    let mut write = store.write();
    for sequence in 1..=150 {
        write.put_event(event(sequence, Some("Network/back"), &format!("n{sequence}")));
    }
    write.put_event(event(151, Some("Network/back"), "n150"));
    write.commit().await.unwrap();
    let kept: Vec<u64> = store.events().unwrap().iter().map(|event| event.sequence).collect();
    assert_eq!((kept.len(), kept[0]), (EVENTS_PER_OBJECT, 51));
    assert!(!kept.contains(&150) && kept.contains(&151));

    let store = Store::over_memory(kv).unwrap();
    for sequence in 200..200 + 5_000 {
        let mut write = store.write();
        write.put_event(event(sequence, Some(&format!("Network/n{}", sequence % 100)), &sequence.to_string()));
        write.commit_lazily().unwrap();
    }
    assert_eq!(store.events().unwrap().len(), EVENTS_IN_ALL);
    assert_eq!(store.events().unwrap()[0].sequence, 200);
}

#[tokio::test]
async fn archived_manifests_are_capped() {
    let store = Store::in_memory().unwrap();
    for number in 0..60 {
        let mut write = store.write();
        let (key, manifest) = (key("Volume/data"), json!(number));
        write.archive_manifest(&ArchivedManifest { key, source: "dir".into(), manifest, removed_ms: number });
        write.commit_lazily().unwrap();
    }
    let archived = store.archived_manifests().unwrap();
    assert_eq!(archived.len(), usize::try_from(ARCHIVED_MANIFESTS).unwrap());
    assert_eq!(archived[0].removed_ms, 10);
}

#[tokio::test]
async fn a_damaged_record_is_left_out_and_reported_and_a_newer_one_is_not_guessed_at() {
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    let mut write = store.write();
    write.put_object(&object("Deployment/a"));
    write.put_object(&object("Deployment/b"));
    write.put_object(&object("Deployment/c"));
    write.commit().await.unwrap();
    kv.corrupt("object/Deployment/a", b"\xff\0garbage");
    kv.corrupt("object/Deployment/b", &wrap(9, "object/Deployment/b", "{}"));
    assert_eq!(store.objects().unwrap(), [object("Deployment/c")]);
    let damage: Vec<CodecError> = store.damage().into_values().collect();
    assert!(matches!(damage.as_slice(), [CodecError::Damaged { .. }, CodecError::Newer { found: 9, .. }]));
}

#[tokio::test]
async fn a_failed_write_is_told_until_the_store_is_reopened_and_then_nothing_is_missing() {
    let thread = Pace::Thread { lazy_delay: Duration::from_millis(1) };
    for pace in [Pace::Inline { commit_time: Duration::ZERO }, thread] {
        let kv = MemoryKv::default();
        let store = Store::over(Arc::new(kv.clone()), pace, None).unwrap();
        kv.inject(Fault::BrokenHandle);
        let web = key("Deployment/web");
        let refused = store.begin_pass(&web, vec!["step".into()], 1).await;
        assert!(matches!(refused, Err(StoreError::Failed { source }) if source.kind == KvErrorKind::NoSpace));
        assert!(store.is_failed());
        let mut write = store.write();
        write.put_object(&object("Deployment/web"));
        assert!(write.commit_lazily().is_err());
        assert!(store.object(&web).unwrap().is_some() && store.objects().unwrap().len() == 1, "what is held is seen");
        assert!(store.flush().await.is_err());
        assert!(Store::over_memory(kv.crash()).unwrap().objects().unwrap().is_empty(), "none of it survives a crash");

        kv.inject(Fault::NoSpace);
        assert!(store.reopen().await.is_err() && store.is_failed());
        kv.inject(Fault::BrokenHandle);
        store.reopen().await.unwrap();
        assert!(!store.is_failed());
        let survivor = Store::over_memory(kv.crash()).unwrap();
        assert!(survivor.object(&web).unwrap().is_some());
        assert_eq!(survivor.open_intents().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn lazy_changes_are_seen_at_once_and_reach_the_disk_by_themselves() {
    let kv = MemoryKv::default();
    let pace = Pace::Thread { lazy_delay: Duration::from_millis(5) };
    let store = Store::over(Arc::new(kv.clone()), pace, None).unwrap();
    for number in 0..20 {
        let mut write = store.write();
        write.put_object(&object(&format!("Network/n{number}")));
        write.commit_lazily().unwrap();
        assert_eq!(store.objects().unwrap().len(), number + 1);
    }
    let mut write = store.write();
    write.forget_object(&key("Network/n7"));
    write.commit_lazily().unwrap();
    assert_eq!(store.objects().unwrap().len(), 19);
    let deadline = Instant::now() + Duration::from_secs(20);
    while Store::over_memory(kv.crash()).unwrap().objects().unwrap().len() < 19 {
        assert!(Instant::now() < deadline, "lazy changes were not written");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn numbering_goes_on_from_what_counting_can_have_reached() {
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    let first = store.begin_pass(&key("Deployment/web"), Vec::new(), 0).await.unwrap();
    kv.corrupt("intent/18446744073709551615", b"damaged");
    // Its text is after that of every number with leading zeros.
    kv.corrupt("intent/1", b"damaged");
    let store = Store::over_memory(kv.crash()).unwrap();
    let second = store.begin_pass(&key("Deployment/web"), Vec::new(), 0).await.unwrap();
    assert_eq!(second.0, first.0 + 1);
    assert_eq!(store.open_intents().unwrap().len(), 2);
}

#[tokio::test]
async fn finished_passes_are_capped() {
    let store = Store::in_memory().unwrap();
    for number in 0..FINISHED_PASSES + 10 {
        let id = store.begin_pass(&key("Deployment/web"), vec![format!("step {number}")], 0).await.unwrap();
        let mut write = store.write();
        write.finish_pass(id, vec!["done".into()], 1);
        write.commit_lazily().unwrap();
    }
    let passes = store.finished_passes().unwrap();
    assert_eq!(passes.len() as u64, FINISHED_PASSES);
    assert_eq!(passes[0].intent.steps, ["step 10"]);
    assert_eq!(store.open_intents().unwrap(), []);
}

/// A disk that takes what is written and never says that it has.
#[derive(Debug, Default)]
struct SilentDisk {
    kv: MemoryKv,
    is_silent: Arc<AtomicBool>,
}

impl Kv for SilentDisk {
    fn get(&self, key: &str) -> Result<Option<Value>, KvError> {
        self.kv.get(key)
    }

    fn scan_prefix(&self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), KvError> {
        self.kv.scan_prefix(prefix, visit)
    }

    fn commit(&self, batch: &Batch, mode: CommitMode) -> Result<(), KvError> {
        while self.is_silent.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.kv.commit(batch, mode)
    }

    fn reopen(&self) -> Result<(), KvError> {
        self.kv.reopen()
    }

    fn close(&self) {
        self.kv.close();
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_is_given_up_on() {
    let is_silent = Arc::new(AtomicBool::new(true));
    let disk = SilentDisk { kv: MemoryKv::default(), is_silent: Arc::clone(&is_silent) };
    let pace = Pace::Thread { lazy_delay: Duration::from_millis(5) };
    let store = Store::over(Arc::new(disk), pace, None).unwrap();
    let begun = tokio::time::Instant::now();
    let outcome = store.begin_pass(&key("Deployment/web"), vec!["step".into()], 0).await;
    assert!(matches!(outcome, Err(StoreError::TimedOut)), "{outcome:?}");
    assert_eq!(begun.elapsed(), COMMIT_DEADLINE);
    assert!(store.is_failed(), "nothing may be changed any more");
    assert_eq!(store.open_intents().unwrap().len(), 1, "what was to be written is held, and seen");
    is_silent.store(false, Ordering::Relaxed);
}

#[tokio::test]
async fn an_unchanged_record_is_not_written_again() {
    let kv = MemoryKv::default();
    let store = Store::over_memory(kv.clone()).unwrap();
    for _ in 0..3 {
        let mut write = store.write();
        write.put_object(&object("Deployment/web"));
        write.commit_lazily().unwrap();
    }
    assert_eq!(kv.undurable_batches(), 1);
}

#[tokio::test]
async fn a_closed_store_refuses_changes() {
    let store = Store::in_memory().unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Closed)));
}
