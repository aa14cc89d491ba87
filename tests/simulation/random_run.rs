//! One random run, in two phases: first anything goes wrong and nothing may be done that is not allowed; then nothing goes wrong any
//! more, and the world must become as wanted, say so, and be left alone.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use controller::engine::simulated::DaemonRestart;
use controller::store::memory::{Fault, MemoryKv};
use crds_schema::ObjectKey;
use tokio::time::Instant;

use super::faults::Rates;
use super::files::File;
use super::meddler::Meddler;
use super::random_wanted::{change, mended, pick, platform};
use super::sim::Sim;
use super::trace::{Counts, Fingerprint};
use super::wanted::Wanted;

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Report {
    /// What was not as it must be.
    pub(crate) failures: Vec<String>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) counts: Counts,
    pub(crate) trace: String,
}

/// Runs a seed.
pub(crate) fn run_seed(seed: u64, is_trace_kept: bool) -> Report {
    run_simulation(move || async move {
        let mut sim = Sim::new(seed, is_trace_kept);
        let outcome = random_run(&mut sim).await;
        let mut failures = sim.oracle.violations();
        failures.extend(outcome.err());
        Report {
            failures,
            fingerprint: Some(sim.trace.fingerprint()),
            counts: sim.trace.counts(),
            trace: sim.trace.text(),
        }
    })
}

/// Runs a simulation to its end on a runtime of its own; a panic is a failure.
pub(crate) fn run_simulation<F: Future<Output = Report>>(body: impl FnOnce() -> F) -> Report {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime without any system").block_on(body())
    };
    std::panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        let failures = vec![format!("panicked: {text}")];
        Report { failures, fingerprint: None, counts: Counts::new(), trace: String::new() }
    })
}

async fn random_run(sim: &mut Sim) -> Result<(), String> {
    let mut run = Run {
        wanted: platform(&mut sim.random),
        meddler: Meddler::default(),
        backup: None,
        hidden: None,
        thaw_at: None,
    };
    sim.files.write(&run.wanted);
    sim.start();
    if sim.random.bool() {
        sim.faults.set_rates(rates(&mut sim.random));
    }
    for _ in 0..sim.random.u32(6..18) {
        let pause_ms = [200, 3_000, 20_000][sim.random.usize(0..3)];
        let pause = Duration::from_millis(sim.random.u64(0..pause_ms));
        sim.pass_time(pause).await;
        run.look_after_the_process(sim).await;
        run.happen(sim).await;
        if !sim.oracle.violations().is_empty() {
            return Ok(());
        }
    }
    run.heal(sim).await;
    sim.converge(&run.wanted).await?;
    sim.stay_quiet(&run.wanted).await
}

struct Run {
    wanted: Wanted,
    meddler: Meddler,
    /// An earlier state of the disk.
    backup: Option<MemoryKv>,
    /// The files, while the directory is empty.
    hidden: Option<BTreeMap<String, File>>,
    /// When a frozen process goes on.
    thaw_at: Option<Instant>,
}

impl Run {
    /// What looks after processes starts those that ended, after a while.
    async fn look_after_the_process(&mut self, sim: &mut Sim) {
        if self.thaw_at.is_some_and(|at| at <= Instant::now()) {
            self.thaw_at = None;
            if let Some(process) = &sim.running {
                process.life.set_frozen(false);
            }
        }
        if sim.bury_the_dead().await && sim.random.u8(0..3) > 0 {
            sim.start();
        }
    }

    async fn happen(&mut self, sim: &mut Sim) {
        match sim.random.u8(0..36) {
            0..=9 => self.edit(sim),
            10..=18 => self.meddler.meddle(sim),
            19 => self.break_a_file(sim),
            20 => self.trouble_the_directory(sim),
            21..=23 => self.kill(sim).await,
            24 => sim.stop().await,
            25 => self.freeze(sim),
            26 | 27 => self.trouble_the_store(sim).await,
            28 => restart_daemon(sim),
            29 => {
                sim.engine.cut_event_streams();
                sim.trace.count("fault: cut stream");
            }
            30 | 31 => {
                let rates = if sim.random.u8(0..3) == 0 { Rates::default() } else { rates(&mut sim.random) };
                sim.faults.set_rates(rates);
            }
            32 => release(sim),
            33 => {
                let days = [-1, 0, 1][sim.random.usize(0..3)];
                sim.clock_skew_ms = days * 86_400_000 + sim.random.i64(-5_000..5_000);
                sim.trace.count("fault: wall clock moved");
            }
            34 => {
                let time = Duration::from_millis(sim.random.u64(0..30_000));
                sim.faults.stall(time);
            }
            _ => {
                if sim.random.u8(0..4) == 0 {
                    sim.confirm_prune();
                }
                let silent = sim.random.bool();
                sim.files.set_silent(silent);
                sim.files.set_read_time(Duration::from_millis(sim.random.u64(0..40)));
                sim.trace.count("fault: silent directory");
            }
        }
    }

    fn edit(&self, sim: &mut Sim) {
        let mut wanted = self.wanted.clone();
        for _ in 0..sim.random.u8(1..3) {
            change(&mut wanted, &mut sim.random);
        }
        self.write_changes(sim, &wanted);
    }

    fn write_changes(&self, sim: &Sim, wanted: &Wanted) {
        sim.trace.say("user edits");
        sim.trace.count("user: edit");
        for (key, spec) in &wanted.objects {
            if self.wanted.objects.get(key) != Some(spec) {
                sim.files.write_object(key, spec);
            }
        }
        for key in self.wanted.objects.keys().filter(|key| !wanted.objects.contains_key(*key)) {
            sim.files.remove_object(key);
        }
    }

    fn break_a_file(&self, sim: &mut Sim) {
        let keys: Vec<&ObjectKey> = self.wanted.objects.keys().collect();
        let Some(key) = pick(&keys, &mut sim.random) else { return };
        let text = self.wanted.objects[*key].manifest(key);
        let broken = match sim.random.u8(0..4) {
            0 => String::new(),
            1 => text[..text.len() / 2].to_owned(),
            2 => text.replace("\"spec\"", "\"spek\""),
            _ => "\u{0}\u{1}".to_owned(),
        };
        sim.files.break_object(key, &broken);
        sim.trace.count("fault: broken file");
    }

    fn trouble_the_directory(&mut self, sim: &mut Sim) {
        if let Some(files) = self.hidden.take() {
            sim.files.swap(files);
            return;
        }
        match sim.random.u8(0..3) {
            0 => {
                self.hidden = Some(sim.files.swap(BTreeMap::new()));
                sim.trace.count("fault: empty directory");
            }
            1 => {
                sim.files.set_problem(Some("permission denied"));
                sim.trace.count("fault: unreadable directory");
            }
            _ => sim.files.set_problem(None),
        }
    }

    async fn kill(&mut self, sim: &mut Sim) {
        if sim.random.bool() {
            sim.kill().await;
        } else if let Some(process) = &sim.running {
            let after = sim.random.u64(1..150);
            process.life.kill_after(after);
            sim.trace.count("fault: killed at a point");
        }
    }

    fn freeze(&mut self, sim: &mut Sim) {
        let Some(process) = &sim.running else { return };
        process.life.set_frozen(true);
        let time = Duration::from_millis(sim.random.u64(0..90_000));
        self.thaw_at = Some(Instant::now() + time);
        sim.trace.count("fault: frozen controller");
    }

    async fn trouble_the_store(&mut self, sim: &mut Sim) {
        match sim.random.u8(0..7) {
            0 => {
                sim.disk.inject(Fault::NoSpace);
                sim.trace.count("fault: disk full");
            }
            1 => {
                sim.disk.inject(Fault::BrokenHandle);
                sim.trace.count("fault: broken store handle");
            }
            2 => sim.disk.inject(Fault::None),
            3 => {
                self.backup = Some(sim.disk.crash_keeping(usize::MAX));
            }
            4 => {
                sim.kill().await;
                sim.disk = MemoryKv::default();
                sim.is_restricted = true;
                sim.trace.count("fault: store lost");
            }
            5 => {
                let Some(backup) = self.backup.take() else { return };
                sim.kill().await;
                sim.disk = backup;
                sim.is_restricted = true;
                sim.trace.count("fault: store from a backup");
            }
            _ => {
                sim.kill().await;
                let records = sim.disk.durable("");
                if let Some((key, _)) = pick(&records, &mut sim.random) {
                    sim.disk.corrupt(key, b"{\"v\":1,\"dat");
                    // A damaged record is found when the store is opened, which then counts as repaired.
                    sim.is_restricted = true;
                    sim.trace.count("fault: damaged record");
                }
            }
        }
    }

    /// Nothing goes wrong any more, and what went wrong is over.
    async fn heal(&mut self, sim: &mut Sim) {
        sim.trace.say("healed");
        sim.faults.set_rates(Rates::default());
        sim.disk.inject(Fault::None);
        if let Some(process) = &sim.running {
            process.life.set_frozen(false);
        }
        sim.files.set_problem(None);
        sim.files.set_silent(sim.random.bool());
        sim.files.set_read_time(Duration::ZERO);
        self.meddler.leave(sim);
        for id in sim.engine.all_container_ids() {
            if sim.engine.peek(&id).is_some_and(|container| sim.is_lost_to_us(&container)) {
                // It may hold a port; whoever renamed it sees to it.
                drop(sim.engine.external_remove(&id));
                sim.trace.count("gap: renamed before its id was durable");
            }
        }
        self.wanted = mended(self.wanted.clone(), &mut sim.random);
        sim.files.write(&self.wanted);
        release(sim);
        let late_until = sim.faults.late_until();
        if late_until > Instant::now() {
            tokio::time::sleep_until(late_until).await;
        }
        // What waited behind the first may hang again.
        release(sim);
    }
}

fn release(sim: &Sim) {
    for id in sim.faults.take_hung() {
        sim.engine.release(&id);
    }
}

fn restart_daemon(sim: &mut Sim) {
    let time = Duration::from_millis(sim.random.u64(0..8_000));
    sim.faults.stall(time);
    let restart = if sim.random.bool() { DaemonRestart::StopsAll } else { DaemonRestart::KeepsAll };
    sim.trace.count(match restart {
        DaemonRestart::StopsAll => "fault: daemon restarted",
        DaemonRestart::KeepsAll => "fault: daemon restarted live",
    });
    sim.engine.external_restart_daemon(restart);
}

/// How often what goes wrong; some of it not at all.
fn rates(random: &mut fastrand::Rng) -> Rates {
    let most = [10, 40, 150][random.usize(0..3)];
    let mut rate = || if random.u8(0..3) == 0 { random.u32(0..most) } else { 0 };
    Rates {
        fail: rate(),
        unreachable: rate(),
        drop_request: rate(),
        drop_reply: rate(),
        late: rate(),
        hang: rate() / 3,
        slow: rate(),
        stale_list: rate(),
        stale_inspect: 0,
        lose_event: rate() * 3,
        repeat_event: rate(),
        reorder_event: rate(),
        delay_event: rate(),
        freeze_stream: rate() / 4,
        cut_stream: rate() / 4,
        garbage_event: rate(),
    }
}
