//! Walks through valid states: the way to a state is not seen in it, whatever was wanted before, went wrong, or was told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use controller::engine::simulated::SimulatedEngine;
use crds_schema::{Kind, ObjectKey};
use planner::observed::{ContainerDetail, ContainerState};

use super::faults::Rates;
use super::random_run::{Report, run_simulation};
use super::random_wanted::{change, mended, pick, platform};
use super::sim::{BAD_IMAGES, RESYNC, Sim};
use super::wanted::{Spec, Wanted};

/// How many walks `make test` takes.
const WALKS: u64 = 150;

/// One step of a walk.
#[derive(Debug, Clone)]
enum Step {
    /// Something that can be had: it is waited for.
    Good(Wanted),
    /// Something that cannot be had, for so long.
    Bad(Wanted, Duration),
}

/// What of an Engine does not depend on the way to it, by name.
type State = BTreeMap<String, String>;

#[test]
fn the_way_to_a_state_is_not_seen_in_it() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("EVENKEEL_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("EVENKEEL_WALKS").unwrap_or(WALKS)),
    };
    let next = AtomicU64::new(first);
    let failed: Mutex<Vec<String>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    if let Err(failure) = check_walk(seed) {
                        println!("seed {seed}: {failure}");
                        failed.lock().unwrap().push(format!("seed {seed}: {failure}"));
                    }
                }
            });
        }
    });
    println!("{count} walks from seed {first}");
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {count} walks fail: {failed:#?}", failed.len());
}

/// Takes one walk in several ways.
fn check_walk(seed: u64) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let goals = random_goals(&mut random);
    let (last, before_last) = (goals.len() - 1, goals.len() - 2);
    let bad = Step::Bad(spoiled(&goals[last], &mut random), Duration::from_secs(random.u64(1..120)));
    let mut steps: Vec<Step> = goals.iter().cloned().map(Step::Good).collect();
    let told = [
        ("all events lost", Rates { lose_event: 1_000, ..Rates::default() }),
        ("all events repeated", Rates { repeat_event: 1_000, ..Rates::default() }),
        ("all events swapped", Rates { reorder_event: 1_000, ..Rates::default() }),
    ];
    // One of the three a walk.
    let (name, rates) = told[random.usize(0..told.len())];
    let told = walk(seed, &steps, rates).map_err(|failure| format!("{name}: {failure}"))?;

    // To the end, one back, and by way of something bad to the end again.
    steps.extend([Step::Good(goals[before_last].clone()), bad, Step::Good(goals[last].clone())]);
    let walked = walk(seed, &steps, Rates::default()).map_err(|failure| format!("step by step: {failure}"))?;
    let straight = walk(seed, &[Step::Good(goals[last].clone())], Rates::default())
        .map_err(|failure| format!("straight: {failure}"))?;

    // A volume that was wanted once may have been kept; it is looked at only where it is wanted.
    compare("step by step and straight", &walked[last], &straight[0])?;
    compare("there and back", &walked[before_last], &walked[last + 1])?;
    compare("healed and straight", &walked[last + 2], &straight[0])?;
    compare(&format!("S13: {name} and told"), &told[last], &walked[last])
}

/// Some valid states, each a few changes from the one before.
fn random_goals(random: &mut fastrand::Rng) -> Vec<Wanted> {
    let first = platform(random);
    let mut goals = vec![valid(first, random)];
    for _ in 0..random.usize(2..=5) {
        let mut next = goals[goals.len() - 1].clone();
        for _ in 0..random.u8(1..5) {
            change(&mut next, random);
        }
        goals.push(valid(next, random));
    }
    goals
}

/// The same, so that all of it can be had at once.
fn valid(wanted: Wanted, random: &mut fastrand::Rng) -> Wanted {
    let mut wanted = mended(wanted, random);
    for (key, spec) in &mut wanted.objects {
        // One that has another's name with something behind it may have its port, too.
        if let (Spec::App(app), true) = (spec, key.name.as_str().ends_with("-b")) {
            app.port = None;
        }
    }
    wanted
}

/// The same with images that nothing good comes of, and without some of what it refers to.
fn spoiled(wanted: &Wanted, random: &mut fastrand::Rng) -> Wanted {
    let mut spoiled = wanted.clone();
    for spec in spoiled.objects.values_mut() {
        if let (Spec::App(app), true) = (spec, random.bool()) {
            app.image = BAD_IMAGES[random.usize(0..BAD_IMAGES.len())];
            app.version += 1;
        }
    }
    let is_referred_to = |key: &&ObjectKey| matches!(key.kind, Kind::Network | Kind::Volume);
    let referred_to: Vec<ObjectKey> = wanted.objects.keys().filter(is_referred_to).cloned().collect();
    if let Some(key) = pick(&referred_to, random) {
        spoiled.objects.remove(key);
    }
    spoiled
}

/// Takes the steps one after the other. Returns the state after each good one.
fn walk(seed: u64, steps: &[Step], rates: Rates) -> Result<Vec<State>, String> {
    let mut states = Vec::new();
    let report = run_simulation(|| async {
        let mut sim = Sim::new(seed, false);
        sim.faults.set_rates(rates);
        let outcome = take_steps(&mut sim, steps, &mut states).await;
        let mut failures = sim.oracle.violations();
        failures.extend(outcome.err());
        Report { failures, fingerprint: None, counts: sim.trace.counts(), trace: String::new() }
    });
    if report.failures.is_empty() { Ok(states) } else { Err(format!("{:?}", report.failures)) }
}

async fn take_steps(sim: &mut Sim, steps: &[Step], states: &mut Vec<State>) -> Result<(), String> {
    sim.start();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Good(wanted) => {
                sim.files.write(wanted);
                sim.converge(wanted).await.map_err(|failure| format!("step {index}: {failure}"))?;
                // What it was proved by may go a little later.
                sim.pass_time(RESYNC).await;
                states.push(state_of(&sim.engine, wanted));
            }
            Step::Bad(wanted, time) => {
                sim.files.write(wanted);
                sim.pass_time(*time).await;
            }
        }
    }
    Ok(())
}

fn state_of(engine: &SimulatedEngine, wanted: &Wanted) -> State {
    let mut state = State::new();
    for container in engine.all_container_ids().iter().filter_map(|id| engine.peek(id)) {
        let label = |name: &str| container.config.labels.get(&format!("evenkeel.dev/{name}")).cloned();
        let Some(ordinal) = label("ordinal") else { continue };
        let owner = [label("kind"), label("namespace"), label("name")].map(Option::unwrap_or_default).join("/");
        let clash = state.insert(format!("{owner} #{ordinal}"), text_of(&container));
        if let Some(other) = clash {
            state.insert(format!("{owner} #{ordinal}, another"), other);
        }
    }
    for network in engine.peek_networks() {
        let text = format!("internal {}, options {:?}", network.internal, network.options);
        state.insert(format!("network {}", network.name), text);
    }
    for key in wanted.objects.keys().filter(|key| key.kind == Kind::Volume) {
        state.insert(format!("volume {}", key.engine_name()), format!("{}", engine.has_volume(&key.engine_name())));
    }
    state
}

/// A container without what differs from one to the next of the same sort: ids, names, times and addresses.
fn text_of(container: &ContainerDetail) -> String {
    let config = &container.config;
    let is_up = container.status.state == ContainerState::Running;
    let mut env = config.env.clone();
    env.sort();
    let mut limits = container.limits.clone();
    if !is_up {
        // One that was stopped is disarmed, one that never ran need not be.
        limits.restart.clear();
    }
    let networks: Vec<&String> = container.endpoints.keys().collect();
    format!(
        "up {is_up}, {} {env:?}, networks {networks:?}, mounts {:?}, ports {:?}, {limits:?}",
        config.image, config.mounts, config.port_bindings
    )
}

fn compare(what: &str, one: &State, other: &State) -> Result<(), String> {
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing: Vec<String> = keys
        .into_iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .map(|key| format!("{key}: {:?} against {:?}", one.get(key), other.get(key)))
        .collect();
    if differing.is_empty() { Ok(()) } else { Err(format!("{what}: {differing:#?}")) }
}
