//! Lists of 150 tools, with the servers up, stopped, and never seen.

use std::time::Duration;

use crate::call::take_turns;
use crate::crowd::{Crowd, Turn};
use crate::message;
use crate::place::{Place, SERVERS, Way};
use crate::stage::{Backends, Behind, Hub, Stage};
use crate::table::{Row, Table, Target};
use crate::tool::Era;

const TURNS: (usize, Duration) = (25, Duration::from_millis(60));

/// Measures both eras.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let all_tools = stage.backends[index].addresses[SERVERS];
        let mut places = vec![Place { name: "direct", era, way: Way::Direct(vec![all_tools]), token: None }];
        places.extend([&stage.hubs, &stage.other_hubs].iter().filter_map(|hubs| Some(hubs.get(index)?.place.clone())));
        let one = compare(stage, &places, 1, |turn| turn.quantile(500));
        add(table, &places, "a list of 150 tools at 1 connection", one, Target::RatioAtMost(1.1));
        // The direct one lists from memory as well, with no other work.
        let slowest = compare(stage, &places, 32, |turn| turn.quantile(990));
        add(table, &places, "99 of 100 lists at 32 connections", slowest, Target::AtMost(25_000.0));
    }
    measure_stopped(stage, table);
}

fn compare(stage: &Stage, places: &[Place], connections: usize, of: impl Fn(&Turn) -> f64) -> Vec<Vec<f64>> {
    let gathering = async {
        let mut crowds = Vec::new();
        for place in places {
            crowds.push(Crowd::gather(place, connections, |_, session| message::list(place, session)).await);
        }
        crowds
    };
    let mut crowds = stage.runtime.block_on(gathering);
    take_turns(stage, &mut crowds, TURNS, |_, run| of(&run()))
}

fn add(table: &mut Table, places: &[Place], what: &str, values: Vec<Vec<f64>>, target: Target) {
    let direct = values[0].clone();
    for (place, values) in places.iter().zip(values) {
        table.add(Row {
            figure: format!("{what}, {}: {}", place.era.name(), place.name),
            values,
            unit: "µs",
            beside: (place.name != "direct").then(|| (direct.clone(), "direct")),
            target: if place.name == "hub" { target } else { Target::None },
        });
    }
}

/// A hub whose servers are all killed goes on listing them, and so does one that is started anew meanwhile.
fn measure_stopped(stage: &Stage, table: &mut Table) {
    let era = Era::Modern;
    let more = [format!("state={}", stage.directory.path().join("lists").display())];
    let Backends { program, addresses } = Backends::start(era);
    let begin = || Hub::start("stopped", era, Behind::Http(&addresses), stage.directory.path(), &more);
    let hub = begin();
    stage.await_list(&hub.place);
    drop(program);
    let values = compare(stage, std::slice::from_ref(&hub.place), 32, |turn| turn.quantile(990));
    table.add(Row {
        figure: "99 of 100 lists at 32 connections, every server stopped: hub".to_owned(),
        values: values.concat(),
        unit: "µs",
        beside: None,
        target: Target::AtMost(100_000.0),
    });
    drop(hub);
    let starts = (0..TURNS.0).map(|_| crate::report::ms(stage.await_list(&begin().place))).collect();
    table.add(Row {
        figure: "start to the first full list, every server stopped: hub".to_owned(),
        values: starts,
        unit: "ms",
        beside: None,
        target: Target::AtMost(100.0),
    });
}
