//! What is judged at the border, before a call is done: whether what it stops, starts or removes may be.

use std::collections::BTreeSet;

use controller::engine::simulated::{Call, ContainerView, View};
use crds_schema::ObjectKey;
use planner::observed::ContainerState;

use super::{PASS_MS, Record, State, slot_of};
use crate::simulation::admission::fault_of_first_start;
use crate::simulation::meddler::MEDDLED;
use crate::simulation::wanted::App;

impl State {
    /// S4: what serves is stopped only for a reason.
    pub(super) fn before_stop(
        &mut self,
        call: &Call,
        view: &View<'_>,
        container: &ContainerView<'_>,
        slot: (&ObjectKey, u32),
    ) {
        self.before_remove(call, container, slot.0);
        let id = container.id();
        // What somebody else started that never was to run was never relied on.
        let was_ours_to_run = self.records.get(id).is_some_and(|record| record.was_started_by_us);
        // It is judged by when the call was sent: it may have begun to serve again since.
        let served_then = self.records.get(id).and_then(|record| record.serving_since_ms);
        let was_serving = served_then.is_none_or(|since_ms| since_ms <= call.sent_ms);
        if !container.is_serving() || !was_serving || !was_ours_to_run {
            return;
        }
        let specs = self.specs_of(slot.0, call.sent_ms, view.now_ms());
        let is_told_to = specs.iter().any(|spec| match spec {
            None => true,
            Some(app) => app.is_stopped || app.replicas <= slot.1 || self.is_network_changed(slot.0, app, view),
        });
        if is_told_to {
            return;
        }
        let is_other =
            |other: &ContainerView<'_>| other.id() != id && slot_of(other).as_ref() == Some(&(slot.0.clone(), slot.1));
        // By then it was there, or somebody had removed it a moment before.
        let is_recent = |record: &Record| {
            record.created_ms <= call.sent_ms && record.gone_ms.is_none_or(|gone_ms| gone_ms + PASS_MS >= call.sent_ms)
        };
        let has_other = view.containers().any(|other| is_other(&other) && self.ours.contains(&**other.id()))
            || self
                .records
                .iter()
                .any(|(other, record)| other != id && (&record.owner, record.ordinal) == slot && is_recent(record));
        if has_other && specs.iter().flatten().any(App::is_stop_first) {
            return;
        }
        let has_proved = self
            .records
            .iter()
            .any(|(other, record)| other != id && (&record.owner, record.ordinal) == slot && record.is_proved);
        let is_duplicate = view.containers().any(|other| is_other(&other) && other.is_serving());
        let is_complete = view.containers().any(|other| is_other(&other) && has_ended_as_it_may(&other, &specs));
        if !has_proved && !is_duplicate && !is_complete {
            let (name, owner) = (container.name(), slot.0);
            self.accuse(format!("S4: `{name}` of {owner} is stopped while it serves and nothing has replaced it"));
        }
    }

    /// Whether a network that an app uses was ever changed, or is there more or less often than once.
    fn is_network_changed(&self, owner: &ObjectKey, app: &App, view: &View<'_>) -> bool {
        app.networks.iter().any(|name| {
            let key = ObjectKey {
                kind: crds_schema::Kind::Network,
                namespace: owner.namespace.clone(),
                name: name.parse().expect("a name"),
            };
            let engine_name = key.engine_name();
            let there = view.networks().filter(|(_, name)| ***name == *engine_name).count();
            there != 1 || self.known.was_changed(&key)
        })
    }

    /// S5: two containers of a slot that exclude each other never run at once by our doing. S16: what a start depends on has served.
    pub(super) fn before_start(
        &mut self,
        call: &Call,
        view: &View<'_>,
        container: &ContainerView<'_>,
        slot: (&ObjectKey, u32),
    ) {
        let specs = self.specs_of(slot.0, call.sent_ms, view.now_ms());
        let is_stop_first = !specs.is_empty() && specs.iter().all(|spec| spec.as_ref().is_some_and(App::is_stop_first));
        if is_stop_first && container.state() != ContainerState::Running {
            let is_rival = |other: &ContainerView<'_>| {
                other.id() != container.id()
                    && slot_of(other).as_ref() == Some(&(slot.0.clone(), slot.1))
                    && other.state() == ContainerState::Running
                    // Somebody renamed it, perhaps before it was known by its id.
                    && !other.name().starts_with(MEDDLED)
                    && self.records.get(other.id()).is_some_and(|record| record.is_started_by_us)
            };
            // A process that was killed had asked for its start, and it came after the next one had looked: see the gaps in
            // `docs/reliability.md`.
            let first_ms = self.first_calls.get(&call.actor).copied().unwrap_or(0);
            let started = |rival: &ContainerView<'_>| self.records.get(rival.id()).and_then(|record| record.started);
            let is_late = |rival: &ContainerView<'_>| {
                started(rival).is_some_and(|(actor, at_ms)| actor != call.actor && at_ms >= first_ms)
            };
            let rival = view.containers().find(is_rival);
            if rival.as_ref().is_some_and(is_late) {
                self.trace.count("gap: a start of a killed controller came late");
            } else if let Some(rival) = rival
                && !self.gaps.came_too_late(call, view.now_ms(), started(&rival).map(|(_, at_ms)| at_ms))
            {
                let (name, rival) = (container.name(), rival.name());
                self.accuse(format!("S5: `{name}` is started while `{rival}` runs, which excludes it"));
            }
        }
        if container.started_ms().is_some() {
            return;
        }
        let made_with = self.records.get(container.id()).map_or(0, |record| record.memory);
        if let Some(fault) = fault_of_first_start(container, made_with, &specs) {
            self.accuse(fault);
        }
        let needs: BTreeSet<&str> = match specs.last() {
            Some(Some(app)) => app.depends_on.iter().copied().collect(),
            Some(None) | None => return,
        };
        let is_always_needed =
            |name: &&str| specs.iter().all(|spec| spec.as_ref().is_some_and(|app| app.depends_on.contains(name)));
        for name in needs.into_iter().filter(is_always_needed) {
            let needed = ObjectKey { name: name.parse().expect("a name"), ..slot.0.clone() };
            let has_served = self.records.values().any(|record| record.owner == needed && record.has_served);
            // One that wants no container that runs has all that it wants.
            let wants_none = self
                .known
                .during(&needed, call.sent_ms)
                .iter()
                .flatten()
                .any(|app| app.replicas == 0 || app.is_stopped);
            let versions = self.known.during(&needed, call.sent_ms);
            let is_of_it = |other: &ContainerView<'_>| slot_of(other).is_some_and(|(owner, _)| owner == needed);
            let has_ended = view.containers().any(|other| is_of_it(&other) && has_ended_as_it_may(&other, &versions));
            if !has_served && !wants_none && !has_ended {
                let started = container.name();
                self.accuse(format!("S16: `{started}` is started before {name}, which it depends on, ever was"));
            }
        }
    }

    /// S8: what is missing from the manifests goes only where prune may.
    pub(super) fn before_remove(&mut self, call: &Call, container: &ContainerView<'_>, owner: &ObjectKey) {
        let specs = self.known.during(owner, call.sent_ms);
        let is_missing = specs.iter().all(Option::is_none) && !specs.is_empty();
        if is_missing && !self.removable.contains(owner) && !self.is_confirmed {
            let name = container.name();
            self.accuse(format!("S8: `{name}` of {owner} goes although prune may not take it"));
        }
    }

    /// S3: a volume goes only where its object said so and is gone.
    pub(super) fn before_remove_volume(&mut self, call: &Call, view: &View<'_>) {
        let is_there = view.volumes().any(|name| **name == *call.subject);
        self.check_ours(call, is_there);
        let said_delete = || {
            let key = self.known.volume_named(&call.subject);
            key.is_some_and(|key| self.gaps.was_last_heard_to_say(key, "\"deletionPolicy\":\"Delete\""))
        };
        if is_there && !self.known.allows_volume_removal(&call.subject, call.sent_ms) && !said_delete() {
            self.accuse(format!("S3: volume `{}` is removed although it is to be kept", call.subject));
        }
    }
}

/// Whether a container has ended as some version of its manifest lets it: then it is complete.
fn has_ended_as_it_may(container: &ContainerView<'_>, versions: &[Option<App>]) -> bool {
    let may_end = |app: &App, code: i64| app.restart == "Never" || (app.restart == "OnFailure" && code == 0);
    container.exit_code().is_some_and(|code| versions.iter().flatten().any(|app| may_end(app, code)))
}
