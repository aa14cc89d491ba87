//! Sessions that send one request after another, all at once.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::message::{self, Repeated};
use crate::place::{Place, SERVERS};
use crate::report::number;

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

    /// Everybody sends so many requests, one after the other.
    pub(crate) async fn send(&mut self, each: usize) {
        let all = self.members.iter_mut().map(|(client, request)| async move {
            for _ in 0..each {
                client.expect(request.next()).await;
            }
        });
        futures_util::future::join_all(all).await;
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
