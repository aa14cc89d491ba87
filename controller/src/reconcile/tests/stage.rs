//! A controller without source and server, on an Engine of the test's, on the paused clock.

use std::sync::Arc;
use std::time::Duration;

use crds_schema::{ConditionType, ManifestFile, ObjectKey, SourceLocation};
use planner::{Identity, World};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::board::Board;
use crate::clock::Clock;
use crate::core::Core;
use crate::engine::Engine;
use crate::executor::Executor;
use crate::metrics::Metrics;
use crate::reconcile::Reconciler;
use crate::reflector::Reflector;
use crate::status::{ObjectRecord, ObjectStatus};
use crate::store::Store;

/// The loop and the reflector, and what they share.
pub(super) struct Stage {
    pub(super) core: Arc<Core>,
    pub(super) tasks: JoinSet<()>,
}

impl Stage {
    /// Wants what the manifests say, and lets the loop run.
    pub(super) fn start(engine: Arc<dyn Engine>, manifests: &str) -> Self {
        let identity = Identity { instance: "main".parse().unwrap(), key: [7; 32] };
        let (store, board, metrics) = (Store::in_memory().unwrap(), Arc::new(Board::default()), Metrics::default());
        let clock = Clock::starting_at(1_700_000_000_000);
        let core = Arc::new(Core::new(World::new(identity), engine, store, board, metrics.clone(), clock, 1));
        let reflector = Arc::new(Reflector::new(Arc::clone(&core), Duration::from_mins(5)));
        let executor = Executor::new(Arc::clone(&core.engine), metrics, 4);
        let reconciler = Arc::new(Reconciler::new(Arc::clone(&core), executor, Arc::clone(&reflector)));
        let mut stage = Self { core, tasks: JoinSet::new() };
        stage.want(manifests);
        let core = Arc::clone(&stage.core);
        stage.tasks.spawn(reflector.run(move || {
            let keys = core.world().all_keys();
            for key in &keys {
                core.wake(key);
            }
        }));
        stage.tasks.spawn(reconciler.run());
        stage
    }

    /// Wants what the manifests say from now on, beside what else is wanted.
    pub(super) fn want(&self, manifests: &str) {
        let file = crds_schema::load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes: manifests.as_bytes() });
        assert_eq!(file.diagnostics, []);
        for object in &file.objects {
            let key = object.key();
            let before = self.core.board.object(&key);
            let status = before.map(|record| record.status.clone()).unwrap_or_default();
            self.core.world().set_desired(object);
            self.core.board.put_object(ObjectRecord {
                manifest: object.to_json(),
                source: SourceLocation::default(),
                created_ms: 0,
                rolled_back: None,
                status: ObjectStatus { generation: status.generation + 1, ..status },
                key: key.clone(),
            });
            self.core.wake_with_dependents(&key);
        }
    }

    /// The reason of the condition `Ready`; empty before the first look.
    pub(super) fn reason(&self, key: &str) -> String {
        let record = self.record(key);
        let ready = record.status.condition(ConditionType::Ready);
        ready.map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    pub(super) fn record(&self, key: &str) -> Arc<ObjectRecord> {
        self.core.board.object(&self::key(key)).unwrap()
    }

    /// Lets virtual time go by until something holds, at most ten minutes of it.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_mins(10), "never: {what}; {:?}", self.core.board.objects());
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A key of its text.
pub(super) fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// The manifest of a deployment, with more fields of its spec.
pub(super) fn deployment(name: &str, image: &str, fields: &str) -> String {
    format!(
        "---\napiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec: {{ image: \"{image}\"{fields} }}\n"
    )
}
