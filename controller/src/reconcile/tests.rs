//! A panic in one pass: it is caught, told, and costs nobody but its object.

mod panicking_engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crds_schema::{ConditionType, ManifestFile, ObjectKey, SourceLocation};
use planner::{Identity, World};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::panicking_engine::PanickingEngine;
use super::Reconciler;
use crate::board::Board;
use crate::clock::Clock;
use crate::core::Core;
use crate::engine::simulated::SimulatedEngine;
use crate::executor::Executor;
use crate::metrics::Metrics;
use crate::reflector::Reflector;
use crate::status::{ObjectRecord, ObjectStatus};
use crate::store::Store;

/// A controller without source and server, on an Engine of which one object's creation panics.
struct Stage {
    core: Arc<Core>,
    engine: Arc<PanickingEngine>,
    tasks: JoinSet<()>,
}

impl Stage {
    /// Wants one deployment of each name, and lets the loop run. The first one is the victim.
    fn start(names: [&'static str; 3]) -> Self {
        let engine = Arc::new(PanickingEngine {
            inner: SimulatedEngine::default(),
            victim: names[0],
            is_panicking: AtomicBool::new(true),
        });
        let identity = Identity { instance: "main".parse().unwrap(), key: [7; 32] };
        let (store, board) = (Store::in_memory().unwrap(), Arc::new(Board::default()));
        let clock = Clock::starting_at(1_700_000_000_000);
        let metrics = Metrics::default();
        let shared = Arc::clone(&engine);
        let core = Arc::new(Core::new(World::new(identity), shared, store, board, metrics.clone(), clock, 1));
        for name in names {
            want(&core, name);
        }
        let reflector = Arc::new(Reflector::new(Arc::clone(&core), Duration::from_mins(5)));
        let executor = Executor::new(Arc::clone(&core.engine), metrics, 4);
        let reconciler = Arc::new(Reconciler::new(Arc::clone(&core), executor, Arc::clone(&reflector)));
        let mut tasks = JoinSet::new();
        let waking = Arc::clone(&core);
        tasks.spawn(reflector.run(move || wake_all(&waking)));
        tasks.spawn(reconciler.run());
        Self { core, engine, tasks }
    }

    fn reason(&self, name: &str) -> String {
        let record = self.core.board.object(&key(name)).unwrap();
        let ready = record.status.condition(ConditionType::Ready);
        ready.map(|ready| ready.reason.clone()).unwrap_or_default()
    }

    /// Lets virtual time go by until something holds, at most ten minutes of it.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_mins(10), "never: {what}");
            sleep(Duration::from_millis(100)).await;
        }
    }
}

fn wake_all(core: &Core) {
    let keys = core.world().all_keys();
    for key in &keys {
        core.wake(key);
    }
}

fn key(name: &str) -> ObjectKey {
    format!("Deployment/{name}").parse().unwrap()
}

fn want(core: &Core, name: &str) {
    let text = format!(
        "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\nspec: {{ image: \"{name}:1\" }}\n"
    );
    let file = crds_schema::load(&ManifestFile { name: "a.yaml", directory: "/srv", bytes: text.as_bytes() });
    let object = &file.objects[0];
    core.world().set_desired(object);
    core.board.put_object(ObjectRecord {
        key: object.key(),
        manifest: object.to_json(),
        source: SourceLocation::default(),
        created_ms: 0,
        status: ObjectStatus { generation: 1, ..ObjectStatus::default() },
    });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_pass_is_caught_and_told_and_the_others_converge() {
    let stage = Stage::start(["bad", "good", "fine"]);
    stage
        .until("the others converge", |stage| ["good", "fine"].map(|name| stage.reason(name)) == ["Converged"; 2])
        .await;
    assert_eq!(stage.reason("bad"), "InternalError");
    let record = stage.core.board.object(&key("bad")).unwrap();
    assert!(record.status.last_error.as_ref().is_some_and(|error| error.contains("a fault of Evenkeel")), "{record:?}");
    assert!(record.status.next_retry_ms.is_some(), "{record:?}");
    let told = stage.core.board.events(Some(&key("bad")), 0);
    assert!(told.iter().any(|event| event.reason == "InternalError"), "{told:?}");
    assert_eq!(stage.core.store.open_intents().unwrap(), [], "a pass that panicked is over");
    let interrupted = |pass: &crate::store::record::FinishedPass| pass.intent.key == key("bad");
    assert!(stage.core.store.finished_passes().unwrap().iter().any(interrupted), "and is written down");
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_passes_panic_is_tried_less_and_less_often() {
    let stage = Stage::start(["bad", "good", "fine"]);
    let mut caught_by = Vec::new();
    for _ in 0..4 {
        sleep(Duration::from_mins(15)).await;
        caught_by.push(stage.core.metrics.panics_caught.get());
    }
    // 1 s, doubled up to 5 min, each a fifth shorter or longer: then 3 or 4 tries in a quarter of an hour.
    assert!((8..=14).contains(&caught_by[0]), "{caught_by:?}");
    let later: Vec<u64> = caught_by.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(later.iter().all(|tries| (2..=4).contains(tries)), "{caught_by:?}");
    assert_eq!(stage.core.queue.depth().1, 0, "no key is left as running");
}

#[tokio::test(start_paused = true)]
async fn an_object_converges_when_its_passes_panic_no_more() {
    let mut stage = Stage::start(["bad", "good", "fine"]);
    stage.until("three panics", |stage| stage.core.metrics.panics_caught.get() >= 3).await;
    stage.engine.is_panicking.store(false, Ordering::Relaxed);
    stage.until("it converges", |stage| stage.reason("bad") == "Converged").await;
    assert_eq!(stage.engine.inner.all_container_ids().len(), 3);
    let record = stage.core.board.object(&key("bad")).unwrap();
    assert_eq!((record.status.last_error.clone(), record.status.next_retry_ms), (None, None));
    assert!(stage.tasks.try_join_next().is_none(), "the loop and the reflector go on");
}
