//! What one seed does: some servers, some clients, a while in which everything goes wrong, and then peace, after which nothing is left.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::{GatewayConfig, Isolation, Limits, Sharing, TokenConfig};
use gateway::era::Era;
use gateway::hub::{Hub, HubParts};
use gateway::lease::LeaseBook;
use gateway::policy::Principal;
use gateway::relay::Caller;
use gateway::upstream::link::Link;
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::client::Client;
use super::engine::Engine;
use super::ledger::Ledger;
use super::mutants::Mutant;
use super::runner::{CONCURRENCY, Runner, total};
use super::server::Kind;
use super::trace::{Counts, Fingerprint};
use super::wire::Wire;

/// No call may take so long.
const LONGEST_CALL: Duration = Duration::from_secs(9);
/// How often the hub looks for what is idle, as it does where it serves.
const REAP_TIME: Duration = Duration::from_secs(5);
/// How long clients have to come to an end once it is calm.
const END_TIME: Duration = Duration::from_mins(2);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) failures: Vec<String>,
    pub(crate) counts: Counts,
    pub(crate) fingerprint: Fingerprint,
    /// Empty unless it was to be kept.
    pub(crate) trace: String,
}

/// Runs a seed.
pub(crate) fn run_seed(seed: u64, mutant: Option<Mutant>, is_kept: bool) -> Report {
    // The hub's own: where the ids of requests begin.
    fastrand::seed(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let ledger = Ledger::new(mutant, is_kept);
        play(seed, &ledger).await;
        let (failures, counts, fingerprint) = ledger.close();
        Report { failures, counts, fingerprint, trace: ledger.trace.text() }
    })
}

async fn play(seed: u64, ledger: &Arc<Ledger>) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let kinds: Vec<Arc<Kind>> = (0..rng.usize(2..5)).map(|number| Arc::new(kind(number, &mut rng))).collect();
    let session_idle = Duration::from_secs(rng.u64(5..12));
    let (engine, leases) = (Engine::new(ledger), Arc::<LeaseBook>::default());
    let hub = open(&engine, &leases, session_idle, &mut rng);
    ledger.limit_sessions(hub.config.limits.sessions, LONGEST_CALL + session_idle + REAP_TIME);
    let calm_at = Instant::now() + Duration::from_secs(rng.u64(10..40));
    let runner = Runner::new((&hub, &leases), &engine, ledger, (&kinds, calm_at), rng.fork());
    let mut own = JoinSet::new();
    own.spawn(runner.run());
    let reaping = Arc::clone(&hub);
    own.spawn(async move {
        loop {
            sleep(REAP_TIME).await;
            reaping.reap();
        }
    });
    // Servers are asked which era they speak, and what they list, before anybody comes.
    sleep(Duration::from_secs(5)).await;
    let mut clients = JoinSet::new();
    for number in 0..rng.usize(2..9) {
        let principal = format!("p{}", number / 2);
        let client = Client {
            number,
            principal: principal.clone(),
            is_modern: rng.bool(),
            wire: Wire { hub: Arc::clone(&hub), token: format!("token of {principal}") },
            engine: Arc::clone(&engine),
            ledger: Arc::clone(ledger),
            kinds: kinds.clone(),
            session_idle,
        };
        clients.spawn(client.live(rng.fork(), calm_at));
    }
    tokio::time::sleep_until(calm_at).await;
    engine.calm();
    ledger.trace.say("it is calm");
    let ended = timeout(END_TIME, async {
        while let Some(ended) = clients.join_next().await {
            ledger.check(ended.is_ok(), || "a client panicked".to_owned());
        }
    });
    ledger.check(ended.await.is_ok(), || "a client did not come to an end".to_owned());
    drop(clients);
    let held = hold_something(&hub, &kinds, ledger).await;
    sleep(Duration::from_mins(1)).await;
    look_for_leftovers(&hub, &kinds, &engine, ledger);
    drop(held);
    // Then there are no servers either.
    drop(own);
    for process in engine.all() {
        engine.stop(&process.id);
    }
    hub.set_servers(Vec::new());
    sleep(Duration::from_secs(1)).await;
    check_tasks(ledger, 1, "without servers");
    drop(hub);
    sleep(Duration::from_secs(1)).await;
    check_tasks(ledger, 0, "without a hub");
}

/// A server of any sort.
fn kind(number: usize, rng: &mut fastrand::Rng) -> Kind {
    let isolation = [Isolation::Shared, Isolation::Shared, Isolation::PerSession, Isolation::PerCall][rng.usize(0..4)];
    let is_on_demand = isolation != Isolation::Shared || rng.bool();
    let max = match isolation {
        Isolation::Shared if is_on_demand => 1,
        Isolation::Shared => rng.usize(1..4),
        Isolation::PerSession | Isolation::PerCall => rng.usize(2..6),
    };
    let idle = is_on_demand.then(|| Duration::from_secs(rng.u64(3..15)));
    Kind {
        name: format!("s{number}"),
        is_modern: rng.bool(),
        sharing: Sharing { isolation, max, is_on_demand, idle },
        spare: rng.usize(0..2),
        timeout: Duration::from_secs(rng.u64(3..LONGEST_CALL.as_secs())),
    }
}

fn open(engine: &Arc<Engine>, leases: &Arc<LeaseBook>, session_idle: Duration, rng: &mut fastrand::Rng) -> Arc<Hub> {
    let tokens = (0..4).map(|number| {
        let principal = format!("p{number}");
        let sha256 = Sha256::digest(format!("token of {principal}")).into();
        TokenConfig { principal, roles: Vec::new(), sha256 }
    });
    let limits =
        Limits { sessions: rng.usize(2..20), session_idle, concurrency: rng.usize(3..20), ..Limits::default() };
    let config = GatewayConfig {
        tokens: tokens.collect(),
        limits,
        ..GatewayConfig::on(SocketAddr::from(([127, 0, 0, 1], 3010)))
    };
    let parts = HubParts { config, attach: Arc::clone(engine) as _, state_dir: None, leases: Arc::clone(leases) };
    Hub::open(parts).unwrap()
}

/// What a mutant does not let go of.
async fn hold_something(hub: &Arc<Hub>, kinds: &[Arc<Kind>], ledger: &Ledger) -> Option<impl Sized + use<>> {
    if ledger.is(Mutant::LeaksTask) {
        tokio::spawn(std::future::pending::<()>());
    }
    if !ledger.is(Mutant::HoldsLease) {
        return None;
    }
    let kind = kinds.iter().find(|kind| kind.sharing.isolation == Isolation::PerCall)?;
    let server = hub.server(&kind.name)?;
    let caller = Caller {
        principal: Principal::anonymous(),
        era: Era::Modern,
        session: None,
        capabilities: "{}".into(),
        client_info: "{}".into(),
        log_level: None,
    };
    server.acquire(&caller).await.ok()
}

/// When all clients are gone and time has passed, nothing is left of them.
fn look_for_leftovers(hub: &Hub, kinds: &[Arc<Kind>], engine: &Engine, ledger: &Ledger) {
    let open = ledger.open_calls();
    ledger.check(open.is_empty(), || format!("calls did not end: {open:?}"));
    let sessions = hub.status().sessions;
    ledger.check(sessions == 0, || format!("{sessions} sessions are left"));
    let mut tasks = 3;
    for kind in kinds {
        let demand = hub.look_at_demands().get(kind.name.as_str()).copied().unwrap_or_default();
        let name = &kind.name;
        ledger.check(demand.leased == 0, || format!("{} instances of {name} are lent", demand.leased));
        ledger.check(demand.waiting == 0, || format!("{} wait for {name}", demand.waiting));
        let running = engine.all().iter().filter(|process| process.kind.name == *name).count();
        let total = total(kind, demand);
        ledger.check(running == total, || format!("{running} instances of {name} run, and not {total}"));
        ledger.check(kind.sharing.isolation != Isolation::Shared || !kind.sharing.is_on_demand || running == 0, || {
            format!("{running} instances of {name} run, and nobody has needed one")
        });
        let Some(server) = hub.server(name) else {
            ledger.fail(&format!("{name} is not there"));
            continue;
        };
        let permits = server.permits().available_permits();
        ledger.check(permits == CONCURRENCY, || format!("{permits} calls of {name} may be under way"));
        let health = server.health();
        let is_ready = server.is_ready(&hub.health().borrow());
        ledger.check(health.len() == running && is_ready == (running > 0), || format!("{name}: {health:?}"));
        let listening = usize::from(kind.is_modern);
        if let Some(picked) = server.pick()
            && let Link::Stdio(link) = &picked.connection.link
        {
            let open = link.in_flight();
            ledger.check(open == listening, || format!("{open} requests to {name} are open"));
        }
        // Of each: what keeps it reached, what reads, what writes, and the pump; of a modern one also what listens to it.
        tasks += running * (4 + 3 * listening);
    }
    check_tasks(ledger, tasks, "at rest");
}

fn check_tasks(ledger: &Ledger, expected: usize, when: &str) {
    let alive = Handle::current().metrics().num_alive_tasks();
    ledger.check(alive == expected, || format!("{alive} tasks {when}, and not {expected}"));
}
