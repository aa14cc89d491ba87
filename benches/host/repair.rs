//! From the removal of a container to the new one running: Evenkeel against a create and start that follow at once.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::api::{Api, ContainerEvent};
use crate::cold::{Recorded, as_strangers, clean, label};
use crate::proxy::Proxy;
use crate::report;
use crate::support::engine::{EngineAddress, TestBed};
use crate::workload::write_manifests;

/// How many containers there are besides.
const CONTAINERS: usize = 12;
/// How often each is measured, in turn.
const PAIRS: usize = 15;
/// How long a repair may take before it is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Prints how long each takes.
pub(crate) fn measure(engine: &EngineAddress) {
    let api = Api::new(engine);
    let proxy = Proxy::before(&api);
    let mut bed = TestBed::new(proxy.address(), "repair");
    write_manifests(&bed, CONTAINERS, "Running");
    assert!(bed.run_once().status.success());
    let network = bed.docker(&["network", "ls", "--quiet", "--no-trunc", "--filter", &label(&bed)]);
    let recorded = Recorded::from_calls(&proxy.calls(), &network);
    bed.start();
    let events = api.follow_containers();
    let stranger = as_strangers(&recorded.containers[0].1);
    let name = format!("{}-bare", bed.instance());
    let managed = label(&bed);
    let mut bare_id = api.create_and_start(&name, &stranger);
    let (mut ours, mut bare, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        events.try_iter().for_each(drop);
        api.remove(&bare_id);
        bare_id = api.create_and_start(&name, &stranger);
        bare.push(from_destroy_to_start(&events, Some(&bare_id)));
        let victim = bed.docker(&["ps", "--quiet", "--no-trunc", "--filter", &managed, "--last", "1"]);
        let begun = Instant::now();
        api.remove(&victim);
        ours.push(from_destroy_to_start(&events, None));
        whole.push(report::ms(begun.elapsed()));
    }
    api.remove(&bare_id);
    report::all("create and start, ms", &bare);
    report::all("evenkeel, ms", &ours);
    report::figure("repair: create and start after a removal, median", report::median(&bare), "ms");
    report::figure("repair: evenkeel, median", report::median(&ours), "ms");
    report::figure("repair: with the removal itself, median", report::median(&whole), "ms");
    report::against_target(
        "repair: evenkeel / create and start, median of pairs",
        report::median_ratio(&ours, &bare),
        "",
        1.15,
    );
    bed.stop();
    clean(&bed);
}

/// By the Engine's own clock, in milliseconds, from the end of one container to the start of a certain or of any other one.
fn from_destroy_to_start(events: &Receiver<ContainerEvent>, started: Option<&str>) -> f64 {
    let mut destroyed = None;
    loop {
        let event = events.recv_timeout(PATIENCE).unwrap();
        match (event.action.as_str(), destroyed) {
            ("destroy", None) => destroyed = Some(event.at_nanos),
            ("start", Some(at_nanos)) if started.is_none_or(|id| id == event.id) => {
                return report::ms(Duration::from_nanos(event.at_nanos.saturating_sub(at_nanos)));
            }
            (_, _) => {}
        }
    }
}
