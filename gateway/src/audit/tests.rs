//! An audit of several files: nothing is lost between them, whatever happens there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::backup::{Backup, outdated};
use super::chain::{PRUNED, link, read_piece};
use super::file::CurrentFile;
use super::log::Item;
use super::writer::Writer;
use super::{AuditLog, AuditRecord};
use crate::config::Rotation;
use crate::hub::now_ms;

/// How large a file becomes here: some ten records.
const FILE_BYTES: u64 = 4_000;

const NOTHING: [&str; 0] = [];

/// An audit in a directory of its own, and whoever writes it, without a thread.
struct Scene {
    directory: TempDir,
    rotation: Rotation,
    failures: Arc<AtomicU64>,
    /// How many records were brought so far.
    count: u64,
}

impl Scene {
    fn begin(rotation: Rotation) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), rotation, failures: Arc::default(), count: 0 }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.jsonl")
    }

    fn open(&self) -> Writer {
        let opened = CurrentFile::open(&self.path(), Duration::ZERO).unwrap();
        Writer::new(self.path(), opened, self.rotation, Arc::clone(&self.failures))
    }

    /// Has so many further records written, of which each comes at this time.
    fn write_at(&mut self, writer: &mut Writer, count: u64, time_ms: i64) {
        for _ in 0..count {
            self.count += 1;
            let record = AuditRecord { time_ms, ..record(self.count) };
            assert!(writer.write(&mut vec![Item::Record(record.to_text())]).is_empty());
        }
    }

    fn write(&mut self, writer: &mut Writer, count: u64) {
        self.write_at(writer, count, now_ms());
    }

    fn backups(&self) -> Vec<Backup> {
        Backup::list(&self.path()).unwrap()
    }

    /// All that was brought is there once and in its order, and nothing else.
    fn assert_whole(&self) {
        let found: Vec<String> = records(&self.path()).into_iter().map(|record| record.method).collect();
        let brought: Vec<String> = (1..=self.count).map(|number| record(number).method).collect();
        assert_eq!(found, brought);
        assert_eq!(self.failures.load(Ordering::Relaxed), 0);
    }
}

fn rotation() -> Rotation {
    Rotation { file_bytes: FILE_BYTES, ..Rotation::default() }
}

fn record(number: u64) -> AuditRecord {
    AuditRecord { method: format!("tools/call {number}"), ..AuditRecord::default() }
}

/// The records of all files of an audit, whose chain is whole from the first to the last.
fn records(audit: &Path) -> Vec<AuditRecord> {
    let files = Backup::list(audit).unwrap().into_iter().map(|backup| backup.path).chain([audit.to_owned()]);
    let mut last = None;
    let mut records = Vec::new();
    for file in files {
        let piece = read_piece(BufReader::new(File::open(&file).unwrap()), last).unwrap();
        last = piece.last;
        for line in fs::read_to_string(&file).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            records.push(serde_json::from_value(line["record"].clone()).unwrap());
        }
    }
    records
}

/// What of a directory is not the audit or an older file of it.
fn strangers(scene: &Scene) -> Vec<String> {
    let own: BTreeSet<PathBuf> = scene.backups().into_iter().map(|backup| backup.path).chain([scene.path()]).collect();
    let entries = fs::read_dir(scene.directory.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| !own.contains(path)).map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn of_records_from_many_each_is_in_one_file_once_and_the_chain_goes_through_all_files() {
    let scene = Scene::begin(rotation());
    let log = AuditLog::open(&scene.path(), scene.rotation).unwrap();
    let writers = (0..8).map(|writer| {
        let log = log.clone();
        tokio::spawn(async move {
            for number in 0..150 {
                log.write(&record(writer * 1_000 + number)).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    log.settled().await;
    let found: Vec<String> = records(&scene.path()).into_iter().map(|record| record.method).collect();
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len(), log.failures()), (1_200, 1_200, 0));
    let backups = scene.backups();
    assert!(backups.len() > 50, "{} older files", backups.len());
    for Backup { path, first, .. } in &backups {
        let metadata = fs::metadata(path).unwrap();
        assert!(metadata.len() <= FILE_BYTES && metadata.permissions().mode() & 0o777 == 0o600, "{metadata:?}");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with(&format!("{{\"seq\":{first},")), "{text}");
    }
    assert_eq!(fs::metadata(scene.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(strangers(&scene), NOTHING);
}

#[test]
fn an_older_file_is_never_written_again() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write(&mut writer, 30);
    let read = |scene: &Scene| -> Vec<_> {
        scene.backups().iter().map(|backup| (backup.name.clone(), fs::read_to_string(&backup.path).unwrap())).collect()
    };
    let before = read(&scene);
    assert!(!before.is_empty());
    scene.write(&mut writer, 60);
    drop(writer);
    let mut writer = scene.open();
    scene.write(&mut writer, 60);
    assert_eq!(read(&scene)[..before.len()], before);
    scene.assert_whole();
}

#[test]
fn a_line_that_is_larger_than_a_file_may_be_has_one_to_itself() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    let large = AuditRecord { name: Some("x".repeat(10_000)), ..record(2) };
    let items = [record(1), large, record(3)].map(|record| Item::Record(record.to_text()));
    scene.count = 3;
    assert!(writer.write(&mut Vec::from(items)).is_empty());
    scene.assert_whole();
    let first: Vec<u64> = scene.backups().iter().map(|backup| backup.first).collect();
    assert_eq!(first, [1, 2]);
}

#[test]
fn a_kill_at_any_point_between_two_files_leaves_a_chain_that_goes_on() {
    let kill_before_the_first_line = |audit: &Path| fs::write(audit, "").unwrap();
    let kill_in_the_first_line = |audit: &Path| fs::write(audit, "{\"seq\":12,\"pr").unwrap();
    let kill_before_the_new_file_is_there = |audit: &Path| fs::write(audit.with_added_extension("next"), "").unwrap();
    let nothing = |_: &Path| {};
    let kills: [&dyn Fn(&Path); 4] =
        [&nothing, &kill_before_the_first_line, &kill_in_the_first_line, &kill_before_the_new_file_is_there];
    for kill in kills {
        let mut scene = Scene::begin(rotation());
        let mut writer = scene.open();
        scene.write(&mut writer, 40);
        drop(writer);
        let text = fs::read_to_string(scene.path()).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let older = Backup::path_of(&scene.path(), first["seq"].as_u64().unwrap()).unwrap();
        fs::rename(scene.path(), older).unwrap();
        kill(&scene.path());
        let mut writer = scene.open();
        scene.write(&mut writer, 40);
        scene.assert_whole();
        assert_eq!(strangers(&scene), NOTHING);
    }
    // Before anything was renamed.
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write(&mut writer, 5);
    drop(writer);
    kill_before_the_new_file_is_there(&scene.path());
    let mut writer = scene.open();
    scene.write(&mut writer, 40);
    scene.assert_whole();
    assert_eq!(strangers(&scene), NOTHING);
}

#[test]
fn nobody_goes_on_behind_an_older_file_that_does_not_end_with_a_record() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write(&mut writer, 30);
    drop(writer);
    fs::remove_file(scene.path()).unwrap();
    let newest = scene.backups().pop().unwrap();
    fs::write(&newest.path, "no record\n").unwrap();
    assert!(CurrentFile::open(&scene.path(), Duration::ZERO).is_err(), "a new chain would hide that");
}

#[test]
fn while_one_file_takes_the_place_of_another_nobody_else_can_have_either() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write(&mut writer, 30);
    drop(writer);
    // As whoever looks in the midst of it finds it: the full file has its new name, and there is none, or an empty one, in its place.
    let newest = scene.backups().pop().unwrap();
    let held = File::open(&newest.path).unwrap();
    held.try_lock().unwrap();
    let text = fs::read_to_string(scene.path()).unwrap();
    fs::remove_file(scene.path()).unwrap();
    for _ in 0..2 {
        assert!(CurrentFile::open(&scene.path(), Duration::ZERO).is_err());
    }
    drop(held);
    fs::write(scene.path(), text).unwrap();
    let mut writer = scene.open();
    scene.write(&mut writer, 30);
    scene.assert_whole();
}

#[test]
fn whoever_tries_to_write_as_well_never_can_however_many_files_are_begun() {
    let mut scene = Scene::begin(Rotation { file_bytes: 1, ..Rotation::default() });
    let mut writer = scene.open();
    let is_over = Arc::new(AtomicBool::new(false));
    let others = [(); 2].map(|()| {
        let (path, is_over) = (scene.path(), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                assert!(CurrentFile::open(&path, Duration::ZERO).is_err());
            }
        })
    });
    scene.write(&mut writer, 150);
    is_over.store(true, Ordering::Relaxed);
    for other in others {
        other.join().unwrap();
    }
    assert_eq!(scene.backups().len(), 149);
    scene.assert_whole();
}

#[test]
fn where_no_other_file_can_be_begun_the_old_one_is_gone_on_with_until_one_can() {
    let no_new_file = |scene: &Scene| scene.path().with_added_extension("next").join("in the way");
    let no_new_name = |scene: &Scene| Backup::path_of(&scene.path(), 1).unwrap().join("in the way");
    let obstacles: [&dyn Fn(&Scene) -> PathBuf; 2] = [&no_new_file, &no_new_name];
    for obstacle in obstacles {
        let mut scene = Scene::begin(rotation());
        let obstacle = obstacle(&scene);
        fs::create_dir_all(&obstacle).unwrap();
        let mut writer = scene.open();
        scene.write(&mut writer, 50);
        assert_eq!(scene.backups(), []);
        assert!(fs::metadata(scene.path()).unwrap().len() > 2 * FILE_BYTES);
        scene.assert_whole();
        fs::remove_dir_all(obstacle.parent().unwrap()).unwrap();
        scene.write(&mut writer, 50);
        assert!(scene.backups().len() > 1);
        scene.assert_whole();
        assert_eq!(strangers(&scene), NOTHING);
    }
}

#[test]
fn what_a_symbolic_link_leads_to_is_gone_on_with() {
    let mut scene = Scene::begin(rotation());
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("audit.jsonl"), scene.path()).unwrap();
    let mut writer = scene.open();
    scene.write(&mut writer, 50);
    drop(writer);
    let mut writer = scene.open();
    scene.write(&mut writer, 50);
    assert_eq!(scene.backups(), []);
    scene.assert_whole();
}

#[test]
fn a_file_that_somebody_moves_away_is_followed_by_another_one() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write(&mut writer, 3);
    let moved = Backup::path_of(&scene.path(), 1).unwrap();
    fs::rename(scene.path(), moved).unwrap();
    scene.write(&mut writer, 30);
    scene.assert_whole();
}

/// What the audit says of files that are removed: names, first and last numbers, and hashes.
fn pruned(records: &[AuditRecord]) -> Vec<(String, u64, u64, String)> {
    let pruned = records.iter().filter(|record| record.method == PRUNED);
    let place = |record: &AuditRecord| {
        let arguments: Value = serde_json::from_str(record.arguments.as_ref().unwrap()).unwrap();
        let of = |field: &str| arguments[field].as_u64().unwrap();
        let hash = arguments["hash"].as_str().unwrap().to_owned();
        (record.name.clone().unwrap(), of("first"), of("last"), hash)
    };
    pruned.map(place).collect()
}

#[test]
fn of_older_files_so_many_are_kept_and_the_chain_says_which_were_removed() {
    let mut scene = Scene::begin(Rotation { max_backups: Some(2), ..rotation() });
    let mut writer = scene.open();
    let near = ["audit-1.jsonl", "other-00000000000000000001.jsonl", "audit-00000000000000000001.jsonl.gz"];
    for name in near {
        fs::write(scene.directory.path().join(name), "").unwrap();
    }
    fs::create_dir(scene.directory.path().join("audit-00000000000000000000.jsonl")).unwrap();
    let mut seen: Vec<Backup> = Vec::new();
    for _ in 0..10 {
        scene.write(&mut writer, 10);
        let backups = scene.backups();
        assert!(backups.len() <= 2, "{backups:?}");
        seen.extend(
            backups.into_iter().filter(|backup| seen.iter().all(|known| known.name != backup.name)).collect::<Vec<_>>(),
        );
    }
    let backups = scene.backups();
    assert!(seen.len() > 6 && backups.len() == 2, "{seen:?}");
    let found = records(&scene.path());
    let pruned = pruned(&found);
    // Whatever was said in files that are gone themselves is gone with them.
    let (name, first, last, hash) = pruned.last().unwrap();
    let removed = &seen[seen.len() - 3];
    assert_eq!((name, *first, last + 1), (&removed.name, removed.first, backups[0].first));
    let oldest = fs::read_to_string(&backups[0].path).unwrap();
    assert!(oldest.starts_with(&format!("{{\"seq\":{},\"prev\":\"{hash}\"", last + 1)), "{oldest}");
    assert_eq!(strangers(&scene).len(), near.len() + 1, "nothing else was removed");
}

#[test]
fn an_older_file_is_removed_when_its_last_line_is_too_old_whenever_it_was_put_there() {
    let mut scene = Scene::begin(Rotation { max_age: Some(Duration::from_hours(1)), ..rotation() });
    let mut writer = scene.open();
    let hour_ms = 3_600_000;
    // A file of both is as young as its last line.
    scene.write_at(&mut writer, 20, now_ms() - hour_ms * 2);
    scene.write_at(&mut writer, 30, now_ms() - hour_ms / 2);
    let kept = scene.backups();
    let found = records(&scene.path());
    let removed = pruned(&found);
    assert!(removed.len() == 1 && kept.len() > 1, "{removed:?} {kept:?}");
    assert_eq!((removed[0].1, removed[0].2 + 1), (1, kept[0].first));
    drop(writer);

    // What has become too old meanwhile goes as soon as it is opened.
    let rotation = Rotation { max_age: Some(Duration::from_mins(10)), ..scene.rotation };
    let log = AuditLog::open(&scene.path(), rotation).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(log.settled());
    assert_eq!(scene.backups(), []);
    assert_eq!(pruned(&records(&scene.path())).len(), kept.len());
    assert_eq!(log.failures(), 0);
}

#[test]
fn what_cannot_be_read_is_kept_for_its_age_and_not_for_ever() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write_at(&mut writer, 60, 0);
    drop(writer);
    let backups = scene.backups();
    fs::write(&backups[1].path, "no record\n").unwrap();
    scene.rotation.max_age = Some(Duration::from_hours(1));
    let mut writer = scene.open();
    scene.write(&mut writer, 20);
    assert_eq!(scene.backups()[0], backups[1]);
    drop(writer);
    scene.rotation = Rotation { max_backups: Some(1), ..rotation() };
    let mut writer = scene.open();
    scene.write(&mut writer, 20);
    assert!(!backups[1].path.exists());
    assert_eq!(scene.backups().len(), 1);
}

#[test]
fn a_file_is_as_young_as_the_end_of_what_its_last_line_tells_of() {
    let hours = |count: u64| count * 3_600;
    let rotation = Rotation { max_age: Some(Duration::from_secs(hours(1))), ..rotation() };
    for (took_secs, is_old) in [(0, true), (hours(2), false)] {
        let mut scene = Scene::begin(rotation);
        let mut writer = scene.open();
        scene.write(&mut writer, 2);
        let time_ms = now_ms() - i64::try_from(hours(2) * 1_000).unwrap();
        let listened = AuditRecord { time_ms, micros: took_secs * 1_000_000, ..record(3) };
        assert!(writer.write(&mut vec![Item::Record(listened.to_text())]).is_empty());
        fs::rename(scene.path(), Backup::path_of(&scene.path(), 1).unwrap()).unwrap();
        assert_eq!(outdated(scene.backups(), &rotation, now_ms()).len(), usize::from(is_old));
    }
}

#[test]
fn where_older_files_are_put_away_at_once_the_chain_goes_on_all_the_same() {
    let mut scene = Scene::begin(rotation());
    let mut writer = scene.open();
    scene.write(&mut writer, 3);
    drop(writer);
    let (mut file, place) = CurrentFile::open(&scene.path(), Duration::ZERO).unwrap();
    scene.count += 1;
    let (line, _) = link(&place, &record(scene.count).to_text());
    file.rotate(&line).unwrap();
    // Killed before anything else is written.
    drop(file);
    let away = scene.directory.path().join("away");
    for backup in scene.backups() {
        fs::rename(backup.path, &away).unwrap();
    }
    let mut writer = scene.open();
    scene.write(&mut writer, 1);
    let before = read_piece(BufReader::new(File::open(&away).unwrap()), None).unwrap();
    let after = read_piece(BufReader::new(File::open(scene.path()).unwrap()), before.last).unwrap();
    assert_eq!(before.count + after.count, scene.count);
}
