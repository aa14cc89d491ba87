//! What the audit says of a request that a client makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::late::Late;
use crate::audit::{AuditRecord, Draft, arguments_of, beginning_of};
use crate::hub::Hub;
use crate::metrics::ServerMetrics;
use crate::relay::{Aim, Caller, Relay};
use crate::secrets::Secrets;
use crate::wire::params::Params;

/// How many characters are told of what a request is for.
const NAME_CHARS: usize = 200;
/// How many are told where it is for many things.
const NAMES_CHARS: usize = 2_000;

/// What the audit says of one request. Dropped before it has ended, it says that it was cancelled.
#[derive(Debug)]
pub(super) struct Entry {
    draft: Draft,
    secrets: Arc<Secrets>,
    /// The counters of the server that it is for, once that is known.
    server: Option<Arc<ServerMetrics>>,
}

impl Entry {
    /// A request begins.
    pub(super) fn begin(hub: &Hub, caller: &Caller, method: &str, params: Option<&Params<'_>>) -> Self {
        let secrets = hub.secrets();
        let has_values = hub.has_values();
        let field = if method == "subscriptions/listen" { "notifications" } else { "arguments" };
        let arguments = params.and_then(|params| params.fields.get(field));
        let arguments = arguments.filter(|arguments| *arguments != "null" && hub.audit.is_enabled());
        let arguments = arguments.and_then(|arguments| arguments_of(&secrets.hide(arguments), has_values));
        let record = AuditRecord {
            principal: caller.principal.name.to_string(),
            session: caller.session.as_ref().map(|session| session.digest().to_owned()),
            era: Some(caller.era.as_str().into()),
            method: beginning_of(&secrets.hide(method), 100),
            arguments,
            ..AuditRecord::default()
        };
        Self { draft: Draft::begin(&hub.audit, has_values, record), secrets, server: None }
    }

    /// It goes to a server.
    pub(super) fn goes_to(&mut self, relay: &Relay) {
        self.server.get_or_insert_with(|| Arc::clone(relay.server_metrics()));
        self.set_target(Some(&relay.target.server), &relay.target.original, NAME_CHARS);
        let instance = relay.instance().map(|instance| beginning_of(instance.id(), 12));
        self.draft.edit(|record| record.instance = instance);
    }

    /// It would have gone there.
    pub(super) fn is_for(&mut self, hub: &Hub, aim: &Aim) {
        match aim {
            Aim::Nothing => {}
            Aim::Unknown(name) => self.set_target(None, name, NAME_CHARS),
            Aim::Withheld(target) | Aim::At(target) => {
                self.server = hub.server(&target.server).map(|server| Arc::clone(&server.metrics));
                self.set_target(Some(&target.server), &target.original, NAME_CHARS);
            }
        }
    }

    /// It is for these, one after the other. `server`: whose they are, where they are all one server's.
    pub(super) fn is_for_all(&mut self, server: Option<&str>, names: &str) {
        self.set_target(server, names, NAMES_CHARS);
    }

    fn set_target(&mut self, server: Option<&str>, name: &str, limit: usize) {
        let name = beginning_of(&self.secrets.hide(name), limit);
        self.draft.edit(|record| {
            record.server = server.map(str::to_owned);
            record.name = Some(name);
        });
    }

    /// What the client is answered, without what it may not be told.
    pub(super) fn set_result(&mut self, text: &str) {
        self.draft.set_result(text);
    }

    /// How long it has taken so far.
    pub(super) fn took(&self) -> Duration {
        self.draft.took()
    }

    /// The request has ended.
    pub(super) async fn end(self, hub: &Hub, outcome: &'static str, code: Option<i64>, bytes: usize) {
        self.count(hub, outcome);
        self.draft.end(outcome, code, bytes).await;
    }

    /// The request has ended well, and is written down once its answer is on its way.
    pub(super) async fn end_late(self, hub: &Hub, late: &Late, bytes: usize) {
        const OUTCOME: &str = "ok";
        self.count(hub, OUTCOME);
        if let Some(ended) = self.draft.end_later(OUTCOME, None, bytes).await {
            late.put(ended);
        }
    }

    fn count(&self, hub: &Hub, outcome: &str) {
        let all = &hub.metrics;
        let server = self.server.as_deref();
        let of_server = |counter: fn(&ServerMetrics) -> &AtomicU64| server.map(counter);
        let (counters, is_sent) = match outcome {
            "ok" | "toolError" => ([Some(&all.ok), of_server(|server| &server.ok)], true),
            "denied" | "refused" => ([Some(&all.denied), of_server(|server| &server.denied)], false),
            _ => ([Some(&all.errors), of_server(|server| &server.errors)], true),
        };
        for counter in counters.into_iter().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(server) = server.filter(|_| is_sent) {
            let took = self.draft.took();
            all.calls.observe(took);
            server.calls.observe(took);
        }
    }
}
