//! How long a hub takes from the start of its process to the first full list.

use crate::report::ms;
use crate::stage::{Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How often it is started.
const STARTS: usize = 15;

/// Measures both eras, without lists from before.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let addresses = &stage.backends[index].addresses;
        let start = || {
            let begun = std::time::Instant::now();
            let hub = Hub::start("start", era, Behind::Http(addresses), stage.directory.path(), &[]);
            stage.await_list(&hub.place);
            ms(begun.elapsed())
        };
        table.add(Row {
            figure: format!("start to the first full list of 15 servers, {}: hub", era.name()),
            values: (0..STARTS).map(|_| start()).collect(),
            unit: "ms",
            beside: None,
            target: Target::AtMost(25.0),
        });
    }
}
