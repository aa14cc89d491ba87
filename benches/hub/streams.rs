//! Calls through a hub whose servers speak by their standard input and output.

use std::time::Duration;

use crate::call::take_turns;
use crate::crowd::{Crowd, Turn};
use crate::process::cpu_time;
use crate::report::number;
use crate::stage::{Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How often each has its turn, and for how long.
const TURNS: (usize, Duration) = (15, Duration::from_millis(300));

/// Measures both eras, the bare nginx hop taking turns with the hub although it has servers by HTTP.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let name = format!("stdio-{}", era.name());
        let hub = Hub::start(&name, era, Behind::Stdio, stage.directory.path(), &[]);
        stage.await_list(&hub.place);
        let places = [stage.places(index, era)[1].clone(), hub.place.clone()];
        let gathering = async { [Crowd::callers(&places[0], 64).await, Crowd::callers(&places[1], 64).await] };
        let mut crowds = stage.runtime.block_on(gathering);
        let mut micros = Vec::new();
        let rates = take_turns(stage, &mut crowds, TURNS, |index, run| {
            let before = cpu_time(hub.program.pid());
            let turn: Turn = run();
            if index == 1 {
                let used = cpu_time(hub.program.pid()).saturating_sub(before);
                micros.push(used.as_secs_f64() * 1e6 / number(turn.micros.len()));
            }
            turn.rate()
        });
        table.add(Row {
            figure: format!("calls at 64 sessions, servers by stdio, {}: hub", era.name()),
            values: rates[1].clone(),
            unit: "calls/s",
            beside: Some((rates[0].clone(), places[0].name)),
            target: Target::AtLeast(10_000.0),
        });
        table.add(Row {
            figure: format!("time on a core of a call, servers by stdio, {}: hub", era.name()),
            values: micros,
            unit: "µs",
            beside: None,
            target: Target::None,
        });
    }
}
