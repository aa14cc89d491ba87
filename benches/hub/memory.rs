//! What a hub keeps in memory with 15 servers and 64 sessions, and whether it grows.

use std::time::Duration;

use crate::call::Crowd;
use crate::process::resident_mib;
use crate::stage::{Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How many calls it has had when it is looked at first, and how many more until each further look.
const CALLS: (usize, usize) = (30_000, 500_000);
/// The further looks.
const LOOKS: [&str; 2] = ["the first", "the next"];

/// Measures hubs that have done nothing before.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let name = format!("memory-{}", era.name());
        let behind = Behind::Http(&stage.backends[index].addresses);
        let hub = Hub::start(&name, era, behind, stage.directory.path(), &[]);
        stage.await_list(&hub.place);
        let mut crowd = stage.runtime.block_on(Crowd::callers(&hub.place, 64));
        let mut call = |wanted: usize| {
            let mut count = 0;
            while count < wanted {
                count += stage.runtime.block_on(crowd.run(Duration::from_millis(500))).micros.len();
            }
            resident_mib(hub.program.pid()).0
        };
        let first = call(CALLS.0);
        table.add(Row {
            figure: format!("memory with 15 servers and 64 sessions, {}: hub", era.name()),
            values: vec![first],
            unit: "MiB",
            beside: None,
            target: Target::AtMost(24.0),
        });
        // Sessions are what could keep something of each call.
        if era == Era::Legacy {
            let mut before = first;
            for look in LOOKS {
                let now = call(CALLS.1);
                table.add(Row {
                    figure: format!("growth of it over {look} {} calls, {}: hub", CALLS.1, era.name()),
                    values: vec![now - before],
                    unit: "MiB",
                    beside: None,
                    target: Target::None,
                });
                before = now;
            }
        }
    }
}
