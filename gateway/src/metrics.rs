//! What the gateway counts: few names with bounded labels, in the text format of Prometheus.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the latency histograms, in microseconds.
const BOUNDS: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Requests that were answered well.
    pub ok: AtomicU64,
    /// Requests that were answered with an error.
    pub errors: AtomicU64,
    /// Requests that were denied, or refused before anything was asked.
    pub denied: AtomicU64,
    /// How long calls took that went to a server.
    pub calls: Histogram,
    /// How long lists took.
    pub discovery: Histogram,
}

/// What is counted of one server.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    /// Requests that it answered well.
    pub ok: AtomicU64,
    /// Requests that were sent to it, or waited for it, and ended with an error.
    pub errors: AtomicU64,
    /// Requests for it that were refused before anything was sent, as where it was not ready.
    pub denied: AtomicU64,
    /// How long those took that went to it.
    pub calls: Histogram,
}

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; 13],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Its lines. `server`: whose it is; nothing where it is of all.
    fn write(&self, name: &str, server: Option<&str>, text: &mut String) -> fmt::Result {
        let (label, only) = match server {
            Some(server) => (format!("server=\"{server}\","), format!("{{server=\"{server}\"}}")),
            None => Default::default(),
        };
        let mut total = 0;
        for (place, bucket) in self.buckets.iter().enumerate() {
            total += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS.get(place).map_or_else(|| "+Inf".to_owned(), |bound| seconds(*bound));
            writeln!(text, "{name}_bucket{{{label}le=\"{bound}\"}} {total}")?;
        }
        let sum = seconds(self.sum_micros.load(Ordering::Relaxed));
        writeln!(text, "{name}_sum{only} {sum}\n{name}_count{only} {total}")
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// What is so at this moment.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Sessions of legacy clients.
    pub sessions: usize,
    /// Servers, and how many of them are ready.
    pub servers: (usize, usize),
    /// Instances that are ready.
    pub instances: usize,
    /// Instances that somebody has to himself, and requests that wait for one.
    pub demand: (usize, usize),
    /// Tools that are listed.
    pub tools: usize,
    /// Each server.
    pub by_server: Vec<ServerGauges>,
    /// Records that the audit could not write.
    pub audit_failures: u64,
}

/// What is so of one server at this moment.
#[derive(Debug, Clone)]
pub struct ServerGauges {
    /// Its name.
    pub name: Arc<str>,
    /// What was counted of it.
    pub counted: Arc<ServerMetrics>,
    /// The seconds since it last said what it lists; none where it never has since the start.
    pub catalogue_age: Option<u64>,
}

impl Metrics {
    /// Everything, as text.
    pub fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        self.write(gauges, &mut text).unwrap_or(());
        text
    }

    fn write(&self, gauges: &Gauges, text: &mut String) -> fmt::Result {
        let name = "evenkeel_mcp_requests_total";
        writeln!(text, "# HELP {name} Requests, by how they ended.\n# TYPE {name} counter")?;
        for (outcome, counter) in [("ok", &self.ok), ("error", &self.errors), ("denied", &self.denied)] {
            writeln!(text, "{name}{{outcome=\"{outcome}\"}} {}", counter.load(Ordering::Relaxed))?;
        }
        let name = "evenkeel_mcp_call_seconds";
        writeln!(text, "# HELP {name} How long calls to servers took.\n# TYPE {name} histogram")?;
        self.calls.write(name, None, text)?;
        let name = "evenkeel_mcp_discovery_seconds";
        writeln!(text, "# HELP {name} How long lists took.\n# TYPE {name} histogram")?;
        self.discovery.write(name, None, text)?;
        gauges.write(text)
    }
}

impl Gauges {
    fn write(&self, text: &mut String) -> fmt::Result {
        let (servers, ready) = self.servers;
        let (leased, waiting) = self.demand;
        let lines: [(&str, &str, u64); 8] = [
            ("evenkeel_mcp_sessions", "Sessions of legacy clients.", self.sessions as u64),
            ("evenkeel_mcp_servers", "Servers behind the gateway.", servers as u64),
            ("evenkeel_mcp_servers_ready", "Servers that answer.", ready as u64),
            ("evenkeel_mcp_instances_ready", "Instances that answer.", self.instances as u64),
            ("evenkeel_mcp_instances_leased", "Instances that one session or call has to itself.", leased as u64),
            ("evenkeel_mcp_waiting", "Requests that wait for an instance.", waiting as u64),
            ("evenkeel_mcp_tools", "Tools that are listed.", self.tools as u64),
            ("evenkeel_mcp_audit_failures", "Audit records that could not be written.", self.audit_failures),
        ];
        for (name, help, value) in lines {
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")?;
        }
        self.write_servers(text)
    }

    /// What there is of each server: only those that the gateway has, so that the labels are bounded.
    fn write_servers(&self, text: &mut String) -> fmt::Result {
        let name = "evenkeel_mcp_catalogue_age_seconds";
        writeln!(text, "# HELP {name} Since a server last said what it lists.\n# TYPE {name} gauge")?;
        for ServerGauges { name: server, catalogue_age, .. } in &self.by_server {
            if let Some(age) = catalogue_age {
                writeln!(text, "{name}{{server=\"{server}\"}} {age}")?;
            }
        }
        let name = "evenkeel_mcp_server_requests_total";
        writeln!(text, "# HELP {name} Requests for a server, by how they ended.\n# TYPE {name} counter")?;
        for ServerGauges { name: server, counted, .. } in &self.by_server {
            for (outcome, counter) in [("ok", &counted.ok), ("error", &counted.errors), ("denied", &counted.denied)] {
                let count = counter.load(Ordering::Relaxed);
                writeln!(text, "{name}{{server=\"{server}\",outcome=\"{outcome}\"}} {count}")?;
            }
        }
        let name = "evenkeel_mcp_server_call_seconds";
        writeln!(text, "# HELP {name} How long calls to a server took.\n# TYPE {name} histogram")?;
        for ServerGauges { name: server, counted, .. } in &self.by_server {
            counted.calls.write(name, Some(server), text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Gauges, Metrics};

    #[test]
    fn a_histogram_adds_up() {
        let metrics = Metrics::default();
        for micros in [50, 300, 300, 20_000_000] {
            metrics.calls.observe(Duration::from_micros(micros));
        }
        let text = metrics.text(&Gauges::default());
        assert!(text.contains("evenkeel_mcp_call_seconds_bucket{le=\"0.000100\"} 1\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_bucket{le=\"0.000500\"} 3\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_bucket{le=\"+Inf\"} 4\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_sum 20.000650\n"), "{text}");
    }
}
