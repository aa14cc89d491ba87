//! `kill -9` at any moment: what the next controller finds, it brings to its end, without a duplicate, an orphan or a lost volume.

#![expect(clippy::unwrap_used, reason = "a test says what fails by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::engine::{TestBed, Which, eventually};
use crate::support::scene::{NOTHING, PATIENCE, object, scene, sleeper};
use crate::support::seen::Seen;
use crate::support::setting;

/// How often the controller is killed, where `EVENKEEL_CRASHES` does not say otherwise.
const CRASHES: u32 = 100;
/// How many kills come between two times at which the world must have converged.
const CRASHES_A_ROUND: u32 = 5;
/// The longest that a controller lives before it is killed.
const LONGEST_LIFE_MS: u64 = 1_500;
/// How long a controller is given to come to its first step.
const LONGEST_WAIT_FOR_STEP: Duration = Duration::from_millis(1_500);
/// Deployments that write to a volume of their own, so that they are replaced stop-first.
const WRITERS: [&str; 4] = ["writer-0", "writer-1", "writer-2", "writer-3"];
/// Deployments beside which a new container can start.
const SERVERS: [&str; 2] = ["server-0", "server-1"];
/// A deployment that is scaled up and down, and not changed otherwise.
const SCALED: &str = "server-2";

/// What the manifests ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// A number that every container has in its environment.
    version: u32,
    /// Whether only the first writer, and the volumes but one, are wanted.
    is_reduced: bool,
}

impl Wanted {
    /// What the rounds ask for in turn: everything, everything changed, a part, and again.
    fn of_round(round: u32) -> Self {
        Self { version: round, is_reduced: round % 3 == 2 }
    }

    fn deployments(self) -> BTreeMap<&'static str, usize> {
        let writers = WRITERS.into_iter().map(|name| (name, 1));
        if self.is_reduced {
            return writers.take(1).collect();
        }
        let servers = SERVERS.into_iter().map(|name| (name, 1));
        writers.chain(servers).chain([(SCALED, if self.version.is_multiple_of(2) { 2 } else { 3 })]).collect()
    }

    /// Twelve objects, a file each; those that are not wanted have none.
    fn write(self, bed: &TestBed) {
        let version = format!("env: {{ VERSION: \"{}\" }}", self.version);
        let deployments = self.deployments();
        let mut files: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (number, name) in WRITERS.into_iter().enumerate() {
            let volume = format!("data-{number}");
            let more = format!("{version}\nmounts: [{{ volume: {volume}, path: /data }}]");
            files.insert(name.to_owned(), deployments.contains_key(name).then(|| sleeper(name, &more)));
            let is_wanted = !(self.is_reduced && number == 3);
            files.insert(volume.clone(), is_wanted.then(|| object("Volume", &volume, "spec: {}\n")));
        }
        for name in SERVERS {
            let more = format!("{version}\nnetworks: [back]");
            files.insert(name.to_owned(), deployments.contains_key(name).then(|| sleeper(name, &more)));
        }
        let to_scaled = |replicas| sleeper(SCALED, &format!("replicas: {replicas}\nnetworks: [back]"));
        files.insert(SCALED.to_owned(), deployments.get(SCALED).map(to_scaled));
        let network = object("Network", "back", "spec: { internal: true }\n");
        files.insert("back".to_owned(), (!self.is_reduced).then_some(network));
        assert_eq!(files.len(), 12);
        for (name, text) in files {
            let file = format!("{name}.yaml");
            match text {
                Some(text) => bed.write(&file, &text),
                None if bed.manifests().join(&file).exists() => bed.remove(&file),
                None => {}
            }
        }
    }

    /// What still differs from what is wanted, by Docker's own account.
    fn differences(self, bed: &TestBed) -> Vec<String> {
        let mut differences = Vec::new();
        let deployments = self.deployments();
        let wanted: usize = deployments.values().sum();
        let all = bed.seen();
        if all.len() != wanted {
            differences.push(format!("{} containers instead of {wanted}", all.len()));
        }
        for (name, replicas) in deployments {
            let version = if name == SCALED { String::new() } else { self.version.to_string() };
            let of_name = all.iter().filter(|container| container.object == name);
            let is_good = |container: &&Seen| container.status == "running" && container.variable("VERSION") == version;
            let good = of_name.filter(is_good).count();
            if good != replicas {
                differences.push(format!("{name}: {good} of {replicas} run as wanted"));
            }
        }
        let networks = bed.network_names().len();
        if networks != usize::from(!self.is_reduced) {
            differences.push(format!("{networks} networks"));
        }
        differences
    }
}

/// The names of the volumes.
fn volumes(bed: &TestBed) -> BTreeSet<String> {
    bed.volume_names().into_iter().collect()
}

/// Adds a line to what each writer that is wanted has in its volume, and fails the test where one of an earlier round is gone.
fn check_data(bed: &TestBed, wanted: Wanted, lines: &mut BTreeMap<&'static str, String>) {
    for name in WRITERS.into_iter().filter(|name| wanted.deployments().contains_key(name)) {
        let id = bed.await_running(name, 1).remove(0);
        let script = format!("touch /data/log; cat /data/log; echo {} >>/data/log", wanted.version);
        let found = bed.docker(&["exec", &id, "/bin/sh", "-c", &script]);
        let expected = lines.entry(name).or_default();
        assert_eq!(found, expected.trim(), "what {name} has in its volume");
        writeln!(expected, "{}", wanted.version).unwrap();
    }
}

/// How many steps the controllers of a bed have told of.
fn steps_done(bed: &TestBed) -> usize {
    bed.log().matches("step done").count()
}

/// Waits for the next step, or for a while: perhaps nothing is left to do.
fn await_step(bed: &TestBed, before: usize) {
    let deadline = Instant::now() + LONGEST_WAIT_FOR_STEP;
    while steps_done(bed) == before && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn whenever_the_controller_is_killed_the_next_one_converges_without_a_duplicate_an_orphan_or_a_lost_volume() {
    let Some(mut bed) = scene("whenever_the_controller_is_killed") else { return };
    let crashes = setting::number("EVENKEEL_CRASHES").and_then(|crashes| u32::try_from(crashes).ok());
    let crashes = crashes.unwrap_or(CRASHES);
    let seed = setting::seed("EVENKEEL_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    let began = Instant::now();
    let arguments = ["--prune-delay", "0s", "--prune-limit", "100%", "--log-level", "info"];
    let mut known_volumes = BTreeSet::new();
    let mut lines = BTreeMap::new();
    for round in 0..crashes.div_ceil(CRASHES_A_ROUND) {
        let wanted = Wanted::of_round(round);
        wanted.write(&bed);
        for crash in 0..CRASHES_A_ROUND.min(crashes - round * CRASHES_A_ROUND) {
            let steps = steps_done(&bed);
            bed.start_with(&arguments);
            // Every other one is killed in the midst of its work, however long a busy machine needs to come to that.
            if crash % 2 == 1 {
                await_step(&bed, steps);
            }
            // How long it lives is what the test is about: it waits for nothing.
            thread::sleep(Duration::from_millis(random.u64(1..LONGEST_LIFE_MS)));
            bed.kill();
            let now = volumes(&bed);
            assert!(
                now.is_superset(&known_volumes),
                "seed {seed}, round {round}: lost: {known_volumes:?}, now {now:?}"
            );
            known_volumes = now;
        }
        bed.start_with(&arguments);
        let what = format!("seed {seed}, round {round}: the world is as wanted");
        let mut last = Vec::new();
        eventually(&what, PATIENCE, || {
            let differences = wanted.differences(&bed);
            if differences != last {
                last.clone_from(&differences);
                writeln!(std::io::stderr(), "round {round}: {differences:?}").unwrap();
            }
            differences.is_empty().then_some(())
        });
        for name in wanted.deployments().keys() {
            bed.await_ready("Deployment", name);
        }
        // Nothing comes back, and nothing more goes, once all is said to be ready.
        assert_eq!(wanted.differences(&bed), NOTHING, "seed {seed}, round {round}");
        let now = volumes(&bed);
        assert_eq!(now.len(), WRITERS.len(), "seed {seed}, round {round}: {now:?}");
        check_data(&bed, wanted, &mut lines);
        known_volumes = now;
        bed.kill();
    }
    assert!(bed.containers(Which::Running, &[]).len() >= Wanted::of_round(2).deployments().len());
    let took = began.elapsed().as_secs();
    writeln!(std::io::stderr(), "{crashes} crashes in {took} s, seed {seed}").unwrap();
}
