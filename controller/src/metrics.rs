//! Metrics: every counter and gauge of the controller, registered in one place and there from the start, at zero.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Every metric. A clone shares the numbers with what it was cloned from.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Passes over one object, by result.
    pub reconciles: Family<ReconcileLabels, Counter>,
    /// Calls to the Engine, by operation and outcome.
    pub engine_calls: Family<EngineCallLabels, Counter>,
    /// Events recorded, by type; a repetition counts.
    pub events: Family<EventLabels, Counter>,
    /// Differences made by somebody else that were put right.
    pub drift_repaired: Counter,
    /// Keys that wait in the queue, the delayed ones too.
    pub queue_depth: Gauge,
    /// Objects, by whether they are ready.
    pub objects: Family<ReadinessLabels, Gauge>,
    /// Batches written durably to the store.
    pub store_commits: Counter<u64, AtomicU64>,
    /// Panics caught in a reconcile; each is a fault of ours.
    pub panics_caught: Counter,
}

/// How a pass over one object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelValue)]
pub enum ReconcileResult {
    /// Nothing to do and nothing to wait for.
    Settled,
    /// Calls were made, and all of them worked.
    Changed,
    /// Nothing could be done yet.
    Waiting,
    /// A call failed.
    Failed,
}

/// How a call to the Engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelValue)]
pub enum CallOutcome {
    /// It was done.
    Done,
    /// It was refused, or did not get there.
    Failed,
    /// It ended without an answer.
    Unknown,
}

/// Labels of [`Metrics::reconciles`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcileLabels {
    /// How the pass ended.
    pub result: ReconcileResult,
}

/// Labels of [`Metrics::engine_calls`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EngineCallLabels {
    /// The method of the `Engine` trait, such as `create_container`; never a name of a thing.
    pub operation: &'static str,
    /// How the call ended.
    pub outcome: CallOutcome,
}

/// Labels of [`Metrics::events`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// `Normal` or `Warning`.
    pub r#type: &'static str,
}

/// Labels of [`Metrics::objects`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReadinessLabels {
    /// `true` or `false`.
    pub ready: &'static str,
}

/// The changing operations of the Engine, so that each has its counters from the start.
const CHANGING_OPERATIONS: [&str; 15] = [
    "pull_image",
    "import_image",
    "create_network",
    "remove_network",
    "create_volume",
    "remove_volume",
    "create_container",
    "start_container",
    "stop_container",
    "unpause_container",
    "rename_container",
    "update_container",
    "remove_container",
    "connect_network",
    "disconnect_network",
];

impl Metrics {
    /// New metrics, registered under the prefix `evenkeel`, every series with known labels at zero.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("evenkeel");
        registry.register("reconciles", "Passes over one object, by result", metrics.reconciles.clone());
        registry.register(
            "engine_calls",
            "Calls to the Engine, by operation and outcome",
            metrics.engine_calls.clone(),
        );
        registry.register("events", "Events recorded, by type", metrics.events.clone());
        registry.register(
            "drift_repaired",
            "Differences made by somebody else, put right",
            metrics.drift_repaired.clone(),
        );
        registry.register("queue_depth", "Keys that wait in the queue", metrics.queue_depth.clone());
        registry.register("objects", "Objects, by whether they are ready", metrics.objects.clone());
        registry.register("store_commits", "Batches written to the store", metrics.store_commits.clone());
        registry.register("panics_caught", "Panics caught in a reconcile", metrics.panics_caught.clone());
        metrics.touch_every_series();
        metrics
    }

    /// Counts a pass.
    pub fn count_reconcile(&self, result: ReconcileResult) {
        self.reconciles.get_or_create(&ReconcileLabels { result }).inc();
    }

    /// Counts a call to the Engine; `operation` is the trait's method.
    pub fn count_engine_call(&self, operation: &'static str, outcome: CallOutcome) {
        self.engine_calls.get_or_create(&EngineCallLabels { operation, outcome }).inc();
    }

    /// Counts an event.
    pub fn count_event(&self, is_warning: bool) {
        self.events.get_or_create(&EventLabels { r#type: event_type_label(is_warning) }).inc();
    }

    /// Sets how many objects are ready and how many are not.
    pub fn set_objects(&self, ready: usize, not_ready: usize) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.objects.get_or_create(&ReadinessLabels { ready: "true" }).set(count(ready));
        self.objects.get_or_create(&ReadinessLabels { ready: "false" }).set(count(not_ready));
    }

    /// A series that appears only with its first increment hides that increment from `rate()`.
    fn touch_every_series(&self) {
        for result in
            [ReconcileResult::Settled, ReconcileResult::Changed, ReconcileResult::Waiting, ReconcileResult::Failed]
        {
            drop(self.reconciles.get_or_create(&ReconcileLabels { result }));
        }
        for operation in CHANGING_OPERATIONS {
            for outcome in [CallOutcome::Done, CallOutcome::Failed, CallOutcome::Unknown] {
                drop(self.engine_calls.get_or_create(&EngineCallLabels { operation, outcome }));
            }
        }
        for is_warning in [false, true] {
            drop(self.events.get_or_create(&EventLabels { r#type: event_type_label(is_warning) }));
        }
        self.set_objects(0, 0);
    }
}

const fn event_type_label(is_warning: bool) -> &'static str {
    if is_warning { "Warning" } else { "Normal" }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::{CallOutcome, Metrics};

    #[test]
    fn every_series_is_there_at_zero_before_anything_happened() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "evenkeel_reconciles_total{result=\"Settled\"} 0",
            "evenkeel_engine_calls_total{operation=\"create_container\",outcome=\"Unknown\"} 0",
            "evenkeel_events_total{type=\"Warning\"} 0",
            "evenkeel_objects{ready=\"false\"} 0",
            "evenkeel_drift_repaired_total 0",
            "evenkeel_panics_caught_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
        }
        metrics.count_engine_call("create_container", CallOutcome::Done);
        text.clear();
        encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("evenkeel_engine_calls_total{operation=\"create_container\",outcome=\"Done\"} 1"),
            "{text}"
        );
    }
}
