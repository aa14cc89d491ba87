//! Which containers a server is to have, by who uses it. Pure.

use std::collections::BTreeSet;

use crds_schema::kinds::mcp_server::{InstanceBounds, McpRoute};
use gateway::hub::Demand;
use gateway::lease::LeaseBook;
use planner::World;
use planner::world::Demand as WorldDemand;

/// A container of a server, by what is lent of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    id: String,
    ordinal: u32,
    lending: Lending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lending {
    /// Nobody has had it to himself.
    Fresh,
    /// Somebody has.
    Taken,
    /// Somebody had.
    UsedUp,
}

/// The containers of a server as they are now. To be asked for before the demand: who has taken one by then no longer waits for one.
pub(super) fn held(route: &McpRoute, world: &World, leases: &LeaseBook) -> Vec<Held> {
    let lending = |id: &str| match (leases.is_fresh(id), leases.is_taken(id)) {
        (true, _) => Lending::Fresh,
        // Nobody has a shared one to himself: who has it since before it was shared is to take another.
        (false, true) if route.isolation.is_exclusive() => Lending::Taken,
        (false, _) => Lending::UsedUp,
    };
    let containers = world.containers_of(&route.key);
    let held = |container: &planner::inventory::ObservedContainer| Held {
        id: container.id.to_string(),
        ordinal: container.ordinal,
        lending: lending(&container.id),
    };
    containers.map(held).collect()
}

/// Which of the containers that somebody had to himself are not there any more. The world must hold all that the Engine has.
pub(super) fn gone(world: &World, leases: &LeaseBook) -> Vec<String> {
    // Those of an object that is being removed are there: it may come back.
    leases.ids().into_iter().filter(|id| world.probe(id).is_none()).collect()
}

/// What several hubs need of a server.
pub(super) fn add(one: Demand, other: Demand) -> Demand {
    Demand {
        leased: one.leased + other.leased,
        waiting: one.waiting + other.waiting,
        is_in_use: one.is_in_use || other.is_in_use,
        is_known: one.is_known || other.is_known,
    }
}

/// Which containers a server is to have.
pub(super) fn wanted(route: &McpRoute, held: &[Held], demand: Demand) -> WorldDemand {
    let with = |lending| held.iter().filter(move |held| held.lending == lending);
    let total = total(route, demand, with(Lending::Taken).count(), with(Lending::Fresh).next().is_some());
    let mut ordinals: BTreeSet<u32> = with(Lending::Taken).map(|held| held.ordinal).collect();
    let fresh: BTreeSet<u32> = with(Lending::Fresh).map(|held| held.ordinal).collect();
    let is_free = |ordinal: &u32| held.iter().all(|held| held.ordinal != *ordinal);
    // What is there is kept, and what is new gets none that what is on its way out still has.
    for ordinal in fresh.into_iter().chain((0..).filter(is_free)) {
        if ordinals.len() >= total {
            break;
        }
        ordinals.insert(ordinal);
    }
    WorldDemand { ordinals, used_up: with(Lending::UsedUp).map(|held| held.id.clone()).collect() }
}

fn total(route: &McpRoute, demand: Demand, taken: usize, is_there: bool) -> usize {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let InstanceBounds { min, max, .. } = route.instances;
    let one_if = usize::from;
    if !route.isolation.is_exclusive() {
        // What was used a while ago is kept, and not made anew: nobody waits for it.
        let is_kept = demand.is_in_use && is_there;
        return count(min).max(one_if(demand.waiting > 0 || is_kept || !demand.is_known));
    }
    let spare = count(min).max(demand.waiting).max(one_if(!demand.is_known));
    // Who took one a moment ago may not have said so yet.
    (demand.leased.max(taken) + spare).min(count(max))
}

#[cfg(test)]
mod tests {
    use gateway::hub::Demand;
    use serde_json::{Value, json};

    use super::{Held, Lending, wanted};

    fn check(spec: Value, held: &[(u32, Lending)], demand: (usize, usize, bool), expected: &[u32]) {
        let metadata = serde_json::from_value(json!({ "name": "time" })).unwrap();
        let server: crds_schema::kinds::mcp_server::McpServer = serde_json::from_value(spec).unwrap();
        let (leased, waiting, is_in_use) = demand;
        let demand = Demand { leased, waiting, is_in_use, is_known: true };
        let held: Vec<Held> = held
            .iter()
            .map(|(ordinal, lending)| Held { id: format!("c{ordinal}"), ordinal: *ordinal, lending: *lending })
            .collect();
        let found = wanted(&server.route(&metadata), &held, demand);
        assert_eq!(found.ordinals.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_session_has_one_and_one_is_ready_for_the_next() {
        use Lending::{Fresh, Taken, UsedUp};
        let spec = || json!({ "image": "time:1", "isolation": "PerSession", "instances": { "max": 3 } });
        check(spec(), &[], (0, 0, false), &[0]);
        check(spec(), &[(0, Fresh)], (0, 0, false), &[0]);
        check(spec(), &[(0, Taken)], (1, 0, true), &[0, 1]);
        check(spec(), &[(0, UsedUp), (1, Fresh)], (0, 0, false), &[1]);
        check(spec(), &[(0, UsedUp)], (0, 0, false), &[1]);
        check(spec(), &[(0, Taken), (2, Taken)], (2, 2, true), &[0, 1, 2]);
        check(spec(), &[(0, Taken), (1, Taken), (2, Taken)], (3, 1, true), &[0, 1, 2]);
        check(spec(), &[(0, Fresh), (1, Fresh), (2, Taken)], (1, 0, true), &[0, 2]);
        check(spec(), &[(0, Fresh), (1, Taken)], (0, 0, true), &[0, 1]);
    }

    #[test]
    fn what_is_started_when_it_is_needed_runs_for_as_long_as_it_is() {
        let spec = || json!({ "image": "time:1", "instances": { "min": 0, "start": "Lazy" } });
        check(spec(), &[], (0, 0, false), &[]);
        check(spec(), &[], (0, 2, true), &[0]);
        check(spec(), &[], (0, 0, true), &[]);
        check(spec(), &[(0, Lending::Fresh)], (0, 0, true), &[0]);
        check(spec(), &[(0, Lending::Fresh)], (0, 0, false), &[]);
    }

    #[test]
    fn where_nothing_is_known_of_it_one_is_asked_what_it_lists() {
        let metadata = serde_json::from_value(json!({ "name": "time" })).unwrap();
        let spec = json!({ "image": "time:1", "isolation": "PerCall", "instances": { "min": 0, "start": "Lazy" } });
        let server: crds_schema::kinds::mcp_server::McpServer = serde_json::from_value(spec).unwrap();
        assert_eq!(wanted(&server.route(&metadata), &[], Demand::default()).ordinals.len(), 1);
    }
}
