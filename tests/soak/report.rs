//! What a soak tells: a line a minute, and a table at the end.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::deed::{Deed, Tally};
use super::gauge::{Sample, Thirds};

/// How often a line is written.
const LINE_TIME: Duration = Duration::from_mins(1);

/// Writes to the stream itself: the test harness keeps what is printed by macro until the test is over.
pub(super) fn say(text: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{text}").unwrap();
}

/// What happened so far.
#[derive(Debug)]
pub(super) struct Report {
    seed: u64,
    began: Instant,
    last_line: Option<Instant>,
    /// How long each round took to converge, once the meddler was silent.
    pub(super) converged: Vec<Duration>,
    pub(super) samples: Vec<Sample>,
    /// What the last controller counts: changing calls, and differences that it put right.
    pub(super) counted: (u64, u64),
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        let (converged, samples) = (Vec::new(), Vec::new());
        Self { seed, began: Instant::now(), last_line: None, converged, samples, counted: (0, 0) }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Writes a line to stderr, where the last one is a minute old.
    pub(super) fn tell(&mut self, tally: &Tally) {
        if self.last_line.is_some_and(|last| last.elapsed() < LINE_TIME) {
            return;
        }
        self.last_line = Some(Instant::now());
        let gauges = self.samples.last().map(|sample| {
            let Sample { life, rss_kib, descriptors, threads, store_bytes } = sample;
            format!("controller {life}: {rss_kib} KiB, {descriptors} fds, {threads} threads, store {store_bytes} bytes")
        });
        let (secs, rounds) = (self.elapsed().as_secs(), self.converged.len());
        let gauges = gauges.unwrap_or_default();
        let line = format!("soak: {secs} s, {rounds} rounds, {} deeds ({}); {gauges}", tally.done(), tally.line());
        say(&line);
    }

    /// The table, in Markdown.
    pub(super) fn table(&self, tally: &Tally, lives: u32) -> String {
        let mut rows: Vec<(String, String)> = Vec::new();
        let mut row = |what: &str, figure: String| rows.push((what.to_owned(), figure));
        row("seed", self.seed.to_string());
        row("length", format!("{} min {} s", self.elapsed().as_secs() / 60, self.elapsed().as_secs() % 60));
        row("rounds, each converged", self.converged.len().to_string());
        let mut times: Vec<u128> = self.converged.iter().map(Duration::as_millis).collect();
        times.sort_unstable();
        let seconds = |millis: u128| format!("{}.{} s", millis / 1_000, millis % 1_000 / 100);
        if let (Some(median), Some(longest)) = (times.get(times.len() / 2), times.last()) {
            row(
                "from the last deed to converged",
                format!("median {}, longest {}", seconds(*median), seconds(*longest)),
            );
        }
        row("deeds", tally.done().to_string());
        for (deed, count) in &tally.0 {
            let refused =
                if count.refused > 0 { format!(" ({} more came to nothing)", count.refused) } else { String::new() };
            row(deed.label(), format!("{}{refused}", count.done));
        }
        let (killed, ended) = (tally.done_of(Deed::KillController), tally.done_of(Deed::EndController));
        row("controllers", format!("{lives}: {killed} killed, {ended} ended, the last lived on"));
        let (calls, repaired) = self.counted;
        row("the last controller", format!("{calls} changing calls, {repaired} differences put right, 0 panics"));
        if let Some(thirds) = Thirds::of(&self.samples) {
            let Thirds { samples, first, last } = thirds;
            let mut gauge = |what: &str, first: u64, last: u64| row(what, format!("{first}, {last}"));
            gauge(
                &format!("memory, KiB: median of the first and last third of {samples} samples"),
                first.rss_kib,
                last.rss_kib,
            );
            gauge("descriptors, likewise", first.descriptors, last.descriptors);
            gauge("threads, likewise", first.threads, last.threads);
            gauge("store, bytes, likewise", first.store_bytes, last.store_bytes);
        }
        let largest = self.samples.iter().map(|sample| sample.store_bytes).max().unwrap_or_default();
        row("store, bytes, at its largest", largest.to_string());
        let mut table = "| what | figure |\n|---|---|\n".to_owned();
        for (what, figure) in rows {
            writeln!(table, "| {what} | {figure} |").unwrap();
        }
        table
    }
}
