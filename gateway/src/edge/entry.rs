//! What the audit says of a request that a client makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::audit::{AuditLog, AuditRecord, beginning_of, shape_of};
use crate::hub::{Hub, now_ms};
use crate::metrics::ServerMetrics;
use crate::relay::{Caller, Relay};
use crate::wire::params::Params;

/// What the audit says of one request. Dropped before it has ended, it says that it was cancelled.
#[derive(Debug)]
pub(super) struct Entry {
    audit: AuditLog,
    record: AuditRecord,
    /// The counters of the server that it goes to.
    server: Option<Arc<ServerMetrics>>,
    begun: Instant,
}

impl Entry {
    /// A request begins.
    pub(super) fn begin(hub: &Hub, caller: &Caller, method: &str, params: Option<&Params<'_>>) -> Self {
        let arguments = params.and_then(|params| params.fields.get("arguments")).unwrap_or("null");
        let has_values = hub.config.audit.as_ref().is_some_and(|audit| audit.has_values);
        let arguments = if arguments == "null" || hub.config.audit.is_none() {
            serde_json::Value::Null
        } else if has_values {
            serde_json::from_str(&hub.secrets().hide(arguments.to_owned())).unwrap_or_default()
        } else {
            shape_of(arguments)
        };
        let record = AuditRecord {
            time_ms: now_ms(),
            principal: caller.principal.name.clone(),
            session: caller.session.as_ref().map(|session| session.digest().to_owned()),
            era: Some(caller.era.as_str().to_owned()),
            method: beginning_of(method, 100),
            arguments,
            ..AuditRecord::default()
        };
        Self { audit: hub.audit.clone(), record, server: None, begun: Instant::now() }
    }

    /// It goes to a server.
    pub(super) fn goes_to(&mut self, relay: &Relay) {
        self.server.get_or_insert_with(|| Arc::clone(relay.server_metrics()));
        self.record.server = Some(relay.target.server.to_string());
        self.record.name = Some(beginning_of(&relay.target.original, 200));
        self.record.instance = relay.instance().map(|instance| beginning_of(instance.id(), 12));
    }

    /// The request has ended.
    pub(super) async fn end(mut self, hub: &Hub, outcome: &'static str, code: Option<i64>, bytes: usize) {
        let took = self.begun.elapsed();
        let all = &hub.metrics;
        let server = self.server.take();
        let of_server = |counter: fn(&ServerMetrics) -> &AtomicU64| server.as_deref().map(counter);
        let counters = match outcome {
            "ok" | "toolError" => [Some(&all.ok), of_server(|server| &server.ok)],
            "denied" | "refused" => [Some(&all.denied), of_server(|server| &server.denied)],
            _ => [Some(&all.errors), of_server(|server| &server.errors)],
        };
        for counter in counters.into_iter().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(server) = &server {
            all.calls.observe(took);
            server.calls.observe(took);
        }
        let mut record = std::mem::take(&mut self.record);
        record.outcome = outcome.to_owned();
        record.code = code;
        record.micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        record.answer_bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.audit.write(record).await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.record.method.is_empty() {
            return;
        }
        let mut record = std::mem::take(&mut self.record);
        "cancelled".clone_into(&mut record.outcome);
        record.micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.audit.write_now(record);
    }
}
