//! Calls of a tool: how long one takes, how many go through, and what of a core the hub takes for one.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::message::{self, Repeated};
use crate::place::{Place, SERVERS};
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

/// Sessions of one candidate that stay for a whole measurement, each on its own connection.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Vec<(Client, Repeated)>,
}

/// What came of one turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// How long each request took, in microseconds, sorted.
    pub(crate) micros: Vec<f64>,
    /// How long the turn was.
    pub(crate) took: Duration,
}

impl Turn {
    /// The time within which this share of requests was answered, in microseconds.
    pub(crate) fn quantile(&self, thousandths: usize) -> f64 {
        let last = self.micros.len().saturating_sub(1);
        self.micros.get(last * thousandths / 1_000).copied().unwrap_or(f64::NAN)
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        number(self.micros.len()) / self.took.as_secs_f64()
    }
}

impl Crowd {
    /// So many sessions. `request` makes what each of them sends, of its server and its session.
    pub(crate) async fn gather(place: &Place, count: usize, request: impl Fn(usize, Option<&str>) -> Vec<u8>) -> Self {
        let mut members = Vec::new();
        for server in 0..count {
            let mut client = Client::connect(place, server).await.unwrap();
            let session = client.begin(place, server).await;
            let mut request = Repeated::new(request(server, session.as_deref()));
            // What happens once for each session has happened before a turn begins.
            client.expect(request.next()).await;
            members.push((client, request));
        }
        Self { members }
    }

    /// So many sessions that call tools, of one server after another.
    pub(crate) async fn callers(place: &Place, count: usize) -> Self {
        Self::gather(place, count, |server, session| message::call(place, server % SERVERS, session)).await
    }

    /// Everybody sends one request after the other for so long.
    pub(crate) async fn run(&mut self, duration: Duration) -> Turn {
        let begun = Instant::now();
        let all = self.members.iter_mut().map(|(client, request)| async move {
            let mut micros = Vec::new();
            while begun.elapsed() < duration {
                let sent = Instant::now();
                client.expect(request.next()).await;
                micros.push(sent.elapsed().as_secs_f64() * 1e6);
            }
            micros
        });
        let mut micros = futures_util::future::join_all(all).await.concat();
        let took = begun.elapsed();
        micros.sort_by(f64::total_cmp);
        Turn { micros, took }
    }
}

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
