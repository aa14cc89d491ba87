//! The disk of the data directory is full: what cannot be written down is not done, it is told, and it goes on when there is space.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::engine::{TestBed, Which, always, eventually, text_of};
use crate::support::fault::Calls;
use crate::support::process::root_or_skip;
use crate::support::proxy::proxied_scene;
use crate::support::scene::{PATIENCE, WATCHED, sleeper};

/// A small file system of its own, until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// In place of a directory.
    fn at(directory: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "evenkeel-test"]).arg(&directory);
        let mounted = mount.output().unwrap();
        assert!(mounted.status.success(), "cannot mount: {}", text_of(&mounted));
        Self(directory)
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a controller may still have files open in it.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
    }
}

/// A bed whose data directory is on a small disk, with two containers of `web` that run.
fn bed_on_small_disk(bed: &mut TestBed) -> (SmallDisk, Vec<String>) {
    let disk = SmallDisk::at(bed.data());
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.start();
    let web = bed.await_running("web", 2);
    bed.await_ready("Deployment", "web");
    (disk, web)
}

/// The intents that the store's last export has, as text.
fn exported(data: &Path) -> String {
    let entries = fs::read_dir(data.join("exports")).unwrap().map(|entry| entry.unwrap().path());
    let mut exports: Vec<PathBuf> = entries.collect();
    exports.sort();
    fs::read_to_string(exports.last().unwrap()).unwrap()
}

#[test]
fn on_a_full_disk_nothing_is_changed_until_there_is_space_again() {
    let test_name = "disk_full";
    let Some((mut bed, proxy)) = proxied_scene(test_name) else { return };
    if !root_or_skip(test_name, &["mount", "umount"]) {
        return;
    }
    let (disk, web) = bed_on_small_disk(&mut bed);
    disk.fill();
    // What is still free inside the store's own file is used up by changes that are written down, and done.
    let mut size = 0;
    let message = eventually("it is told that nothing can be written down", PATIENCE, || {
        size += 1_000;
        bed.write("other.yaml", &sleeper("other", &format!("env: {{ A: \"{}\" }}", "x".repeat(size))));
        let until = Instant::now() + Duration::from_secs(2);
        loop {
            let ready = bed.condition("Deployment", "other", "Ready");
            if ready.reason == "StoreFailed" || Instant::now() > until {
                return Some(ready.message).filter(|_| ready.reason == "StoreFailed");
            }
            thread::sleep(Duration::from_millis(50));
        }
    });
    assert!(message.contains("space"), "{message}");
    let writes = Calls::to("WRITE", "");
    let (before, running) = (proxy.count(&writes), bed.ids(Which::All, "web"));
    bed.write("web.yaml", &sleeper("web", "replicas: 4"));
    bed.docker(&["kill", &web[0]]);
    always("nothing is changed", WATCHED, || proxy.count(&writes) == before && bed.ids(Which::All, "web") == running);
    assert_eq!(bed.get("/healthz").unwrap().status, 200);
    bed.await_reason("Deployment", "web", "StoreFailed");
    disk.free();
    let after = bed.await_running("web", 4);
    assert!(web.iter().all(|id| after.contains(id)), "what ran is kept: {web:?} {after:?}");
    bed.await_running("other", 1);
    bed.await_ready("Deployment", "web");
    bed.await_ready("Deployment", "other");
    assert!(bed.stop().success());
    let audit = exported(&bed.data());
    assert!(audit.contains("Create"), "what was done stands in the store: {audit}");
    bed.start();
    assert!(bed.controller_view()["storeRecovered"].is_null(), "{}", bed.controller_view());
    assert_eq!(bed.await_running("web", 4), after);
}

#[test]
fn a_start_on_a_full_disk_changes_nothing_and_the_next_with_space_goes_on() {
    let test_name = "disk_full_at_start";
    let Some((mut bed, proxy)) = proxied_scene(test_name) else { return };
    if !root_or_skip(test_name, &["mount", "umount"]) {
        return;
    }
    let (disk, web) = bed_on_small_disk(&mut bed);
    assert!(bed.stop().success());
    disk.fill();
    bed.write("web.yaml", &sleeper("web", "replicas: 3"));
    let changes = Calls::to("WRITE", &format!("/containers/*{}_", bed.namespace()));
    let before = proxy.count(&changes);
    let run = bed.run_once();
    assert_eq!(run.status.code(), Some(2), "{}", text_of(&run));
    assert!(text_of(&run).contains("space"), "{}", text_of(&run));
    assert_eq!(proxy.count(&changes), before);
    assert_eq!(bed.ids(Which::Running, "web"), web);
    disk.free();
    bed.start();
    let after = bed.await_running("web", 3);
    assert!(web.iter().all(|id| after.contains(id)), "what ran is kept: {web:?} {after:?}");
    bed.await_ready("Deployment", "web");
}
