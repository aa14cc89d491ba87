//! Ten thousand containers of the simulated Engine: the memory of the controller with all of them in its head.
//!
//! The simulated Engine lives in the same process, so its own books are counted too.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::process::{cpu_time, resident_mib};
use crate::report;
use crate::support::engine::{EngineAddress, TestBed};
use crate::workload::{REPLICAS, network};

/// Containers.
const CONTAINERS: usize = 10_000;
/// Containers of one Deployment.
const PER_DEPLOYMENT: usize = 100;
/// How long they may take to come up.
const PATIENCE: Duration = Duration::from_mins(4);

/// Prints how much memory it takes.
pub(crate) fn measure(_real: &EngineAddress) {
    let mut bed = TestBed::new(EngineAddress::new("simulated".to_owned()), "simulated");
    bed.write("network.yaml", &network());
    for index in 0..CONTAINERS / PER_DEPLOYMENT {
        let text = crate::workload::deployment(index, "Running");
        let text = text.replace(&format!("replicas: {REPLICAS}"), &format!("replicas: {PER_DEPLOYMENT}"));
        bed.write(&format!("app-{index:04}.yaml"), &text.replace("pullPolicy: Never", "pullPolicy: IfNotPresent"));
    }
    let begun = Instant::now();
    bed.start_with(&["--start-concurrency", "64"]);
    let pid = bed.controller_pid().unwrap();
    let wanted = format!("evenkeel_objects{{ready=\"true\"}} {}", CONTAINERS / PER_DEPLOYMENT + 1);
    while !bed.get("/metrics").is_ok_and(|answer| answer.body.lines().any(|line| line == wanted)) {
        if begun.elapsed() > PATIENCE {
            let metrics = bed.get("/metrics").map(|answer| answer.body).unwrap_or_default();
            let ready: Vec<&str> = metrics.lines().filter(|line| line.starts_with("evenkeel_objects{")).collect();
            println!("  not all ready after {PATIENCE:?}: {}", ready.join(" "));
            break;
        }
        sleep(Duration::from_millis(200));
    }
    report::figure("simulated: until 10,000 containers run", begun.elapsed().as_secs_f64(), "s");
    sleep(Duration::from_secs(35));
    let (resident, highest) = resident_mib(pid);
    report::against_target("memory: resident with 10,000 simulated", resident, "MiB", 60.0);
    report::figure("memory: the most that was", highest, "MiB");
    let before = cpu_time(pid);
    sleep(Duration::from_secs(30));
    report::figure(
        "simulated: our time on a core in 30 s of idling",
        report::ms(cpu_time(pid).saturating_sub(before)),
        "ms",
    );
    bed.stop();
}
