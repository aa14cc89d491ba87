//! Errors and death at single system calls of the store: it recovers, and what runs is neither doubled nor torn down.

use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::engine::{TestBed, Which, eventually};
use crate::support::process::root_or_skip;
use crate::support::scene::{NOTHING, PATIENCE, object, scene, sleeper};

/// How long a controller that is to meet its fault lives at most; whether it has met it is looked at then.
const LONGEST_LIFE: Duration = Duration::from_secs(5);

/// A fault at one call of a kind.
struct Injection {
    call: &'static str,
    /// What strace does to it, such as `error=EIO`.
    what: &'static str,
    /// Which one of them in a thread: strace counts each thread's by itself.
    number: u32,
}

impl Injection {
    fn launcher(&self, trace: &str) -> Vec<String> {
        let Self { call, what, number } = self;
        // With -D the program keeps the process id that its starter knows, and strace is the grandchild.
        let inject = format!("inject={call}:{what}:when={number}");
        let words = ["strace", "-D", "-f", "-o", trace, "-e", &format!("trace={call}"), "-e", &inject];
        words.map(str::to_owned).to_vec()
    }
}

/// A deployment that is scaled between one and two, another that is left alone, and a volume.
fn write_all(bed: &TestBed, replicas: usize) {
    bed.write("kept.yaml", &sleeper("kept", "mounts: [{ volume: data, path: /data }]"));
    bed.write("data.yaml", &object("Volume", "data", "spec: { deletionPolicy: Delete }\n"));
    bed.write("web.yaml", &sleeper("web", &format!("replicas: {replicas}")));
}

/// Waits until everything is as wanted, and fails the test when it is not exactly that.
fn check_all(bed: &TestBed, replicas: usize, kept: &str, what: &str) {
    let web = bed.await_running("web", replicas);
    bed.await_ready("Deployment", "web");
    bed.await_ready("Deployment", "kept");
    assert_eq!(bed.ids(Which::All, "web"), web, "{what}");
    assert_eq!(bed.ids(Which::Running, "kept"), [kept], "{what}");
    assert_eq!(bed.messages("InternalError"), NOTHING, "{what}");
}

/// Starts controllers that meet one fault each, and after each a plain one. Prints how many met theirs.
fn check_injections(test_name: &str, calls: &[(&'static str, u32)], whats: &[&'static str]) {
    let Some(mut bed) = scene(test_name) else { return };
    if !root_or_skip(test_name, &["strace"]) {
        return;
    }
    let seed = std::env::var("EVENKEEL_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut replicas = 1;
    write_all(&bed, replicas);
    bed.start();
    let kept = bed.await_running("kept", 1).remove(0);
    check_all(&bed, replicas, &kept, "before any fault");
    assert!(bed.stop().success());
    let mut met = 0;
    let mut tried = 0;
    for (call, highest) in calls {
        for what in whats {
            let injection = Injection { call, what, number: random.u32(1..=*highest) };
            let told = format!("seed {seed}: {call}:{what}:when={}", injection.number);
            replicas = 3 - replicas;
            write_all(&bed, replicas);
            tried += 1;
            met += u32::from(run_with(&mut bed, &injection, replicas));
            bed.launch_with(&[]);
            bed.start();
            check_all(&bed, replicas, &kept, &told);
            assert!(bed.stop().success(), "{told}");
        }
    }
    let told = format!("{met} of {tried} faults were met, seed {seed}");
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{told}").unwrap();
    assert!(met * 2 >= tried, "{told}");
}

/// Ends the strace that watches the controller, so that the system lets go of it. One that has ended by itself needs no word. A kill,
/// because strace is deaf to SIGTERM while it writes to a file, and where it is not, it waits for ever for a thread that has just died.
fn detach_tracer(bed: &TestBed) {
    let status = bed.controller_pid().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    let tracer = status.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("TracerPid:"));
    if let Some(tracer) = tracer.map(str::trim).filter(|pid| *pid != "0") {
        drop(Command::new("kill").args(["-KILL", tracer]).output().unwrap());
    }
}

/// Runs a controller until it has met its fault and, where it lives on, has converged all the same. Returns whether it met it.
fn run_with(bed: &mut TestBed, injection: &Injection, replicas: usize) -> bool {
    let trace = bed.manifests().with_file_name("trace");
    bed.launch_with(&injection.launcher(&trace.display().to_string()));
    bed.start_with(&[]);
    let is_met = || {
        let text = fs::read_to_string(&trace).unwrap_or_default();
        text.contains("(INJECTED)") || text.contains("+++ killed by SIGKILL")
    };
    let deadline = Instant::now() + LONGEST_LIFE;
    while Instant::now() < deadline && !bed.has_ended() && !is_met() {
        thread::sleep(Duration::from_millis(20));
    }
    let is_met = is_met();
    // strace counts each thread's calls by itself, and a store that is opened anew has new threads: with it the fault would stay for good.
    detach_tracer(bed);
    // One that survives its fault goes on by itself; one that cannot open its store ends, and is started anew.
    eventually(&format!("it has ended, or goes on, after {}", injection.call), PATIENCE, || {
        (bed.has_ended() || bed.ids(Which::Running, "web").len() == replicas).then_some(())
    });
    bed.kill();
    fs::remove_file(&trace).ok();
    is_met
}

#[test]
fn an_error_of_any_system_call_of_the_store_costs_nothing_that_runs() {
    let calls = [("pwrite64", 4), ("fdatasync", 4), ("fsync", 3), ("sync_file_range", 2), ("rename", 2)];
    check_injections("store_call_fails", &calls, &["error=EIO", "error=EIO", "error=ENOSPC"]);
}

#[test]
fn death_at_any_system_call_of_the_store_costs_nothing_that_runs() {
    let calls = [("pwrite64", 4), ("fdatasync", 4), ("fsync", 3), ("sync_file_range", 2), ("rename", 2), ("unlink", 2)];
    check_injections("store_call_kills", &calls, &["signal=SIGKILL", "signal=SIGKILL"]);
}
