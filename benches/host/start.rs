//! From the start of the program to the first change of its first plan, with what the Engine takes for the questions before.

use std::time::Instant;

use crate::api::Api;
use crate::cold::clean;
use crate::process::children_cpu_time;
use crate::proxy::{Call, Proxy, engine_time};
use crate::report;
use crate::support::engine::{EngineAddress, TestBed, text_of};
use crate::workload::write_manifests;

/// How often it is measured.
const ROUNDS: usize = 7;

/// Prints how long it takes.
pub(crate) fn measure(engine: &EngineAddress) {
    let api = Api::new(engine);
    let (mut whole, mut ours, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let proxy = Proxy::before(&api);
        let bed = TestBed::new(proxy.address(), "start");
        write_manifests(&bed, 30, "Stopped");
        proxy.forget();
        let begun = Instant::now();
        let cpu_before = children_cpu_time();
        let run = bed.run_once();
        cpu.push(report::ms(children_cpu_time().saturating_sub(cpu_before)));
        assert!(run.status.success(), "{}", text_of(&run));
        let calls = proxy.calls();
        let first = calls.iter().position(is_change).unwrap();
        let took = calls[first].asked.duration_since(begun);
        // The stream of events is not waited for.
        let before: Vec<Call> =
            calls[..first].iter().filter(|call| !call.path.starts_with("/events")).cloned().collect();
        let (busy, _) = engine_time(&before);
        whole.push(report::ms(took));
        ours.push(report::ms(took.saturating_sub(busy)));
        clean(&bed);
    }
    report::all("from start to first change, ms", &whole);
    report::against_target("start: to the first plan's first call, median", report::median(&whole), "ms", 100.0);
    report::figure("start: our time on a core, the whole run", report::median(&cpu), "ms");
    report::figure("start: of which not the Engine's", report::median(&ours), "ms");
}

/// Whether a call is a step of a plan; the lease is none.
fn is_change(call: &Call) -> bool {
    call.method == "POST" && call.path.ends_with("/create") || call.path.contains("/create?") && !is_lease(call)
}

fn is_lease(call: &Call) -> bool {
    call.path.contains("evenkeel-lease") || call.path.starts_with("/images")
}
