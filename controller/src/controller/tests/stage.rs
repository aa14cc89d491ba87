//! Lives of a controller: what the Engine and the store hold outlives each of them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use crds_schema::{ConditionType, ObjectKey};
use planner::Identity;
use planner::inventory::ProbeOutcome;
use planner::world::{Report, ReportStatus};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::board::Board;
use crate::clock::Clock;
use crate::controller::{Controller, Exclusion, Mode, Parts, Settings};
use crate::core::Core;
use crate::engine::simulated::SimulatedEngine;
use crate::holder::Holder;
use crate::intake::PruneSettings;
use crate::metrics::Metrics;
use crate::source::{FileReading, Reading, Source, Watch};
use crate::store::Store;
use crate::user_word::UserWord;

/// What the clock says when each life begins.
pub(super) const BEGINNING_MS: i64 = 1_700_000_000_000;

/// Manifests that a test changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Manifests {
    reading: Arc<Mutex<Reading>>,
}

impl Manifests {
    /// Deployments of these names are wanted from now on.
    pub(super) fn want(&self, names: &[&str]) {
        let manifest = |name: &&str| {
            format!(
                "---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec: {{ image: \"{name}:1\" }}\n"
            )
        };
        self.want_manifest(&names.iter().map(manifest).collect::<String>());
    }

    /// There is one file from now on, and it says this.
    pub(super) fn want_manifest(&self, text: &str) {
        let content = Ok(text.as_bytes().to_vec());
        let file = FileReading { name: "a.yaml".to_owned(), directory: "/srv".to_owned(), content };
        *self.reading.lock().unwrap() = Reading { files: vec![file], problem: None };
    }

    /// There is a file from now on that says nothing that could be taken.
    pub(super) fn want_what_is_at_fault(&self) {
        self.want_manifest("kind: Nothing\n");
    }

    /// They cannot be read from now on.
    pub(super) fn break_down(&self, problem: &str) {
        *self.reading.lock().unwrap() = Reading { files: Vec::new(), problem: Some(problem.to_owned()) };
    }
}

#[async_trait]
impl Source for Manifests {
    async fn read(&self) -> Reading {
        self.reading.lock().unwrap().clone()
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(EverySecond)
    }
}

struct EverySecond;

#[async_trait]
impl Watch for EverySecond {
    async fn changed(&mut self) {
        sleep(Duration::from_secs(1)).await;
    }
}

/// One life of a controller; it ends as a killed process does when this is dropped.
pub(super) struct Life {
    pub(super) board: Arc<Board>,
    /// What its tasks share, once it is open.
    core: Arc<OnceLock<Arc<Core>>>,
    words: Arc<OnceLock<mpsc::Sender<UserWord>>>,
    _running: JoinSet<()>,
}

/// How a life begins.
pub(super) struct Birth<'parts> {
    pub(super) engine: &'parts SimulatedEngine,
    pub(super) store: &'parts Store,
    pub(super) manifests: &'parts Manifests,
    /// Whether the store is new or was lost.
    pub(super) is_restricted: bool,
    pub(super) exclusion: Exclusion,
    /// Where the files of gateways are, where there is to be more than containers.
    pub(super) mcp_dir: Option<PathBuf>,
}

impl Birth<'_> {
    pub(super) fn begin(self) -> Life {
        let board = Arc::new(Board::default());
        let parts = Parts {
            identity: Identity { instance: "main".parse().unwrap(), key: [7; 32] },
            me: Holder::current(&"main".parse().unwrap()).unwrap(),
            data_dir_id: "a".to_owned(),
            engine: Arc::new(self.engine.clone()),
            store: self.store.clone(),
            recovery: None,
            is_restricted: self.is_restricted,
            source: Some(Arc::new(self.manifests.clone())),
            board: Arc::clone(&board),
            metrics: Metrics::default(),
            clock: Clock::starting_at(BEGINNING_MS),
            mcp_dir: self.mcp_dir,
            settings: Settings {
                resync: Duration::from_mins(5),
                start_concurrency: 4,
                prune: PruneSettings { limit_percent: 50, delay_ms: 30_000 },
                mode: Mode::Continuous,
                exclusion: self.exclusion,
            },
        };
        let mut running = JoinSet::new();
        let (core, words) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let (opened, heard) = (Arc::clone(&core), Arc::clone(&words));
        running.spawn(async move {
            let controller = Controller::open(parts).await.unwrap();
            assert!(opened.set(Arc::clone(&controller.core)).is_ok() && heard.set(controller.words()).is_ok());
            controller.run(std::future::pending()).await.unwrap();
        });
        Life { board, core, words, _running: running }
    }
}

impl Life {
    /// The objects that are as they should be.
    pub(super) fn converged(&self) -> Vec<String> {
        let objects = self.board.objects();
        let is_converged = |record: &&Arc<crate::status::ObjectRecord>| {
            let ready = record.status.condition(ConditionType::Ready);
            ready.is_some_and(|ready| ready.reason == "Converged")
        };
        objects.iter().filter(is_converged).map(|record| record.key.to_string()).collect()
    }

    /// Probes a container, and has its object looked at where that is news.
    pub(super) fn probe(&self, id: &str, outcome: ProbeOutcome) {
        let core = self.core.get().unwrap();
        let owner = core.world().set_probe(id, outcome, core.clock.now_ms());
        if let Some(owner) = owner {
            core.wake_with_dependents(&owner);
        }
    }

    /// Tells of an object what nothing on the engine can tell: it is ready.
    pub(super) fn report_ready(&self, object: &str) {
        let core = self.core.get().unwrap();
        let report =
            Report { status: ReportStatus::Ready, reason: "Ready", message: String::new(), columns: Vec::new() };
        if core.world().set_report(&key(object), Some(report)) {
            core.wake_with_dependents(&key(object));
        }
    }

    /// Says something to it, as a user does.
    pub(super) async fn say(&self, word: UserWord) {
        self.words.get().unwrap().send(word).await.unwrap();
    }

    /// Lets virtual time go by until something holds, at most ten minutes of it.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let told = (self.board.controller(), self.board.objects());
            assert!(begun.elapsed() < Duration::from_mins(10), "never: {what}; {told:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A key of its text.
pub(super) fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// The images of what is there.
pub(super) fn images(engine: &SimulatedEngine) -> Vec<String> {
    let details = engine.all_container_ids().into_iter().filter_map(|id| engine.peek(&id));
    let mut images: Vec<String> = details.map(|detail| detail.config.image).collect();
    images.sort();
    images
}
