//! Who runs instances as the hub needs them, as the keeper of containers does, and who meddles with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gateway::config::{CallLimits, Endpoint, Instance, Isolation, ServerConfig};
use gateway::hub::{Demand, Hub, InstanceHealth};
use gateway::lease::LeaseBook;
use tokio::time::{Instant, timeout};

use super::engine::Engine;
use super::ledger::Ledger;
use super::mutants::Mutant;
use super::server::Kind;

/// How often it looks when nothing is told.
const LOOK_TIME: Duration = Duration::from_millis(250);
/// How many calls a server takes at once.
pub(crate) const CONCURRENCY: usize = 6;

/// One instance that there is.
#[derive(Debug)]
struct Slot {
    id: String,
    run_ms: i64,
    generation: u64,
    /// It was begun anew, and that is seen then.
    seen_at: Option<Instant>,
    /// It has ended, and is begun anew then, or is not.
    dead: Option<(Instant, bool)>,
}

/// One server.
#[derive(Debug)]
struct Place {
    kind: Arc<Kind>,
    slots: Vec<Slot>,
    generation: u64,
    /// The largest result; a change of it loses nothing.
    result_bytes: usize,
    away_until: Option<Instant>,
}

/// Runs instances.
#[derive(Debug)]
pub(crate) struct Runner {
    hub: Arc<Hub>,
    leases: Arc<LeaseBook>,
    engine: Arc<Engine>,
    ledger: Arc<Ledger>,
    rng: fastrand::Rng,
    places: Vec<Place>,
    started: u64,
    told: Vec<ServerConfig>,
    /// Until when it meddles.
    calm_at: Instant,
    was_waiting: BTreeSet<String>,
}

impl Runner {
    pub(crate) fn new(
        (hub, leases): (&Arc<Hub>, &Arc<LeaseBook>),
        engine: &Arc<Engine>,
        ledger: &Arc<Ledger>,
        (kinds, calm_at): (&[Arc<Kind>], Instant),
        rng: fastrand::Rng,
    ) -> Self {
        let place = |kind: &Arc<Kind>| Place {
            kind: Arc::clone(kind),
            slots: Vec::new(),
            generation: 0,
            result_bytes: 1 << 20,
            away_until: None,
        };
        Self {
            hub: Arc::clone(hub),
            leases: Arc::clone(leases),
            engine: Arc::clone(engine),
            ledger: Arc::clone(ledger),
            rng,
            places: kinds.iter().map(place).collect(),
            started: 0,
            told: Vec::new(),
            calm_at,
            was_waiting: BTreeSet::new(),
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut demands = self.hub.demands();
        let mut meddles_at = Instant::now();
        loop {
            self.keep();
            if Instant::now() < self.calm_at && Instant::now() >= meddles_at {
                self.meddle();
                self.keep();
                meddles_at = Instant::now() + Duration::from_millis(self.rng.u64(200..1_500));
            }
            // Nobody is left to tell when it fails, and it is looked at again all the same.
            drop(timeout(LOOK_TIME, demands.changed()).await);
        }
    }

    fn keep(&mut self) {
        let demands = self.hub.look_at_demands();
        let (health, taking_over) = (self.hub.health().borrow().clone(), self.hub.taking_over().borrow().clone());
        let mut places = std::mem::take(&mut self.places);
        for place in &mut places {
            let demand = demands.get(place.kind.name.as_str()).copied().unwrap_or_default();
            self.keep_place(place, demand, &health, &taking_over);
        }
        let there = places.iter().filter(|place| place.away_until.is_none());
        let configs: Vec<ServerConfig> = there.map(config).collect();
        self.places = places;
        if configs != self.told {
            self.told.clone_from(&configs);
            self.hub.set_servers(configs);
        }
    }

    fn keep_place(
        &mut self,
        place: &mut Place,
        demand: Demand,
        health: &BTreeMap<String, InstanceHealth>,
        taking_over: &BTreeSet<String>,
    ) {
        if let Some(until) = place.away_until {
            if Instant::now() < until {
                return;
            }
            place.away_until = None;
            self.ledger.trace.count("recovery: server came back");
        }
        let kind = Arc::clone(&place.kind);
        let is_shared = kind.sharing.isolation == Isolation::Shared;
        let generation = place.generation;
        place.slots.retain_mut(|slot| self.keep_slot(slot, &kind));
        // An old shared one goes once a new one answers, and no call is under way on any old one.
        let is_taken_over = is_shared
            && place.slots.iter().any(|slot| {
                slot.generation == generation
                    && health.get(&slot.id) == Some(&InstanceHealth::Ready)
                    && !taking_over.contains(&slot.id)
            });
        let leases = Arc::clone(&self.leases);
        let total = total(&kind, demand);
        let is_hasty = self.ledger.is(Mutant::ReplacesAtOnce);
        place.slots.retain(|slot| {
            let is_old = slot.generation != generation;
            let goes =
                is_old && (if is_shared { is_taken_over || total == 0 || is_hasty } else { leases.is_fresh(&slot.id) });
            if goes {
                self.engine.stop(&slot.id);
                self.ledger.trace.count("recovery: old instance replaced");
            }
            !goes
        });
        let is_counted = |slot: &&Slot| slot.generation == generation || leases.is_taken(&slot.id);
        while place.slots.iter().filter(is_counted).count() < total {
            self.started += 1;
            let id = format!("{}-{}", kind.name, self.started);
            self.engine.start(&id, &kind, self.rng.fork());
            place.slots.push(Slot { id, run_ms: 1, generation, seen_at: None, dead: None });
        }
        if demand.waiting > 0 {
            self.was_waiting.insert(kind.name.clone());
        } else if self.was_waiting.remove(&kind.name) {
            self.ledger.trace.count("recovery: nobody waits any more");
        }
        if self.ledger.is(Mutant::KeepsTooMany) {
            return;
        }
        while place.slots.iter().filter(is_counted).count() > total
            && let Some(at) = place
                .slots
                .iter()
                .position(|slot| slot.generation == generation && (is_shared || leases.is_fresh(&slot.id)))
        {
            let slot = place.slots.remove(at);
            self.engine.stop(&slot.id);
            self.ledger.trace.count("recovery: instance stopped that nobody needs");
        }
    }

    /// Whether a slot stays.
    fn keep_slot(&mut self, slot: &mut Slot, kind: &Arc<Kind>) -> bool {
        if self.leases.is_used_up(&slot.id) {
            self.engine.stop(&slot.id);
            self.ledger.trace.count("recovery: used-up instance removed");
            return false;
        }
        if slot.seen_at.is_some_and(|at| Instant::now() >= at) {
            slot.seen_at = None;
            slot.run_ms += 1;
            self.ledger.trace.count("recovery: new run seen");
        }
        if slot.dead.is_none() && self.engine.process(&slot.id).is_none_or(|process| process.is_dead()) {
            let at = Instant::now() + Duration::from_millis(self.rng.u64(0..1_500));
            slot.dead = Some((at, self.rng.bool()));
        }
        let Some((at, comes_back)) = slot.dead else { return true };
        if Instant::now() < at {
            return true;
        }
        if comes_back {
            slot.dead = None;
            slot.run_ms += 1;
            self.engine.start(&slot.id, kind, self.rng.fork());
            self.ledger.trace.count("recovery: instance begun anew");
        } else {
            self.engine.stop(&slot.id);
        }
        comes_back
    }

    /// Something goes wrong, or changes.
    fn meddle(&mut self) {
        let count = self.places.len();
        let chosen = self.rng.usize(0..count);
        let place = &mut self.places[chosen];
        let trace = &self.ledger.trace;
        let living: Vec<&mut Slot> = place.slots.iter_mut().filter(|slot| slot.dead.is_none()).collect();
        let chosen = self.rng.usize(0..living.len().max(1));
        let slot = living.into_iter().nth(chosen);
        match (self.rng.u8(0..14), slot) {
            (0..=2, Some(slot)) => {
                let had_calls = self.engine.kill(&slot.id);
                trace.count(if had_calls { "fault: died with calls" } else { "fault: died without calls" });
            }
            (3..=4, Some(slot)) => {
                trace.say(&format!("{} is cut off", slot.id));
                trace.count("fault: cut off");
                let until = Instant::now() + Duration::from_millis(self.rng.u64(0..2_000));
                self.engine.refuse(&slot.id, until);
            }
            (5..=7, _) => {
                trace.say(&format!("{} is updated", place.kind.name));
                trace.count("fault: updated");
                place.generation += 1;
            }
            (8..=9, Some(slot)) => {
                trace.count("fault: list changed");
                if let Some(process) = self.engine.process(&slot.id) {
                    process.change_list();
                }
            }
            (13, _) => {
                trace.say(&format!("{} has another limit", place.kind.name));
                trace.count("fault: limit changed");
                place.result_bytes += 1;
            }
            (12, Some(slot)) => {
                trace.count("fault: begun anew unseen");
                self.engine.kill(&slot.id);
                self.engine.start(&slot.id, &place.kind, self.rng.fork());
                slot.seen_at = Some(Instant::now() + Duration::from_millis(self.rng.u64(0..3_000)));
            }
            (10, _) if place.away_until.is_none() && self.rng.u8(0..3) == 0 => {
                trace.say(&format!("{} is taken away", place.kind.name));
                trace.count("fault: servers changed");
                place.away_until = Some(Instant::now() + Duration::from_millis(self.rng.u64(0..2_000)));
                self.ledger.cut(&place.kind.name, &BTreeSet::new());
                for slot in place.slots.drain(..) {
                    self.engine.kill(&slot.id);
                }
            }
            _ => {}
        }
    }
}

/// How many instances a server is to have.
pub(crate) fn total(kind: &Kind, demand: Demand) -> usize {
    let sharing = kind.sharing;
    if !sharing.is_on_demand {
        return sharing.max;
    }
    let needed = match sharing.isolation {
        Isolation::Shared => usize::from(demand.waiting > 0 || demand.is_in_use),
        Isolation::PerSession | Isolation::PerCall => demand.leased + kind.spare.max(demand.waiting),
    };
    needed.max(usize::from(!demand.is_known)).min(sharing.max)
}

fn config(place: &Place) -> ServerConfig {
    let instance = |slot: &Slot| Instance {
        id: slot.id.clone(),
        run_ms: Some(slot.run_ms),
        is_current: slot.generation == place.generation,
        is_leaving: false,
        endpoint: Endpoint::Stdio,
    };
    let calls = CallLimits {
        timeout: place.kind.timeout,
        concurrency: CONCURRENCY,
        result_bytes: place.result_bytes,
        ..CallLimits::default()
    };
    let instances = place.slots.iter().filter(|slot| slot.dead.is_none()).map(instance).collect();
    ServerConfig { calls, sharing: place.kind.sharing, ..ServerConfig::of(&place.kind.name, instances) }
}
