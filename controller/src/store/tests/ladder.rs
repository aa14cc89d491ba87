//! The recovery ladder, on real files that are damaged as real ones were.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{key, object};
use crate::store::codec::wrap;
use crate::store::kv::{CommitMode, Kv};
use crate::store::recovery::{OpenError, Opened, Recovery, StoreConfig, open};
use crate::store::sled::SledKv;

const OBJECTS: usize = 200;

/// A data directory whose store holds [`OBJECTS`] objects and was closed as it should be; with an export that has them all.
async fn filled() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let Opened { store, recovery } = open_in(directory.path());
    assert_eq!(recovery, Recovery::Fresh);
    assert!(recovery.is_first_pass_restricted());
    for number in 0..OBJECTS {
        let mut write = store.write();
        write.put_object(&object(&format!("Deployment/web-{number}")));
        write.commit_lazily().unwrap();
    }
    store.close().await.unwrap();
    directory
}

fn open_in(directory: &Path) -> Opened {
    open(&StoreConfig::new(directory)).unwrap()
}

fn database_files(directory: &Path, is_meant: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("store")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| is_meant(path.file_name().unwrap().to_str().unwrap())).collect()
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Opens a damaged store: everything is back, it works, it says so, and the next start finds it intact.
async fn check_heals(directory: &Path) -> Recovery {
    let Opened { store, recovery } = open_in(directory);
    assert_eq!(store.objects().unwrap().len(), OBJECTS, "{recovery:?}");
    assert!(recovery.is_first_pass_restricted() && recovery.report().is_some(), "{recovery:?}");
    let mut write = store.write();
    write.put_object(&object("Network/later"));
    write.commit().await.unwrap();
    store.close().await.unwrap();
    let Opened { store, recovery: again } = open_in(directory);
    assert_eq!(again, Recovery::Intact);
    assert_eq!(store.objects().unwrap().len(), OBJECTS + 1);
    store.close().await.unwrap();
    recovery
}

#[tokio::test]
async fn a_store_that_was_closed_opens_intact_again_and_again() {
    let directory = filled().await;
    for _ in 0..3 {
        let Opened { store, recovery } = open_in(directory.path());
        assert_eq!(recovery, Recovery::Intact);
        assert_eq!(store.objects().unwrap().len(), OBJECTS);
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_unfinished_snapshot_is_removed() {
    let directory = filled().await;
    fs::write(directory.path().join("store/snap.00000000FFFFFFFF.generating"), b"half").unwrap();
    let recovery = check_heals(directory.path()).await;
    assert!(matches!(recovery, Recovery::Repaired { .. }), "{recovery:?}");
}

#[tokio::test]
async fn an_emptied_snapshot_is_put_aside() {
    let directory = filled().await;
    open_in(directory.path()).store.close().await.unwrap();
    let snapshots = database_files(directory.path(), |name| name.starts_with("snap."));
    assert!(!snapshots.is_empty());
    for snapshot in snapshots {
        fs::write(snapshot, b"").unwrap();
    }
    let recovery = check_heals(directory.path()).await;
    assert!(matches!(recovery, Recovery::Repaired { .. }), "{recovery:?}");
    assert!(database_files(directory.path(), |name| name.starts_with("aside-")).is_empty());
}

#[tokio::test]
async fn a_zeroed_page_anywhere_in_the_log_loses_nothing_that_was_exported() {
    let directory = filled().await;
    let log = directory.path().join("store/db");
    let length = fs::metadata(&log).unwrap().len();
    drop(directory);
    let mut reports = 0;
    for page in 0..12 {
        let directory = filled().await;
        overwrite(&directory.path().join("store/db"), (length / 4096) * page / 12 * 4096, &[0; 4096]);
        let Opened { store, recovery } = open_in(directory.path());
        assert_eq!(store.objects().unwrap().len(), OBJECTS, "page {page}: {recovery:?}");
        reports += usize::from(recovery.report().is_some());
        store.close().await.unwrap();
    }
    assert!(reports > 0, "some of the pages were in use");
}

#[tokio::test]
async fn a_truncated_log_is_rebuilt_from_the_export() {
    for eighths in 1..8 {
        let directory = filled().await;
        let log = directory.path().join("store/db");
        let length = fs::metadata(&log).unwrap().len();
        OpenOptions::new().write(true).open(&log).unwrap().set_len(length * eighths / 8).unwrap();
        let Opened { store, recovery } = open_in(directory.path());
        assert_eq!(store.objects().unwrap().len(), OBJECTS, "{eighths}/8: {recovery:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_log_of_length_zero_is_a_lost_store_and_not_a_first_run() {
    let directory = filled().await;
    fs::write(directory.path().join("store/db"), b"").unwrap();
    let recovery = check_heals(directory.path()).await;
    assert!(matches!(recovery, Recovery::Rebuilt { from_export: true, .. }), "{recovery:?}");
    assert!(directory.path().join("store.corrupt-1").is_dir());
}

#[tokio::test]
async fn a_deleted_directory_is_rebuilt_from_the_export() {
    let directory = filled().await;
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let recovery = check_heals(directory.path()).await;
    assert!(matches!(recovery, Recovery::Rebuilt { from_export: true, .. }), "{recovery:?}");
}

#[tokio::test]
async fn a_directory_that_was_being_replaced_by_its_copy_is_put_back() {
    let directory = filled().await;
    fs::rename(directory.path().join("store"), directory.path().join("store.stuck")).unwrap();
    let Opened { store, recovery } = open_in(directory.path());
    assert_eq!(recovery, Recovery::Intact);
    assert_eq!(store.objects().unwrap().len(), OBJECTS);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_lost_store_without_an_export_starts_empty_and_says_so() {
    let directory = filled().await;
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    fs::remove_dir_all(directory.path().join("exports")).unwrap();
    let Opened { store, recovery } = open_in(directory.path());
    assert!(store.objects().unwrap().is_empty());
    assert!(matches!(recovery, Recovery::Rebuilt { from_export: false, .. }), "{recovery:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn an_unfinished_export_is_passed_over_for_the_one_before() {
    let directory = filled().await;
    fs::remove_dir_all(directory.path().join("store")).unwrap();
    let newest = directory.path().join("exports").join(format!("export-{:020}.jsonl", 999));
    fs::write(newest, "{\"evenkeelExport\":1,\"commits\":999}\n").unwrap();
    check_heals(directory.path()).await;
}

#[tokio::test]
async fn at_most_three_damaged_directories_are_kept() {
    let directory = filled().await;
    for _ in 0..5 {
        fs::write(directory.path().join("store/db"), b"").unwrap();
        open_in(directory.path()).store.close().await.unwrap();
    }
    let kept: Vec<bool> =
        (1..=5).map(|number| directory.path().join(format!("store.corrupt-{number}")).is_dir()).collect();
    assert_eq!(kept, [false, false, true, true, true]);
}

#[tokio::test]
async fn at_most_three_exports_are_kept() {
    let directory = filled().await;
    let Opened { store, .. } = open_in(directory.path());
    assert_eq!(store.export().await.unwrap(), None, "nothing has changed since the last export");
    for number in 0..5 {
        let mut write = store.write();
        write.put_meta("x", &number);
        write.commit().await.unwrap();
        assert!(store.export().await.unwrap().is_some());
    }
    assert_eq!(fs::read_dir(directory.path().join("exports")).unwrap().count(), 3);
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_store_of_a_newer_release_is_refused_and_left_alone() {
    let directory = filled().await;
    {
        let config = StoreConfig::new(directory.path());
        let kv = SledKv::open(&config.data_dir.join("store"), config.durability).unwrap();
        let batch = [("object/x".to_owned(), Some(wrap(2, "object/x", "{}")))].into();
        kv.commit(&batch, CommitMode::Durable).unwrap();
    }
    let refused = open(&StoreConfig::new(directory.path()));
    assert!(matches!(refused, Err(OpenError::Newer { .. })));
    assert!(!directory.path().join("store.corrupt-1").exists());
}

#[tokio::test]
async fn durable_commits_of_many_tasks_share_their_flushes() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { store, .. } = open_in(directory.path());
    let web = key("Deployment/web");
    let passes = (0..200).map(|number| store.begin_pass(&web, vec![number.to_string()], number));
    for begun in futures_util::future::join_all(passes).await {
        begun.unwrap();
    }
    assert_eq!(store.open_intents().unwrap().len(), 200);
    let commits = store.commits();
    assert!(commits < 50, "{commits} commits for 200 passes");
    store.close().await.unwrap();
}
