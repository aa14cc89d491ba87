//! The simulated directory of manifests: what it holds, what is read of it, and what its users do to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use controller::source::{FileReading, Reading, Source, Watch};
use crds_schema::ObjectKey;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::life::Life;
use super::mutants::broken_source::Distortion;
use super::oracle::Oracle;
use super::trace::Trace;
use super::wanted::{Spec, Wanted};

/// How long the directory must be quiet before it is read.
const QUIET_TIME: Duration = Duration::from_millis(150);
/// How often it is read even if nothing is heard.
const POLL_TIME: Duration = Duration::from_secs(30);

/// The directory. Clones are handles of the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    problem: Option<String>,
    /// What changes is not told; only the poll finds it.
    is_silent: bool,
    /// How long a reading takes for each file, during which others may change.
    read_time: Duration,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) text: String,
    /// What it means; nothing where it is at fault.
    pub(crate) meaning: Option<Vec<(ObjectKey, Spec)>>,
}

impl File {
    /// A good file of one object.
    fn of(key: &ObjectKey, spec: &Spec) -> Self {
        Self { text: spec.manifest(key), meaning: Some(vec![(key.clone(), spec.clone())]) }
    }
}

impl Files {
    /// Writes what is wanted, a file an object, and removes every other file.
    pub(crate) fn write(&self, wanted: &Wanted) {
        let files = wanted.objects.iter().map(|(key, spec)| (name_of(key), File::of(key, spec))).collect();
        self.lock().files = files;
        self.tell();
    }

    /// Writes one object's file.
    pub(crate) fn write_object(&self, key: &ObjectKey, spec: &Spec) {
        self.lock().files.insert(name_of(key), File::of(key, spec));
        self.tell();
    }

    /// Writes something that does not parse into an object's file.
    pub(crate) fn break_object(&self, key: &ObjectKey, text: &str) {
        self.lock().files.insert(name_of(key), File { text: text.to_owned(), meaning: None });
        self.tell();
    }

    /// Removes an object's file.
    pub(crate) fn remove_object(&self, key: &ObjectKey) {
        self.lock().files.remove(&name_of(key));
        self.tell();
    }

    /// Makes the directory unreadable, or readable again.
    pub(crate) fn set_problem(&self, problem: Option<&str>) {
        self.lock().problem = problem.map(str::to_owned);
        self.tell();
    }

    /// Changes are told, or not.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.lock().is_silent = is_silent;
    }

    /// How long a reading takes for each file.
    pub(crate) fn set_read_time(&self, read_time: Duration) {
        self.lock().read_time = read_time;
    }

    /// Takes every file away, without a word of why; gives them back.
    pub(crate) fn swap(&self, files: BTreeMap<String, File>) -> BTreeMap<String, File> {
        let before = std::mem::replace(&mut self.lock().files, files);
        self.tell();
        before
    }

    fn tell(&self) {
        if !self.lock().is_silent {
            self.shared.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(key: &ObjectKey) -> String {
    format!("{}-{}-{}.yaml", key.namespace, key.kind, key.name).to_lowercase()
}

/// The directory, as one process reads it.
#[derive(Debug)]
pub(crate) struct ProcessSource {
    pub(crate) files: Files,
    pub(crate) life: Life,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) distortion: Distortion,
}

#[async_trait]
impl Source for ProcessSource {
    async fn read(&self) -> Reading {
        self.life.pass_point().await;
        let (names, problem, read_time) = {
            let state = self.files.lock();
            (state.files.keys().cloned().collect::<Vec<_>>(), state.problem.clone(), state.read_time)
        };
        let mut read: BTreeMap<String, File> = BTreeMap::new();
        for name in names {
            if !read_time.is_zero() {
                sleep(read_time).await;
            }
            // One that went meanwhile is not there.
            if let Some(file) = self.files.lock().files.get(&name) {
                read.insert(name, file.clone());
            }
        }
        self.life.pass_point().await;
        self.trace.say(&format!("read {} files, problem {problem:?}", read.len()));
        self.oracle.files_were_read(problem.is_some(), &read);
        let to_reading = |(name, file): (String, File)| FileReading {
            directory: "/manifests".to_owned(),
            content: Ok(self.distortion.of_text(&name, file.text).into_bytes()),
            name,
        };
        let files = if problem.is_some() { Vec::new() } else { read.into_iter().map(to_reading).collect() };
        Reading { files, problem }
    }

    fn watch(&self) -> Box<dyn Watch> {
        let is_polling = self.distortion.is_polling();
        Box::new(ProcessWatch { files: self.files.clone(), seen: snapshot(&self.files), is_polling })
    }
}

/// A look-out of one process.
struct ProcessWatch {
    files: Files,
    /// What it last saw: what changed while it did not wait is told at once, as the kernel's queue does.
    seen: (BTreeMap<String, File>, Option<String>),
    /// It does not rely on being told.
    is_polling: bool,
}

fn snapshot(files: &Files) -> (BTreeMap<String, File>, Option<String>) {
    let state = files.lock();
    (state.files.clone(), state.problem.clone())
}

#[async_trait]
impl Watch for ProcessWatch {
    async fn changed(&mut self) {
        let told = self.files.shared.changed.notified();
        let is_news = !self.files.lock().is_silent && snapshot(&self.files) != self.seen;
        let poll_time = if self.is_polling { POLL_TIME } else { Duration::from_hours(1_000) };
        if is_news || timeout(poll_time, told).await.is_ok() {
            sleep(QUIET_TIME).await;
        }
        self.seen = snapshot(&self.files);
    }
}
