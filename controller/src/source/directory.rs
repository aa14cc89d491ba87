//! A directory of manifests: watched, and read again as a whole whenever anything in it may have changed.
//!
//! Events only say "look". The directory is watched, never a file: editors and git replace files by renaming. A poll finds what
//! no event told, such as a replaced root or a file system without events.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use notify_debouncer_full::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, Debouncer, RecommendedCache, new_debouncer};
use tokio::sync::mpsc;

use super::{FileProblem, FileReading, Reading, Source, Watch};
use crds_schema::escape::is_invisible;

/// How long the directory must be quiet before it is read.
const QUIET_TIME: Duration = Duration::from_millis(150);
/// How often it is looked whether they are: the crate's own rhythm, a quarter of it, takes most of what an idle controller takes.
const TICK_TIME: Duration = Duration::from_millis(100);
/// How often it is read even if nothing is heard.
const POLL_TIME: Duration = Duration::from_secs(30);
/// How often a directory that is not there is looked for.
const MISSING_POLL_TIME: Duration = Duration::from_secs(1);
/// How often a file that changes while it is read is read again.
const STABLE_ATTEMPTS: u32 = 5;
/// The pause between these attempts.
const STABLE_PAUSE: Duration = Duration::from_millis(40);
/// How deep directories may nest.
const MAX_DEPTH: usize = 32;
/// The most that one file may hold before it is not even read; the loader's own limit is lower and tells more.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// The most that all files may hold together.
const MAX_TREE_BYTES: u64 = 64 << 20;

/// A directory of manifests.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

/// The end of a watch; it ends when this is dropped.
pub struct DirectoryWatch {
    root: PathBuf,
    debouncer: Option<Debouncer<RecommendedWatcher, RecommendedCache>>,
    watched: Option<(u64, u64)>,
    tx: mpsc::Sender<()>,
    rx: mpsc::Receiver<()>,
}

impl std::fmt::Debug for DirectoryWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectoryWatch").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Directory {
    /// The directory at a path, which need not exist yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Reads every manifest in it, and below it. Blocking.
    pub fn read_now(&self) -> Reading {
        let root = match fs::canonicalize(&self.root) {
            Ok(root) => root,
            Err(error) => return unreadable(&self.root, &error),
        };
        let mut paths = Vec::new();
        if let Err(error) = collect_paths(&root, 0, &mut paths) {
            return unreadable(&self.root, &error);
        }
        paths.sort();
        let mut total = 0;
        let mut files = Vec::new();
        for path in paths {
            let file = read_file(&root, &path);
            total += file.content.as_ref().map_or(0, |content| content.len() as u64);
            if total > MAX_TREE_BYTES {
                let problem = format!("`{}` holds more than {MAX_TREE_BYTES} bytes of manifests", self.root.display());
                return Reading { files: Vec::new(), problem: Some(problem) };
            }
            files.push(file);
        }
        Reading { files, problem: None }
    }

    /// Reads the one manifest that the path names, or every manifest of the directory that it names. Blocking.
    pub fn read_path(&self) -> Reading {
        match fs::canonicalize(&self.root) {
            Ok(path) if path.is_file() => {
                let root = path.parent().unwrap_or(&path).to_owned();
                let file = FileReading { name: self.root.display().to_string(), ..read_file(&root, &path) };
                Reading { files: vec![file], problem: None }
            }
            Ok(_) | Err(_) => self.read_now(),
        }
    }
}

#[async_trait]
impl Source for Directory {
    /// On a thread where blocking is allowed.
    async fn read(&self) -> Reading {
        let directory = self.clone();
        let failed = |error: tokio::task::JoinError| Reading { files: Vec::new(), problem: Some(error.to_string()) };
        tokio::task::spawn_blocking(move || directory.read_now()).await.unwrap_or_else(failed)
    }

    /// Where watching is not possible, the poll goes on alone.
    fn watch(&self) -> Box<dyn Watch> {
        // One hint that is waiting says everything: a full channel loses nothing.
        let (tx, rx) = mpsc::channel(1);
        let mut watch = DirectoryWatch { root: self.root.clone(), debouncer: None, watched: None, tx, rx };
        watch.arm();
        Box::new(watch)
    }
}

#[async_trait]
impl Watch for DirectoryWatch {
    /// Cancel-safe: a hint stays in the channel until it is returned.
    async fn changed(&mut self) {
        let poll_time = if self.root.exists() { POLL_TIME } else { MISSING_POLL_TIME };
        let heard = tokio::time::timeout(poll_time, self.rx.recv()).await;
        if heard.is_ok() {
            // What else is reported by now is part of the same look.
            while self.rx.try_recv().is_ok() {}
        }
        self.arm();
    }
}

impl DirectoryWatch {
    /// Watches the directory that is at the path now; a replaced one is another.
    fn arm(&mut self) {
        let identity = fs::metadata(&self.root).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if identity.is_some() && identity == self.watched {
            return;
        }
        self.debouncer = None;
        self.watched = None;
        let Some(identity) = identity else { return };
        let tx = self.tx.clone();
        let on_events = move |result: DebounceEventResult| {
            if is_worth_a_look(&result) {
                // Full means that a look is due already; closed means that nobody looks any more.
                let _is_due_already = tx.try_send(()).is_err();
            }
        };
        let Ok(mut debouncer) = new_debouncer(QUIET_TIME, Some(TICK_TIME), on_events) else { return };
        if debouncer.watch(&self.root, RecursiveMode::Recursive).is_ok() {
            self.debouncer = Some(debouncer);
            self.watched = Some(identity);
        } else {
            tracing::warn!(directory = %self.root.display(), "cannot watch the manifests; they are read every 30 s");
        }
    }
}

/// Whether what was heard may mean a change: all but reading does, and so do errors and events that were lost.
fn is_worth_a_look(heard: &DebounceEventResult) -> bool {
    let is_reading = |event: &DebouncedEvent| event.kind.is_access() && !event.need_rescan();
    heard.as_ref().map_or(true, |events| !events.iter().all(is_reading))
}

fn unreadable(path: &Path, error: &io::Error) -> Reading {
    let problem = format!("cannot read the manifest directory `{}`: {error}", path.display());
    Reading { files: Vec::new(), problem: Some(problem) }
}

/// The manifests of a directory and those below it. Names that begin with a dot are editors' and tools' own.
fn collect_paths(directory: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        let path = entry.path();
        if is_manifest(&path) {
            paths.push(path);
        } else if depth < MAX_DEPTH && entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
            // A directory that goes away while it is read, or may not be read, hides nothing that was there: the whole
            // reading fails rather than lack its files.
            collect_paths(&path, depth + 1, paths)?;
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

fn read_file(root: &Path, path: &Path) -> FileReading {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let directory = path.parent().unwrap_or(root).to_string_lossy().into_owned();
    match relative.to_str() {
        Some(name) if name.chars().all(is_plain) => {
            FileReading { name: name.to_owned(), directory, content: read_stable(root, path) }
        }
        // The bytes, escaped: no two files have one name, and none drives a terminal.
        Some(_) | None => {
            let name = relative.as_os_str().as_encoded_bytes().escape_ascii().to_string();
            FileReading { name, directory, content: Err(FileProblem::Name) }
        }
    }
}

/// Whether a character of a name can be shown as it is.
fn is_plain(character: char) -> bool {
    !character.is_control() && !is_invisible(character)
}

/// What a file holds, read between two looks at it that agree.
fn read_stable(root: &Path, path: &Path) -> Result<Vec<u8>, FileProblem> {
    for attempt in 0..STABLE_ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(STABLE_PAUSE);
        }
        // Resolving links first keeps a link from leading out of the directory.
        let real = fs::canonicalize(path).map_err(|error| FileProblem::Io(error.to_string()))?;
        if !real.starts_with(root) {
            return Err(FileProblem::NotRegular);
        }
        let before = fs::metadata(&real).map_err(|error| FileProblem::Io(error.to_string()))?;
        if !before.is_file() {
            return Err(FileProblem::NotRegular);
        }
        if before.len() > MAX_FILE_BYTES {
            return Err(FileProblem::TooLarge(MAX_FILE_BYTES));
        }
        let content = fs::read(&real).map_err(|error| FileProblem::Io(error.to_string()))?;
        let after = fs::metadata(&real).map_err(|error| FileProblem::Io(error.to_string()))?;
        if stamp(&before) == stamp(&after) && content.len() as u64 == after.len() {
            return Ok(content);
        }
    }
    Err(FileProblem::Unstable)
}

/// What changes when a file does.
fn stamp(metadata: &Metadata) -> (u64, u64, i64, i64) {
    (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::time::Instant;

    use notify_debouncer_full::DebouncedEvent;
    use notify_debouncer_full::notify::event::{AccessKind, Flag};
    use notify_debouncer_full::notify::{Error, Event, EventKind};
    use tokio::sync::mpsc;

    use super::{Directory, DirectoryWatch, POLL_TIME, is_worth_a_look};
    use crate::source::FileProblem;
    use crate::source::Watch as _;

    fn names(directory: &Directory) -> Vec<String> {
        directory.read_now().files.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn manifests_are_found_below_and_temporary_files_are_not() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", ".b.yaml.swp", "b.yaml~", "4913", ".hidden.yaml", "readme.md"] {
            fs::write(root.path().join(name), "x").unwrap();
        }
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/c.json"), "{}").unwrap();
        assert_eq!(names(&Directory::new(root.path().into())), ["a.yml", "b.yaml", "sub/c.json"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_problem_and_not_empty() {
        let root = tempfile::tempdir().unwrap();
        assert!(Directory::new(root.path().join("gone")).read_now().problem.is_some());
        assert!(Directory::new(root.path().into()).read_now().problem.is_none());
    }

    #[test]
    fn a_file_of_the_same_time_and_size_with_another_content_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.yaml");
        let directory = Directory::new(root.path().into());
        let content = |directory: &Directory| directory.read_now().files[0].content.clone();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let far_off = std::time::SystemTime::now() + std::time::Duration::from_hours(24 * 365);
        for time in [long_ago, far_off] {
            for text in ["one", "two"] {
                fs::write(&path, text).unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
                assert_eq!(content(&directory), Ok(text.as_bytes().to_vec()));
            }
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_refused_and_hides_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        let names: [&[u8]; 5] =
            [b"\xfe.yaml", b"\xff.yaml", b"a\n.yaml", b"a\x1b[31m.yaml", "\u{202e}a.yaml".as_bytes()];
        for name in names {
            fs::write(root.path().join(OsStr::from_bytes(name)), "x").unwrap();
        }
        fs::write(root.path().join("é.yaml"), "x").unwrap();
        let reading = Directory::new(root.path().into()).read_now();
        let contents: Vec<_> = reading.files.iter().map(|file| (file.name.as_str(), file.content.clone())).collect();
        let refused = |name| (name, Err(FileProblem::Name));
        assert_eq!(
            contents,
            [
                refused(r"a\n.yaml"),
                refused(r"a\x1b[31m.yaml"),
                ("é.yaml", Ok(b"x".to_vec())),
                refused(r"\xe2\x80\xaea.yaml"),
                refused(r"\xfe.yaml"),
                refused(r"\xff.yaml"),
            ]
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_reported_beside_those_that_can() {
        let root = tempfile::tempdir().unwrap();
        symlink("nowhere", root.path().join("gone.yaml")).unwrap();
        fs::write(root.path().join("closed.yaml"), "x").unwrap();
        fs::write(root.path().join("web.yaml"), "x").unwrap();
        fs::set_permissions(root.path().join("closed.yaml"), Permissions::from_mode(0o000)).unwrap();
        let reading = Directory::new(root.path().into()).read_now();
        assert_eq!(reading.problem, None);
        let is_read = |name: &str| reading.files.iter().find(|file| file.name == name).unwrap().content.is_ok();
        assert!(is_read("web.yaml") && !is_read("gone.yaml"));
        // The superuser reads what is closed to everybody.
        let is_superuser = fs::metadata("/proc/self").unwrap().uid() == 0;
        assert_eq!(is_read("closed.yaml"), is_superuser);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nothing_can_be_watched_the_poll_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let metadata = fs::metadata(root.path()).unwrap();
        let (tx, rx) = mpsc::channel(1);
        // As on a file system that tells nothing: it counts as watched, and nothing is ever heard.
        let watched = Some((metadata.dev(), metadata.ino()));
        let mut watch = DirectoryWatch { root: root.path().into(), debouncer: None, watched, tx, rx };
        for _ in 0..3 {
            let begun = tokio::time::Instant::now();
            watch.changed().await;
            assert_eq!(begun.elapsed(), POLL_TIME);
        }
    }

    #[test]
    fn lost_events_and_errors_ask_for_a_look_and_reading_does_not() {
        let heard = |event| vec![DebouncedEvent::new(event, Instant::now())];
        let reading = Event::new(EventKind::Access(AccessKind::Any));
        assert!(!is_worth_a_look(&Ok(heard(reading.clone()))));
        assert!(is_worth_a_look(&Ok(heard(reading.set_flag(Flag::Rescan)))));
        assert!(is_worth_a_look(&Ok(heard(Event::new(EventKind::Other).set_flag(Flag::Rescan)))));
        assert!(is_worth_a_look(&Err(vec![Error::generic("the queue overflowed")])));
    }

    #[test]
    fn links_may_lead_about_inside_but_not_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("..data")).unwrap();
        fs::write(root.path().join("..data/web.yaml"), "x").unwrap();
        symlink("..data/web.yaml", root.path().join("web.yaml")).unwrap();
        symlink("/etc/passwd", root.path().join("passwd.yaml")).unwrap();
        fs::create_dir(root.path().join("folder.yaml")).unwrap();
        let reading = Directory::new(root.path().into()).read_now();
        let contents: Vec<_> = reading.files.iter().map(|file| (file.name.as_str(), file.content.clone())).collect();
        assert_eq!(
            contents,
            [
                ("folder.yaml", Err(FileProblem::NotRegular)),
                ("passwd.yaml", Err(FileProblem::NotRegular)),
                ("web.yaml", Ok(b"x".to_vec())),
            ]
        );
    }
}
