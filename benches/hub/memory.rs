//! What a hub keeps in memory with 15 servers and 64 sessions.

use crate::crowd::Crowd;
use crate::process::resident_mib;
use crate::stage::{Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How many calls each session has made when it is looked at: 30,000 in all.
const CALLS_EACH: usize = 470;

/// Measures hubs that have done nothing before.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let behind = Behind::Http(&stage.backends[index].addresses);
        let hub = Hub::start(&format!("memory-{}", era.name()), era, behind, stage.directory.path(), &[]);
        stage.await_list(&hub.place);
        let mut crowd = stage.runtime.block_on(Crowd::callers(&hub.place, 64));
        stage.runtime.block_on(crowd.send(CALLS_EACH));
        table.add(Row {
            figure: format!("memory with 15 servers and 64 sessions, {}: hub", era.name()),
            values: vec![resident_mib(hub.program.pid()).0],
            unit: "MiB",
            beside: None,
            target: Target::AtMost(24.0),
        });
    }
}
