//! Other gateways, for orientation: in turns of their own, as some take a second for a call and would keep everybody waiting.

use std::time::Duration;

use crate::call::{add, take_turns};
use crate::crowd::Crowd;
use crate::message;
use crate::place::Way;
use crate::stage::Stage;
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How often each has its turn, and for how long.
const TURNS: (usize, Duration) = (3, Duration::from_millis(200));

/// Measures them beside nginx and the hub of their era.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    let mut places = stage.places(1, Era::Legacy);
    places.extend(stage.others.iter().map(|(_, place)| place.clone()));
    let callers = async {
        let mut crowds = Vec::new();
        for place in &places {
            crowds.push(Crowd::callers(place, 1).await);
        }
        crowds
    };
    let mut crowds = stage.runtime.block_on(callers);
    let micros = take_turns(stage, &mut crowds, TURNS, |_, run| run().quantile(500));
    add(table, &places, "a call at 1 session, in turns with others", "µs", micros, Target::None);
    // One of several servers that opens each of them for a call would need minutes for this.
    places.retain(|place| place.name != "fastmcp");
    let callers = async {
        let mut crowds = Vec::new();
        for place in &places {
            crowds.push(Crowd::callers(place, 64).await);
        }
        crowds
    };
    let mut crowds = stage.runtime.block_on(callers);
    let rates = take_turns(stage, &mut crowds, TURNS, |_, run| run().rate());
    add(table, &places, "calls at 64 sessions, in turns with others", "calls/s", rates, Target::None);
    for (_, place) in &stage.others {
        if !matches!(place.way, Way::Gateway(..)) {
            continue;
        }
        let lister = Crowd::gather(place, 1, |_, session| message::list(place, session));
        let mut crowds = [stage.runtime.block_on(lister)];
        let micros = take_turns(stage, &mut crowds, TURNS, |_, run| run().quantile(500));
        table.add(Row {
            figure: format!("a list of 150 tools at 1 connection, legacy: {}", place.name),
            values: micros.concat(),
            unit: "µs",
            beside: None,
            target: Target::None,
        });
    }
}
