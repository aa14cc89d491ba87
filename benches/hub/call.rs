//! Calls of a tool: how long one takes, how many go through, and what of a core the hub takes for one.

use std::time::Duration;

use crate::crowd::{Crowd, Turn};
use crate::place::Place;
use crate::process::cpu_time;
use crate::program::children;
use crate::report::number;
use crate::stage::Stage;
use crate::table::{Row, Table, Target};
use crate::tool::Era;

/// How often each candidate has its turn, and for how long.
const TURNS: (usize, Duration) = (25, Duration::from_millis(100));
/// The same with many sessions.
const CROWDED_TURNS: (usize, Duration) = (15, Duration::from_millis(300));

/// How much of a core the hub may take where a hop of its own libraries takes one: 60 µs where that took 27, when these goals were set.
const OF_A_HOP: f64 = 2.2;

/// Has the crowds take turns, and gives for each a value a round.
pub(crate) fn take_turns(
    stage: &Stage,
    crowds: &mut [Crowd],
    (rounds, duration): (usize, Duration),
    mut value: impl FnMut(usize, &mut dyn FnMut() -> Turn) -> f64,
) -> Vec<Vec<f64>> {
    let mut values = vec![Vec::new(); crowds.len()];
    // The first round warms up.
    for round in 0..=rounds {
        for (index, crowd) in crowds.iter_mut().enumerate() {
            let measured = value(index, &mut || stage.runtime.block_on(crowd.run(duration)));
            if round > 0 {
                values[index].push(measured);
            }
        }
    }
    values
}

/// Measures both eras.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    for (index, era) in Era::ALL.into_iter().enumerate() {
        let places = stage.places(index, era);
        let latency = compare(stage, &places, (1, TURNS), |turn| turn.quantile(500));
        add(table, &places, "a call at 1 session", "µs", latency, Target::RatioAtMost(1.25));
        let rates = compare(stage, &places, (64, CROWDED_TURNS), Turn::rate);
        add(table, &places, "calls at 64 sessions", "calls/s", rates, Target::RatioAtLeast(0.7));
        measure_cpu(stage, &places, table);
    }
}

fn compare(
    stage: &Stage,
    places: &[Place],
    (sessions, turns): (usize, (usize, Duration)),
    of: impl Fn(&Turn) -> f64,
) -> Vec<Vec<f64>> {
    let gathering = async {
        let mut crowds = Vec::new();
        for place in places {
            crowds.push(Crowd::callers(place, sessions).await);
        }
        crowds
    };
    let mut crowds = stage.runtime.block_on(gathering);
    take_turns(stage, &mut crowds, turns, |_, run| of(&run()))
}

/// Adds the figures of one measurement, each beside nginx's where there is one. The target is the hub's.
pub(crate) fn add(
    table: &mut Table,
    places: &[Place],
    what: &str,
    unit: &'static str,
    values: Vec<Vec<f64>>,
    target: Target,
) {
    let hop = places.iter().position(|place| place.name == "nginx").unwrap_or(0);
    let (name, beside) = (places[hop].name, values[hop].clone());
    for (place, values) in places.iter().zip(values) {
        table.add(Row {
            figure: format!("{what}, {}: {}", place.era.name(), place.name),
            values,
            unit,
            beside: (place.name != name).then(|| (beside.clone(), name)),
            target: if place.name.starts_with("hub") { target } else { Target::None },
        });
    }
}

/// What of a core the hub takes for a call, beside what nginx takes.
fn measure_cpu(stage: &Stage, places: &[Place], table: &mut Table) {
    let mut pids: Vec<(Place, Vec<u32>)> = Vec::new();
    for place in places {
        match place.name {
            "nginx" => pids.extend(stage.nginx.as_ref().map(|(nginx, _)| (place.clone(), children(nginx.pid())))),
            "direct" => {}
            "hyper hop" => {
                let hops = stage.hops.iter().filter(|(_, hop)| hop.era == place.era);
                pids.extend(hops.map(|(program, _)| (place.clone(), vec![program.pid()])));
            }
            name => {
                let hubs = [&stage.hubs, &stage.narrow_hubs, &stage.other_hubs].into_iter().flatten();
                let hub = hubs.filter(|hub| hub.place.name == name && hub.place.era == place.era);
                pids.extend(hub.map(|hub| (place.clone(), vec![hub.program.pid()])));
            }
        }
    }
    let gathering = async {
        let mut crowds = Vec::new();
        for (place, _) in &pids {
            crowds.push(Crowd::callers(place, 16).await);
        }
        crowds
    };
    let mut crowds = stage.runtime.block_on(gathering);
    let values = take_turns(stage, &mut crowds, CROWDED_TURNS, |index, run| {
        let used = || pids[index].1.iter().map(|pid| cpu_time(*pid)).sum::<Duration>();
        let before = used();
        let turn = run();
        used().saturating_sub(before).as_secs_f64() * 1e6 / number(turn.micros.len())
    });
    let of = |name: &str| pids.iter().position(|(place, _)| place.name == name);
    if let (Some(hop), Some(hub)) = (of("hyper hop"), of("hub")) {
        table.add(Row {
            figure: format!(
                "time on a core of a call at 16 sessions, {}: hub beside a hyper hop",
                places[0].era.name()
            ),
            values: values[hub].clone(),
            unit: "µs",
            beside: Some((values[hop].clone(), "the hop")),
            target: Target::RatioAtMost(OF_A_HOP),
        });
    }
    let measured: Vec<Place> = pids.into_iter().map(|(place, _)| place).collect();
    add(table, &measured, "time on a core of a call at 16 sessions", "µs", values, Target::AtMost(60.0));
}
