//! A damaged or lost store, through the program: it starts, says so, removes nothing in that pass, and converges.

#![expect(clippy::unwrap_used, reason = "a test says what fails by failing")]

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::support::engine::{Which, always, eventually};
use crate::support::scene::{PATIENCE, WATCHED, object, scene, sleeper};

/// Damages the store of a stopped controller, and changes the manifests; the next controller must say so, keep what runs, remove
/// nothing in its first pass, and converge. `report` is a part of what it says.
fn check_recovers(test_name: &str, damage: impl FnOnce(&Path), report: &str) {
    let Some(mut bed) = scene(test_name) else { return };
    for name in ["v-1", "v-2", "v-3"] {
        bed.write(&format!("{name}.yaml"), &object("Volume", name, "spec: { deletionPolicy: Delete }\n"));
    }
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.write("gone.yaml", &sleeper("gone", ""));
    bed.start_pruning_soon();
    let web = bed.await_running("web", 2);
    let gone = bed.await_running("gone", 1);
    bed.await_ready("Deployment", "web");
    assert!(bed.stop().success());
    // The second close leaves a snapshot of the index.
    bed.start_pruning_soon();
    assert!(bed.stop().success());
    damage(&bed.data().join("store"));
    bed.remove("gone.yaml");
    bed.write("web.yaml", &sleeper("web", "replicas: 3"));

    bed.start_with(&["--prune-delay", "0s"]);
    bed.await_event("PruneHeld", "nothing is removed in the first pass");
    bed.await_event("StoreRecovered", report);
    let told = bed.controller_view()["storeRecovered"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains(report), "{told}");
    bed.wait_until_ready();
    let three = bed.await_running("web", 3);
    assert!(web.iter().all(|id| three.contains(id)), "those that ran are kept");
    bed.await_ready("Deployment", "web");
    eventually("what is not wanted goes after the first pass", PATIENCE, || {
        let left = bed.ids(Which::All, "gone");
        assert!(left.is_empty() || left == gone, "{left:?}");
        left.is_empty().then_some(())
    });
    let volumes = bed.docker(&["volume", "ls", "--quiet", "--filter", &format!("name={}_v-", bed.namespace())]);
    assert_eq!(volumes.lines().count(), 3, "no volume is lost: {volumes}");
    // The next start finds it as it was left.
    assert!(bed.stop().success());
    bed.start();
    assert!(bed.controller_view()["storeRecovered"].is_null(), "{}", bed.controller_view());
    assert_eq!(bed.ids(Which::All, "web"), three);
}

fn snapshots(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("snap.")).collect()
}

#[test]
fn an_emptied_snapshot_is_put_aside() {
    let damage = |store: &Path| {
        let snapshots = snapshots(store);
        assert!(!snapshots.is_empty());
        for snapshot in snapshots {
            fs::write(snapshot, b"").unwrap();
        }
    };
    check_recovers("an_emptied_snapshot_is_put_aside", damage, "put its index aside");
}

#[test]
fn a_snapshot_that_was_never_finished_is_removed() {
    let damage = |store: &Path| fs::write(store.join("snap.00000000FFFFFFFF.generating"), b"half").unwrap();
    check_recovers("a_snapshot_that_was_never_finished", damage, "removed an index that was never finished");
}

#[test]
fn zeroed_pages_lose_nothing_that_matters() {
    let damage = |store: &Path| {
        let log = store.join("db");
        let length = fs::metadata(&log).unwrap().len();
        let mut file = OpenOptions::new().write(true).open(&log).unwrap();
        // Every other page of the first part, so that one in use is among them.
        for page in (0..length / 4096).step_by(2).take(16) {
            file.seek(SeekFrom::Start(page * 4096)).unwrap();
            file.write_all(&[0; 4096]).unwrap();
        }
        for snapshot in snapshots(store) {
            fs::remove_file(snapshot).unwrap();
        }
    };
    check_recovers("zeroed_pages_lose_nothing", damage, "");
}

#[test]
fn a_truncated_log_is_recovered() {
    let damage = |store: &Path| {
        let log = store.join("db");
        // The file is longer than what was ever written to it.
        let used = fs::read(&log).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
        OpenOptions::new().write(true).open(&log).unwrap().set_len(u64::try_from(used / 2).unwrap()).unwrap();
    };
    check_recovers("a_truncated_log_is_recovered", damage, "the store was lost");
}

#[test]
fn an_emptied_log_is_a_lost_store_and_no_first_run() {
    let damage = |store: &Path| fs::write(store.join("db"), b"").unwrap();
    check_recovers("an_emptied_log_is_a_lost_store", damage, "the store was lost");
}

#[test]
fn a_deleted_store_is_recovered_from_its_export() {
    let damage = |store: &Path| fs::remove_dir_all(store).unwrap();
    check_recovers("a_deleted_store_is_recovered", damage, "back from an export");
}

#[test]
fn a_store_deleted_with_its_exports_is_recovered_from_files_and_labels() {
    let damage = |store: &Path| {
        fs::remove_dir_all(store).unwrap();
        fs::remove_dir_all(store.with_file_name("exports")).unwrap();
    };
    check_recovers("a_store_deleted_with_its_exports", damage, "there was no export");
}

/// Loses the store with its exports while one manifest is at fault: what it may mean runs on.
fn check_keeps_what_is_at_fault(test_name: &str, manifest: &str, code: &str) {
    let Some(mut bed) = scene(test_name) else { return };
    bed.write("web.yaml", &sleeper("web", ""));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start_pruning_soon();
    let web = bed.await_running("web", 1);
    assert!(bed.stop().success());
    for lost in ["store", "exports"] {
        fs::remove_dir_all(bed.data().join(lost)).unwrap();
    }
    bed.write("web.yaml", manifest);
    bed.start_with(&["--prune-delay", "0s"]);
    bed.wait_until_ready();
    bed.await_fault("web.yaml", code);
    always("nobody knows that it is not wanted", WATCHED, || bed.ids(Which::All, "web") == web);
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    assert!(bed.await_running("web", 2).contains(&web[0]));
}

#[test]
fn a_lost_store_beside_a_broken_file_removes_nothing() {
    check_keeps_what_is_at_fault("a_lost_store_beside_a_broken", &sleeper("web", "typo: 1"), "E0111");
}

#[test]
fn a_lost_store_beside_a_refused_object_removes_nothing() {
    let needs = |name: &str| format!("dependsOn: [{{ kind: Deployment, name: {name} }}]");
    let circle = sleeper("web", &needs("third")) + &sleeper("third", &needs("web"));
    check_keeps_what_is_at_fault("a_lost_store_beside_a_refused", &circle, "E0218");
}
