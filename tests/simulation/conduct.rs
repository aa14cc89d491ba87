//! What one process has seen of the Engine, to judge what it does: it acts only on what it has seen, and looks again where it cannot tell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use planner::plan::ContainerCreate;

/// What a process has seen.
#[derive(Debug, Default)]
pub(crate) struct Conduct(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    containers: BTreeSet<String>,
    /// Grows with everything that begins or fails, so that it can be told what came first.
    moment: u64,
    /// Creates that ended without an answer, by what and for which place.
    untold: BTreeMap<(&'static str, String), Untold>,
}

#[derive(Debug)]
struct Untold {
    name: String,
    since: u64,
}

impl Conduct {
    /// An observation begins.
    pub(crate) fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.moment += 1;
        state.moment
    }

    /// A list of containers that was asked for then has come.
    pub(crate) fn saw_containers<'id>(&self, begun: u64, ids: impl Iterator<Item = &'id str>) {
        let mut state = self.lock();
        for id in ids {
            if !state.containers.contains(id) {
                state.containers.insert(id.to_owned());
            }
        }
        state.untold.retain(|(what, _), untold| *what != "container" || untold.since > begun);
    }

    /// A container was inspected.
    pub(crate) fn saw_container(&self, begun: u64, id_or_name: &str, id: Option<&str>) {
        let mut state = self.lock();
        state.containers.extend(id.map(str::to_owned));
        state
            .untold
            .retain(|(what, _), untold| *what != "container" || untold.since > begun || untold.name != id_or_name);
    }

    /// A list of networks that was asked for then has come.
    pub(crate) fn saw_networks(&self, begun: u64) {
        self.lock().untold.retain(|(what, _), untold| *what != "network" || untold.since > begun);
    }

    /// A container was made and its id told.
    pub(crate) fn made_container(&self, id: &str) {
        self.lock().containers.insert(id.to_owned());
    }

    /// A create ended without an answer.
    pub(crate) fn cannot_tell(&self, what: &'static str, place: &str, name: &str) {
        let mut state = self.lock();
        state.moment += 1;
        let since = state.moment;
        state.untold.insert((what, place.to_owned()), Untold { name: name.to_owned(), since });
    }

    /// Whether a create for this place ended without an answer, and nobody looked since.
    pub(crate) fn is_untold(&self, what: &str, place: &str) -> bool {
        self.lock().untold.keys().any(|(other, of)| *other == what && of == place)
    }

    /// Whether the process has ever been told of a container.
    pub(crate) fn knows_container(&self, id: &str) -> bool {
        self.lock().containers.contains(id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which place a container is created for: an object and an ordinal, where it is an object's.
pub(crate) fn slot_of_create(container: &ContainerCreate) -> String {
    let labels = ["kind", "namespace", "name", "ordinal"];
    let values: Option<Vec<&str>> = labels
        .iter()
        .map(|label| container.config.labels.get(&format!("evenkeel.dev/{label}")).map(String::as_str))
        .collect();
    values.map_or_else(|| container.name.clone(), |values| values.join("/"))
}
