//! A system in which nothing happens: what a pass costs, how much memory and how much of a core it takes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::cold::{clean, label};
use crate::process::{cpu_time, resident_mib};
use crate::proxy::{Call, Proxy, engine_time};
use crate::report;
use crate::support::engine::{EngineAddress, TestBed, text_of};
use crate::workload::write_manifests;

/// How often everything is listed while passes are measured.
const RESYNC: Duration = Duration::from_secs(1);
/// How many passes are measured.
const PASSES: u32 = 10;
/// How long the idle system is watched.
const IDLE_TIME: Duration = Duration::from_mins(1);

/// Prints what a pass takes over 30 running and over 300 stopped containers, and what the idle system takes.
pub(crate) fn measure(engine: &EngineAddress) {
    let api = Api::new(engine);
    for (containers, state) in [(30, "Running"), (300, "Stopped")] {
        let proxy = Proxy::before(&api);
        let mut bed = TestBed::new(proxy.address(), "steady");
        write_manifests(&bed, containers, state);
        let run = bed.run_once();
        assert!(run.status.success(), "{}", text_of(&run));
        passes(&mut bed, &proxy, containers);
        if containers == 300 {
            idle(&mut bed);
        }
        clean(&bed);
    }
}

/// Passes that find nothing to do.
fn passes(bed: &mut TestBed, proxy: &Proxy, containers: usize) {
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    let pid = bed.controller_pid().unwrap();
    // What the start still has to write is written before anything is counted.
    sleep(RESYNC * 3);
    proxy.forget();
    let before = cpu_time(pid);
    sleep(RESYNC * PASSES);
    let cpu = cpu_time(pid).saturating_sub(before);
    let calls: Vec<Call> = proxy.calls().into_iter().filter(|call| call.answered.is_some()).collect();
    let ids = bed.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label(bed)]);
    let is_ours = |call: &&Call| ids.lines().any(|id| call.path.contains(id));
    let others: Vec<&Call> = calls.iter().filter(|call| !is_list(call)).collect();
    let ours = others.iter().copied().filter(is_ours).count();
    let found = into_passes(&calls);
    let passes = found.len();
    let (mut lists, mut engine, mut between) = (Vec::new(), Vec::new(), Vec::new());
    for pass in found {
        let (busy, whole) = engine_time(&pass);
        lists.push(report::number(pass.len()));
        engine.push(report::ms(busy));
        between.push(report::ms(whole.saturating_sub(busy)));
    }
    let what = format!("noop {containers}");
    let per_pass = |count: usize| report::number(count) / report::number(passes.max(1));
    report::figure(&format!("{what}: passes seen"), report::number(passes), "");
    report::against_target(&format!("{what}: lists a pass, median"), report::median(&lists), "", 2.0);
    report::against_target(&format!("{what}: inspections of ours a pass"), per_pass(ours), "", 0.0);
    report::figure(&format!("{what}: inspections of others' new containers a pass"), per_pass(others.len() - ours), "");
    report::figure(&format!("{what}: the Engine's answer time"), report::median(&engine), "ms");
    report::figure(&format!("{what}: between its answers"), report::median(&between), "ms");
    let cpu_ms = report::ms(cpu) / report::number(passes.max(1));
    report::against_target(&format!("{what}: our time on a core a pass, everything"), cpu_ms, "ms", 10.0);
    report::figure(&format!("{what}: our time / the Engine's"), cpu_ms / report::median(&engine), "");
    bed.stop();
}

/// The controller as a user starts it.
fn idle(bed: &mut TestBed) {
    bed.start();
    let pid = bed.controller_pid().unwrap();
    sleep(Duration::from_secs(3));
    let (begun, before) = (Instant::now(), cpu_time(pid));
    sleep(IDLE_TIME);
    let share = cpu_time(pid).saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let (resident, highest) = resident_mib(pid);
    report::against_target("memory: resident with 300 containers", resident, "MiB", 30.0);
    report::figure("memory: the most that was", highest, "MiB");
    report::against_target("idle: share of one core over 60 s", share, "%", 0.2);
    bed.stop();
}

fn is_list(call: &Call) -> bool {
    call.method == "GET" && ["/containers/json", "/networks", "/volumes"].iter().any(|list| call.path.starts_with(list))
}

/// The lists of each pass: it begins with that of networks and ends with that of containers. A list of networks alone answers an
/// event, since a shared Engine is never quite still.
fn into_passes(calls: &[Call]) -> Vec<Vec<Call>> {
    let mut passes = Vec::new();
    let mut pass: Vec<Call> = Vec::new();
    for call in calls.iter().filter(|call| is_list(call)) {
        if call.path.starts_with("/networks") {
            pass.clear();
        }
        pass.push(call.clone());
        if call.path.starts_with("/containers/json") {
            passes.push(std::mem::take(&mut pass));
        }
    }
    passes
}
