//! How long a session of 2025-11-25 takes to begin.

use std::time::{Duration, Instant};

use crate::call::add;
use crate::client::Client;
use crate::message;
use crate::place::Place;
use crate::report::median;
use crate::stage::Stage;
use crate::table::{Table, Target};
use crate::tool::Era;

/// How often each candidate has its turn, and for how long.
const TURNS: (usize, Duration) = (25, Duration::from_millis(60));

/// Measures `initialize` and the notification after it, on a connection that is there already.
pub(crate) fn measure(stage: &mut Stage, table: &mut Table) {
    let places = stage.places(1, Era::Legacy);
    let mut values = vec![Vec::new(); places.len()];
    for round in 0..=TURNS.0 {
        for (place, values) in places.iter().zip(&mut values) {
            let micros = stage.runtime.block_on(begin_sessions(place));
            // The first round warms up.
            if round > 0 {
                values.push(median(&micros));
            }
        }
    }
    add(table, &places, "a session's beginning", "µs", values, Target::RatioAtMost(1.1));
}

async fn begin_sessions(place: &Place) -> Vec<f64> {
    let mut client = Client::connect(place, 0).await.unwrap();
    let begun = Instant::now();
    let mut micros = Vec::new();
    while begun.elapsed() < TURNS.1 {
        let sent = Instant::now();
        let session = client.begin(place, 0).await;
        micros.push(sent.elapsed().as_secs_f64() * 1e6);
        // Whoever bounds its sessions would run out of them. A server that knows no end of a session says so.
        client.send(&message::end(place, 0, session.as_deref())).await;
    }
    micros
}
