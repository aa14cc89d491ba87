//! The simulated world: an Engine, a disk, a directory of manifests, and controllers that come and go.

use std::sync::Arc;
use std::time::Duration;

use controller::board::Board;
use controller::clock::Clock;
use controller::controller::{Controller, ControllerError, Exclusion, Mode, Parts, Settings};
use controller::engine::simulated::{
    AtStopSignal, HealthScript, Healthcheck, ImageConfig, Latency, Program, RegistryImage, SimulatedConfig,
    SimulatedEngine,
};
use controller::holder::Holder;
use controller::intake::PruneSettings;
use controller::metrics::Metrics;
use controller::once::Outcome;
use controller::status::ObjectRecord;
use controller::store::Store;
use controller::store::memory::MemoryKv;
use controller::user_word::UserWord;
use planner::ownership::Identity;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::conduct::Conduct;
use super::disk::{ProcessKv, survivor};
use super::faults::Faults;
use super::files::{Files, ProcessSource};
use super::life::Life;
use super::mutants::Mutant;
use super::mutants::broken_engine::BrokenEngine;
use super::mutants::broken_source::Distortion;
use super::oracle::Oracle;
use super::process_engine::{LastAnswers, ProcessEngine};
use super::told::Told;
use super::trace::Trace;

/// How often a controller lists everything.
pub(crate) const RESYNC: Duration = Duration::from_secs(30);
/// What the clocks show when a simulation begins.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// The instance of the first controller.
pub(crate) const INSTANCE: &str = "default";

/// The data directory of the first controller.
const DATA_DIR: &str = "data-dir-1";

/// The world of one run.
pub(crate) struct Sim {
    pub(crate) engine: SimulatedEngine,
    pub(crate) files: Files,
    pub(crate) faults: Faults,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) random: fastrand::Rng,
    /// The disk of the first data directory.
    pub(crate) disk: MemoryKv,
    /// The next start finds the store new, or not as it was left.
    pub(crate) is_restricted: bool,
    pub(crate) running: Option<Process>,
    /// By how much the next controller's wall clock differs from the Engine's.
    pub(crate) clock_skew_ms: i64,
    pub(crate) commit_time: Duration,
    /// What is broken on purpose, to show that a check sees it.
    pub(crate) mutant: Option<Mutant>,
    pub(crate) told: Told,
    next_pid: u32,
    origin: Instant,
}

/// A controller process.
pub(crate) struct Process {
    pub(crate) life: Life,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: Metrics,
    pub(crate) disk: MemoryKv,
    pub(crate) task: JoinHandle<Result<Outcome, ControllerError>>,
    words: Option<oneshot::Receiver<mpsc::Sender<UserWord>>>,
    say: Option<mpsc::Sender<UserWord>>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) pid: u32,
}

/// How a controller is started, beside the world.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) instance: &'static str,
    pub(crate) data_dir_id: &'static str,
    pub(crate) disk: MemoryKv,
    pub(crate) exclusion: Exclusion,
    pub(crate) is_restricted: bool,
}

impl Sim {
    /// A world with an empty Engine.
    pub(crate) fn new(seed: u64, is_trace_kept: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let trace = Trace::new(is_trace_kept);
        let latency = match random.u8(0..4) {
            0 => Latency::none(),
            1 => Latency { read_ms: 40, create_ms: 900, start_ms: 4_000, network_ms: 700, ..Latency::like_docker() },
            _ => Latency::like_docker(),
        };
        let commit_time = Duration::from_millis(random.u64(0..4));
        let config = SimulatedConfig { seed, epoch_ms: EPOCH_MS, latency, calls_kept: 0, default_program: program() };
        let engine = SimulatedEngine::new(config);
        add_images(&engine);
        let oracle = Oracle::new(trace.clone());
        engine.set_witness(oracle.witness());
        let faults = Faults::new(random.u64(..), trace.clone());
        engine.set_faults(faults.plan());
        Self {
            engine,
            files: Files::default(),
            faults,
            oracle,
            trace,
            random,
            disk: MemoryKv::default(),
            is_restricted: true,
            running: None,
            clock_skew_ms: 0,
            commit_time,
            mutant: None,
            told: Told::default(),
            next_pid: 100,
            origin: Instant::now(),
        }
    }

    /// Starts the controller of the first data directory, which must not run.
    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        self.told.begin(self.is_restricted);
        let start = Start {
            instance: INSTANCE,
            data_dir_id: DATA_DIR,
            disk: self.disk.clone(),
            exclusion: Exclusion::Lease,
            is_restricted: self.is_restricted,
        };
        self.running = Some(self.start_process(start));
    }

    /// Starts a controller.
    pub(crate) fn start_process(&mut self, start: Start) -> Process {
        self.next_pid += 1;
        let pid = self.next_pid;
        if start.data_dir_id != DATA_DIR {
            // Another store counts its own generations.
            self.told.begin(true);
        }
        self.oracle.began(start.disk.clone());
        let life = Life::default();
        let (oracle, trace) = (self.oracle.clone(), self.trace.clone());
        trace.say(&format!("start {pid}"));
        trace.count("controller: start");
        let engine = ProcessEngine {
            inner: self.engine.for_actor(pid),
            life: life.clone(),
            faults: self.faults.clone(),
            oracle: oracle.clone(),
            trace: trace.clone(),
            disk: start.disk.clone(),
            last_answers: LastAnswers::default(),
            pid,
            instance: start.instance,
            conduct: Conduct::default(),
            engine_id: "SIMU:LATE:DENG:INE0".to_owned(),
        };
        let now_ms = i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX);
        let clock = Clock::starting_at(EPOCH_MS + now_ms + self.clock_skew_ms);
        let engine = super::process_engine::shared(engine);
        let engine = match self.mutant {
            None => engine,
            Some(mutant) => BrokenEngine::shared(mutant, engine, self.engine.clone(), clock),
        };
        let kv = ProcessKv {
            kv: start.disk.clone(),
            life: life.clone(),
            trace: trace.clone(),
            oracle: oracle.clone(),
            mutant: self.mutant,
        };
        let board = Arc::new(Board::default());
        let metrics = Metrics::register(&mut Registry::default());
        let distortion = Distortion::of(self.mutant);
        let source = ProcessSource { files: self.files.clone(), life: life.clone(), oracle, trace, distortion };
        let is_reckless = self.mutant == Some(Mutant::PrunesUnasked);
        let (limit_percent, delay_ms) = if is_reckless { (100, 120_000) } else { (30, 10_000) };
        let parts = Parts {
            identity: Identity { instance: start.instance.parse().expect("a name"), key: [7; 32] },
            me: holder(pid, start.instance),
            data_dir_id: start.data_dir_id.to_owned(),
            engine,
            store: Store::over_simulated(super::disk::shared(kv), self.commit_time).expect("it can be read"),
            recovery: None,
            is_restricted: start.is_restricted,
            source: Some(Arc::new(source)),
            board: Arc::clone(&board),
            metrics: metrics.clone(),
            clock,
            mcp_dir: None,
            settings: Settings {
                resync: if self.mutant == Some(Mutant::LooksOnlyOnce) { RESYNC * 10_000 } else { RESYNC },
                start_concurrency: 4,
                prune: PruneSettings { limit_percent, delay_ms },
                mode: Mode::Continuous,
                exclusion: start.exclusion,
            },
        };
        let (told, mut stopped) = oneshot::channel::<()>();
        let (tell_words, words) = oneshot::channel();
        let task = tokio::spawn(async move {
            // Until it runs, a signal ends it as it ends any program.
            let controller = tokio::select! {
                biased;
                _ = &mut stopped => return Ok(Outcome::Converged),
                opened = Controller::open(parts) => opened?,
            };
            // Nobody may want to say anything.
            drop(tell_words.send(controller.words()));
            controller.run(async { stopped.await.unwrap_or(()) }).await
        });
        Process { life, board, metrics, disk: start.disk, task, words: Some(words), say: None, stop: Some(told), pid }
    }

    /// Kills the controller. What of its store was not durable may be lost.
    pub(crate) async fn kill(&mut self) {
        let Some(process) = self.running.take() else { return };
        self.trace.say(&format!("kill {}", process.pid));
        self.trace.count("controller: kill");
        process.end().await;
        // What was told and not durable may be forgotten.
        self.told.begin(true);
        self.disk = survivor(&self.disk, &mut self.random, &self.trace);
    }

    /// Tells the controller to end, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let Some(mut process) = self.running.take() else { return };
        self.trace.say(&format!("stop {}", process.pid));
        self.trace.count("controller: stop");
        let stop = process.stop.take();
        // One that is deaf has the signal for as long as it likes.
        let unheard = match stop {
            Some(stop) if self.mutant != Some(Mutant::HearsNoSignal) => {
                // It may have ended.
                stop.send(()).unwrap_or(());
                None
            }
            other => other,
        };
        process.life.set_frozen(false);
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut process.task).await;
        // One that was to die at a point has died there, and waits for nothing any more.
        if ended.is_err() && !process.life.is_dead() {
            self.oracle.accuse("L9: told to end, the controller still runs after 10 s".to_owned());
        }
        drop(unheard);
        process.end().await;
        self.disk = self.disk.crash_keeping(usize::MAX);
        if self.mutant == Some(Mutant::BeginsAnew) {
            self.disk = MemoryKv::default();
        }
        let counts = self.trace.counts();
        if ["fault: disk full", "fault: broken store handle"].iter().any(|fault| counts.contains_key(fault)) {
            // What it could not write is forgotten.
            self.told.begin(true);
        }
        self.is_restricted = false;
    }

    /// Whether the controller has ended, of itself or at the point where it was to die; then it is forgotten.
    pub(crate) async fn bury_the_dead(&mut self) -> bool {
        let is_over = self.running.as_ref().is_some_and(|process| process.life.is_dead() || process.task.is_finished());
        if is_over {
            self.trace.count("controller: died");
            self.kill().await;
        }
        is_over || self.running.is_none()
    }

    /// Does what a user does who is asked whether prune may go on.
    pub(crate) fn confirm_prune(&mut self) {
        let Some(process) = &mut self.running else { return };
        let Some(held) = process.board.controller().prune_held else { return };
        if !self.oracle.is_last_reading_whole() {
            return;
        }
        self.oracle.confirm();
        self.trace.count("user: confirm prune");
        process.say(UserWord::ConfirmPrune(held.token));
    }

    /// Does what a user does who is told that a spec was taken back that would serve by now.
    pub(crate) fn retry_rollouts(&mut self) {
        let Some(process) = &mut self.running else { return };
        let is_rolled_back = |record: &Arc<ObjectRecord>| record.rolled_back.is_some();
        let Some(record) = process.board.objects().into_iter().find(is_rolled_back) else { return };
        self.trace.count("user: retry rollout");
        process.say(UserWord::RetryRollout(record.key.clone()));
    }

    /// Lets time pass.
    pub(crate) async fn pass_time(&mut self, time: Duration) {
        sleep(time).await;
        self.look_at_what_is_told();
    }
}

impl Process {
    /// Ends everything of it at once, as a kill does.
    pub(crate) async fn end(self) {
        self.life.kill();
        self.task.abort();
        // What is aborted is dropped, and with it everything that it spawned.
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }

    /// Says something to it, as a user does.
    pub(crate) fn say(&mut self, word: UserWord) {
        if self.say.is_none()
            && let Some(mut words) = self.words.take()
        {
            self.say = words.try_recv().ok();
        }
        if let Some(say) = &self.say {
            // Whoever is not heard says it again, and a process that has ended hears nothing.
            drop(say.try_send(word));
        }
    }
}

/// A process of a host that nobody can look into from here.
fn holder(pid: u32, instance: &str) -> Holder {
    Holder {
        host: "simulated".to_owned(),
        boot_id: "boot-of-a-simulation".to_owned(),
        pid_namespace: format!("pid:[{pid}]"),
        pid,
        started_ticks: u64::from(pid),
        instance: instance.parse().expect("a name"),
    }
}

fn program() -> Program {
    Program { at_stop_signal: AtStopSignal::Exits { after_ms: 50, code: 0 }, ..Program::forever() }
}

/// What the registry has.
fn add_images(engine: &SimulatedEngine) {
    engine.set_program("app:1", program());
    engine.set_program("app:2", program());
    engine.set_program("slow:1", Program::ignoring_stop());
    engine.set_program("crash:1", Program::exiting(800, 1).printing("it crashed"));
    engine.set_program("broken:1", Program::missing("/nowhere"));
    let checked = ImageConfig { healthcheck: Some(Healthcheck::every(2_000, 2)), ..ImageConfig::plain() };
    let healthy = program().with_health(HealthScript::PassesAfter(3_000));
    engine.set_registry_image("health:1", RegistryImage::Present(checked.clone(), healthy));
    engine.set_registry_image("sick:1", RegistryImage::Present(checked, program().with_health(HealthScript::Fails)));
    engine.set_registry_image("absent:1", RegistryImage::Absent);
    let throttled = "toomanyrequests: You have reached your pull rate limit".to_owned();
    engine.set_registry_image("throttled:1", RegistryImage::Fails(throttled));
}

/// Images whose containers come up.
pub(crate) const GOOD_IMAGES: [&str; 4] = ["app:1", "app:2", "slow:1", "health:1"];
/// Images of which nothing good comes.
pub(crate) const BAD_IMAGES: [&str; 5] = ["crash:1", "broken:1", "sick:1", "absent:1", "throttled:1"];
