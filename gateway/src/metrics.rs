//! What the gateway counts: few names with bounded labels, in the text format of Prometheus.

use std::fmt::{self, Write as _};
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

    fn write(&self, name: &str, help: &str, text: &mut String) -> fmt::Result {
        let mut total = 0;
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        for (place, bucket) in self.buckets.iter().enumerate() {
            total += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS.get(place).map_or_else(|| "+Inf".to_owned(), |bound| seconds(*bound));
            writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {total}")?;
        }
        let sum = seconds(self.sum_micros.load(Ordering::Relaxed));
        writeln!(text, "{name}_sum {sum}\n{name}_count {total}")
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
    /// By server, the seconds since it last said what it lists; none that never has since the start.
    pub catalogue_ages: Vec<(String, u64)>,
    /// Records that the audit could not write.
    pub audit_failures: u64,
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
        let counters = [("ok", &self.ok), ("error", &self.errors), ("denied", &self.denied)];
        text.push_str("# HELP evenkeel_mcp_requests_total Requests, by how they ended.\n# TYPE evenkeel_mcp_requests_total counter\n");
        for (outcome, counter) in counters {
            let count = counter.load(Ordering::Relaxed);
            writeln!(text, "evenkeel_mcp_requests_total{{outcome=\"{outcome}\"}} {count}")?;
        }
        self.calls.write("evenkeel_mcp_call_seconds", "How long calls to servers took.", text)?;
        self.discovery.write("evenkeel_mcp_discovery_seconds", "How long lists took.", text)?;
        let (servers, ready) = gauges.servers;
        let (leased, waiting) = gauges.demand;
        let lines: [(&str, &str, u64); 8] = [
            ("evenkeel_mcp_sessions", "Sessions of legacy clients.", gauges.sessions as u64),
            ("evenkeel_mcp_servers", "Servers behind the gateway.", servers as u64),
            ("evenkeel_mcp_servers_ready", "Servers that answer.", ready as u64),
            ("evenkeel_mcp_instances_ready", "Instances that answer.", gauges.instances as u64),
            ("evenkeel_mcp_instances_leased", "Instances that one session or call has to itself.", leased as u64),
            ("evenkeel_mcp_waiting", "Requests that wait for an instance.", waiting as u64),
            ("evenkeel_mcp_tools", "Tools that are listed.", gauges.tools as u64),
            ("evenkeel_mcp_audit_failures", "Audit records that could not be written.", gauges.audit_failures),
        ];
        for (name, help, value) in lines {
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")?;
        }
        let name = "evenkeel_mcp_catalogue_age_seconds";
        writeln!(text, "# HELP {name} Since a server last said what it lists.\n# TYPE {name} gauge")?;
        for (server, age) in &gauges.catalogue_ages {
            writeln!(text, "{name}{{server=\"{server}\"}} {age}")?;
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
        let ages = vec![("time".to_owned(), 7)];
        let text = metrics.text(&Gauges { catalogue_ages: ages, ..Gauges::default() });
        assert!(text.contains("evenkeel_mcp_catalogue_age_seconds{server=\"time\"} 7\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_bucket{le=\"0.000100\"} 1\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_bucket{le=\"0.000500\"} 3\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_bucket{le=\"+Inf\"} 4\n"), "{text}");
        assert!(text.contains("evenkeel_mcp_call_seconds_sum 20.000650\n"), "{text}");
    }
}
