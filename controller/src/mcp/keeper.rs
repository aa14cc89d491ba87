//! The keeper of hubs: one for each gateway of the board, one for the servers of a namespace that none offers, and what they tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crds_schema::kinds::mcp_server::McpRoute;
use crds_schema::{Kind, Name, ObjectKey};
use futures_util::future::join_all;
use gateway::config::{GatewayConfig, ServerConfig};
use gateway::hub::InstanceHealth;
use gateway::lease::LeaseBook;
use gateway::pin::{Desk, Review};
use planner::inventory::ProbeOutcome;
use tokio::sync::watch;
use tokio::time::sleep;

use super::attach::{EngineAttach, SampleAttach};
use super::demand::{add, gone, held, wanted};
use super::directory::ensure_dir;
use super::gateway_hub::{Common, GatewayHub};
use super::object::{McpObjects, WantedGateway};
use super::report::{GatewayState, HealthMap, Offer, merge, outcome_of, report_gateway, report_review, report_server};
use super::running::RunningHub;
use super::secret::read_secrets;
use super::server::WantedServer;
use super::settings::{file_stem, gateway_config, probing_config};
use super::token::load_tokens;
use crate::core::Core;
use crate::wording::with_causes;

/// How long changes are gathered before they are looked at.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// The pause before what failed is tried again.
const RETRY_TIME: Duration = Duration::from_secs(2);
/// How often what nobody tells of is looked at, such as files of tokens, while there is a gateway.
const LOOK_TIME: Duration = Duration::from_secs(10);

/// What is written down of containers that somebody had to himself. No object has a name with an underscore.
const LEASES_FILE: &str = "_leases";

/// What an instance waits for that answers, before what it replaces is stopped.
const TAKING_OVER: &str = "it answers, and waits for the calls that are under way on what it replaces";

/// What an instance waits for whose definitions are not approved.
const UNAPPROVED: &str = "it answers, and waits until what it says of itself is approved: `evenkeel mcp approve`";

/// Keeps hubs as the board wants them until it is told to stop. `dir` is where their files are.
pub(crate) async fn run(core: Arc<Core>, dir: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut keeper = Keeper::new(core, dir);
    let mut board = keeper.core.board.subscribe();
    loop {
        let next_look = keeper.look().await;
        // Nothing is lost when one of them wins: each only says "look", and keeps saying it until it is heard.
        tokio::select! {
            biased;
            // Without whoever says so, it is over as well.
            _ = stop.wait_for(|is_told| *is_told) => break,
            changed = board.changed() => if changed.is_err() { break },
            () = keeper.common.changed.notified() => {}
            () = sleep_for(next_look) => {}
        }
        sleep(GATHER_TIME).await;
    }
    keeper.close().await;
}

async fn sleep_for(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

struct Keeper {
    core: Arc<Core>,
    dir: PathBuf,
    /// No container is real, and none has a port that could be reached.
    is_simulated: bool,
    common: Common,
    /// The hubs of gateways.
    gateways: BTreeMap<ObjectKey, GatewayHub>,
    /// By namespace, the hubs that only ask.
    probers: BTreeMap<Name, RunningHub>,
}

impl Keeper {
    fn new(core: Arc<Core>, dir: PathBuf) -> Self {
        let is_simulated = core.board.controller().is_simulated;
        let common = Common {
            attach: if is_simulated {
                Arc::new(SampleAttach)
            } else {
                Arc::new(EngineAttach(Arc::clone(&core.engine)))
            },
            leases: Arc::new(LeaseBook::open(dir.join(LEASES_FILE))),
            changed: Arc::default(),
        };
        let (gateways, probers) = (BTreeMap::new(), BTreeMap::new());
        Self { core, dir, is_simulated, common, gateways, probers }
    }

    /// Looks at the board and the world once and acts. Returns when to look again without any news.
    async fn look(&mut self) -> Option<Duration> {
        let records = self.core.board.objects_of(&[Kind::McpServer, Kind::McpGateway]);
        if records.is_empty() && self.gateways.is_empty() && self.probers.is_empty() {
            return None;
        }
        let objects = {
            let world = self.core.world();
            let wanted = records.iter().filter(|record| world.desired(&record.key).is_some());
            McpObjects::read(wanted.map(|record| &**record))
        };
        let gateways = objects.gateways;
        let mut secrets = Vec::with_capacity(objects.servers.len());
        for route in &objects.servers {
            secrets.push(read_secrets(route).await);
        }
        // Before hubs are told of what is used up: they are not.
        self.tell_demands(&objects.servers, &gateways);
        let (servers, unreleased): (Vec<WantedServer>, _) = {
            let world = self.core.world();
            let now_ms = self.core.clock.now_ms();
            let servers = objects.servers.into_iter().zip(secrets);
            let servers = servers.map(|(route, secrets)| WantedServer::new(route, secrets, &world, now_ms));
            let servers = servers.map(|server| if self.is_simulated { server.over_standard_streams() } else { server });
            (servers.collect(), world.unreleased())
        };
        self.close_unwanted(&gateways).await;
        let mut kept = Vec::with_capacity(gateways.len());
        for wanted in &gateways {
            kept.push(self.keep_gateway(wanted).await);
        }
        let offers = self.distribute(&servers, &gateways);
        // Nobody is let in before the hub knows its servers.
        let mut states = BTreeMap::new();
        for (wanted, kept) in gateways.iter().zip(kept) {
            let key = &wanted.settings.key;
            let state = match (kept, self.gateways.get_mut(key)) {
                (Err(state), _) => state,
                (Ok(()), Some(hub)) => hub.serve().await,
                (Ok(()), None) => GatewayState::Suspended,
            };
            states.insert(key.clone(), state);
        }
        self.tell(&servers, &offers, &gateways, &states);
        self.tell_released(&unreleased, &servers, &gateways);
        let has_failed = states.values().any(|state| matches!(state, GatewayState::Failed(..)));
        match (has_failed, states.is_empty()) {
            (true, _) => Some(RETRY_TIME),
            (false, false) => Some(LOOK_TIME),
            (false, true) => None,
        }
    }

    async fn close_unwanted(&mut self, gateways: &[WantedGateway]) {
        let is_wanted = |key: &ObjectKey| gateways.iter().any(|wanted| wanted.settings.key == *key);
        let unwanted: Vec<ObjectKey> = self.gateways.keys().filter(|key| !is_wanted(key)).cloned().collect();
        for key in unwanted {
            self.close_gateway(&key).await;
            // Its token, pins and audit are kept: it may come back. What waits to be approved waits for nobody.
            if let Err(error) = Desk::in_directory(&self.dir.join(file_stem(&key))).clear() {
                tracing::warn!(gateway = %key, error = %error, "what was put out for a gateway cannot be cleared away");
            }
        }
    }

    async fn close_gateway(&mut self, key: &ObjectKey) {
        if let Some(hub) = self.gateways.remove(key) {
            tracing::info!(gateway = %key, "a gateway is closed");
            hub.close().await;
        }
    }

    /// Makes one gateway as it is wanted, but for its listener.
    ///
    /// # Errors
    /// How it is while it cannot be.
    async fn keep_gateway(&mut self, wanted: &WantedGateway) -> Result<(), GatewayState> {
        let key = &wanted.settings.key;
        if !wanted.is_suspended {
            let config = match self.configure(wanted).await {
                Ok(config) => config,
                Err(fault) => {
                    // Its tokens are not what they were: nobody may come in by those.
                    self.close_gateway(key).await;
                    return Err(GatewayState::Failed("TokenFault", fault));
                }
            };
            let runs = wanted.settings.runs;
            if self.gateways.get_mut(key).is_some_and(|hub| !hub.adapt(runs, &config)) {
                self.close_gateway(key).await;
            }
            if !self.gateways.contains_key(key) {
                let listen = config.listen;
                let hub = GatewayHub::open(runs, config, &self.dir.join(file_stem(key)), self.common.clone())?;
                self.gateways.insert(key.clone(), hub);
                tracing::info!(gateway = %key, listen = %listen, runs = ?runs, "a gateway is opened");
            }
        }
        Ok(())
    }

    /// How a gateway is to be set, with its tokens as they are now.
    async fn configure(&self, wanted: &WantedGateway) -> Result<GatewayConfig, String> {
        let settings = wanted.settings.clone();
        let dir = self.dir.clone();
        let reading = tokio::task::spawn_blocking(move || {
            ensure_dir(&dir)?;
            let file = |end: &str| dir.join(format!("{}{end}", file_stem(&settings.key)));
            let tokens = load_tokens(&settings.tokens, &file(".token")).map_err(|error| with_causes(&error))?;
            Ok(gateway_config(&settings, tokens, file(".audit.jsonl")))
        });
        reading.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Gives each hub its servers. Returns, for each server, whether a gateway offers it; what none does a hub of its namespace asks.
    fn distribute(&mut self, servers: &[WantedServer], gateways: &[WantedGateway]) -> Vec<Offer> {
        let mut offers = vec![Offer::NotSelected; servers.len()];
        for wanted in gateways {
            let Some(hub) = self.gateways.get_mut(&wanted.settings.key) else { continue };
            let offer = hub.offer();
            let mut configs = Vec::new();
            for (server, best) in servers.iter().zip(&mut offers) {
                if wanted.settings.selects(&server.route) {
                    *best = offer.max(*best);
                    configs.push(server.config.clone());
                }
            }
            hub.set_servers(configs);
        }
        let mut left: BTreeMap<Name, Vec<ServerConfig>> = BTreeMap::new();
        for (server, _) in servers.iter().zip(&offers).filter(|(_, offer)| **offer < Offer::Awaited) {
            left.entry(server.route.key.namespace.clone()).or_default().push(server.config.clone());
        }
        self.probers.retain(|namespace, _| left.contains_key(namespace));
        for (namespace, configs) in left {
            if !self.probers.contains_key(&namespace) {
                let Common { attach, leases, changed } = self.common.clone();
                // It has no audit, and only that can fail.
                let Ok(hub) = RunningHub::open(probing_config(), attach, None, leases, changed) else { continue };
                self.probers.insert(namespace.clone(), hub);
            }
            if let Some(hub) = self.probers.get_mut(&namespace) {
                hub.set_servers(configs);
            }
        }
        offers
    }

    /// Tells the world which containers servers are to have, and wakes those for whom that is news.
    fn tell_demands(&self, routes: &[McpRoute], gateways: &[WantedGateway]) {
        let needed = |route: &McpRoute| {
            let selecting = gateways.iter().filter(|wanted| wanted.settings.selects(route));
            let hubs = selecting.filter_map(|wanted| self.gateways.get(&wanted.settings.key));
            let probers = self.probers.get(&route.key.namespace).map(RunningHub::demands);
            let demands = hubs.map(GatewayHub::demands).chain(probers);
            demands.filter_map(|demands| demands.get(route.key.name.as_str()).copied()).reduce(add)
        };
        let mut woken = Vec::new();
        for route in routes {
            let held = held(route, &self.core.world(), &self.common.leases);
            // As long as no hub has it, nobody knows.
            let Some(needed) = needed(route) else { continue };
            if self.core.world().set_demand(&route.key, wanted(route, &held, needed)) {
                woken.push(route.key.clone());
            }
        }
        let gone = gone(&self.core.world(), &self.common.leases);
        // Until everything has been seen, what is not there may only not have been seen yet.
        if !gone.is_empty() && self.core.is_every_object_looked_at() {
            self.common.leases.forget(&gone);
        }
        for key in woken {
            self.core.wake_with_dependents(&key);
        }
    }

    /// Tells the world what hubs found, and wakes whoever that is news for.
    fn tell(
        &self,
        servers: &[WantedServer],
        offers: &[Offer],
        gateways: &[WantedGateway],
        states: &BTreeMap<ObjectKey, GatewayState>,
    ) {
        let healths = self.gateways.values().map(GatewayHub::health);
        let maps: Vec<Arc<HealthMap>> = healths.chain(self.probers.values().map(RunningHub::health)).collect();
        let health = merge(maps.iter().map(|map| &**map));
        let taking_over = self.gateways.values().map(GatewayHub::taking_over);
        let taking_over: Vec<Arc<BTreeSet<String>>> =
            taking_over.chain(self.probers.values().map(RunningHub::taking_over)).collect();
        let reviews = self.reviews(servers, gateways);
        let is_waiting = |key: &ObjectKey| reviews.get(key).is_some_and(|review| review.is_waiting);
        let waiting = servers.iter().filter(|server| is_waiting(&server.route.key));
        let waiting: BTreeSet<&str> = waiting
            .flat_map(|server| server.config.instances.iter().filter(|instance| instance.is_current))
            .map(|instance| instance.id.as_str())
            .collect();
        let outcome = |id: &str, health: &InstanceHealth| {
            let is_held = *health == InstanceHealth::Ready && taking_over.iter().any(|ids| ids.contains(id));
            let why = if waiting.contains(id) { UNAPPROVED } else { TAKING_OVER };
            if is_held { Some(ProbeOutcome::Held(why.to_owned())) } else { outcome_of(health) }
        };
        let reports = gateways.iter().filter_map(|wanted| {
            let key = &wanted.settings.key;
            let hub = self.gateways.get(key);
            let found = hub.and_then(GatewayHub::status);
            Some((key, report_gateway(states.get(key)?, found.as_ref())))
        });
        let gateways: Vec<_> = reports.collect();
        let mut woken = Vec::new();
        {
            let now_ms = self.core.clock.now_ms();
            let mut world = self.core.world();
            for (id, health) in &health {
                woken.extend(outcome(id, health).and_then(|outcome| world.set_probe(id, outcome, now_ms)));
            }
            for (server, offer) in servers.iter().zip(offers) {
                if *offer == Offer::Awaited {
                    // What was told of it holds for as long as that takes.
                    continue;
                }
                let report = report_server(server, *offer, &health);
                let key = &server.route.key;
                let notice = reviews.get(key).map(|review| report_review(key, review));
                let is_news = world.set_report(key, report) | world.set_notice(key, notice);
                if is_news {
                    woken.push(key.clone());
                }
            }
            for (key, report) in gateways {
                if world.set_report(key, Some(report)) {
                    woken.push(key.clone());
                }
            }
        }
        for key in &woken {
            self.core.wake_with_dependents(key);
        }
    }

    /// What is not approved of servers, by the first gateway that says something, and of those by one where an update waits.
    fn reviews(&self, servers: &[WantedServer], gateways: &[WantedGateway]) -> BTreeMap<ObjectKey, Review> {
        let mut reviews: BTreeMap<ObjectKey, Review> = BTreeMap::new();
        for wanted in gateways {
            let Some(mut of_hub) = self.gateways.get(&wanted.settings.key).map(GatewayHub::reviews) else { continue };
            for server in servers.iter().filter(|server| wanted.settings.selects(&server.route)) {
                let key = &server.route.key;
                let Some(review) = of_hub.remove(key.name.as_str()) else { continue };
                if reviews.get(key).is_none_or(|known| review.is_waiting && !known.is_waiting) {
                    reviews.insert(key.clone(), review);
                }
            }
        }
        reviews
    }

    /// Tells the world which of the containers that are to be stopped nobody uses any more. Hubs know by now that they are.
    fn tell_released(&self, unreleased: &[(String, ObjectKey)], servers: &[WantedServer], gateways: &[WantedGateway]) {
        for (id, owner) in unreleased {
            let route = servers.iter().map(|server| &server.route).find(|route| route.key == *owner);
            // One that says nothing is not waited for where the server is none of its.
            let may_use = |key: &ObjectKey| {
                route.is_none_or(|route| {
                    gateways.iter().any(|wanted| wanted.settings.key == *key && wanted.settings.selects(route))
                })
            };
            let mut of_gateways = self.gateways.iter();
            let is_released = of_gateways.all(|(key, hub)| hub.has_released(id).unwrap_or_else(|| !may_use(key)))
                && self.probers.values().all(|hub| hub.has_released(id));
            let woken = if is_released { self.core.world().set_released(id) } else { None };
            if let Some(key) = woken {
                self.core.wake(&key);
            }
        }
    }

    async fn close(self) {
        let closing = self.gateways.into_values().map(GatewayHub::leave);
        join_all(closing).await;
    }
}
