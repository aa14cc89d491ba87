//! A thousand manifests read, parsed and validated by the program, beside only reading their bytes.

use std::fs;
use std::time::Instant;

use crate::process::children_cpu_time;
use crate::report;
use crate::support::engine::{EngineAddress, TestBed, text_of};
use crate::workload::deployment;

/// Manifests, a file each.
const MANIFESTS: usize = 1_000;
/// How often it is measured.
const ROUNDS: usize = 11;

/// Prints how long it takes.
pub(crate) fn measure(engine: &EngineAddress) {
    let bed = TestBed::new(engine.clone(), "load");
    let nothing = TestBed::new(engine.clone(), "load");
    bed.write("network.yaml", &crate::workload::network());
    nothing.write("network.yaml", &crate::workload::network());
    for index in 1..MANIFESTS {
        bed.write(&format!("app-{index:04}.yaml"), &deployment(index, "Running"));
    }
    let (mut ours, mut bytes, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    let mut cpu = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let read: usize =
            fs::read_dir(bed.manifests()).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap().len()).sum();
        bytes.push(report::ms(begun.elapsed()));
        assert!(read > 0);
        empty.push(validate(&nothing));
        let before = children_cpu_time();
        ours.push(validate(&bed));
        cpu.push(report::ms(children_cpu_time().saturating_sub(before)));
    }
    report::all("1,000 manifests, ms", &ours);
    report::figure("load: only reading the bytes, median", report::median(&bytes), "ms");
    report::figure("load: evenkeel validate of one manifest, median", report::median(&empty), "ms");
    report::figure("load: 1,000 manifests / reading their bytes", report::median_ratio(&ours, &bytes), "");
    report::figure("load: its time on a core, mean", cpu.iter().sum::<f64>() / report::number(ROUNDS), "ms");
    report::against_target("load: evenkeel validate of 1,000 manifests, median", report::median(&ours), "ms", 150.0);
}

fn validate(bed: &TestBed) -> f64 {
    let manifests = bed.manifests().display().to_string();
    let begun = Instant::now();
    let run = bed.evenkeel(&["validate", &manifests]);
    let took = report::ms(begun.elapsed());
    assert!(run.status.success(), "{}", text_of(&run));
    took
}
