//! From the board and the world to what hubs are given and what is told: no hub, no clock, no file.

use std::sync::Arc;
use std::time::Duration;

use crds_schema::{AnyObject, ConditionStatus, ConditionType, Kind, ObjectKey, SourceLocation};
use gateway::config::{Action, Endpoint, Instance, Rotation, TokenConfig};
use gateway::hub::{HubStatus, InstanceHealth};
use gateway::lease::{LeaseBook, Lender};
use gateway::pin::{Doubt, DoubtKind, Review};
use planner::inventory::ProbeOutcome;
use planner::plan::Action as Step;
use planner::rollup::roll_up;
use planner::world::{Hold, Removal, ReportStatus};
use planner::{Identity, World, plan};
use serde_json::{Value, json};

use super::demand::gone;
use super::object::McpObjects;
use super::report::{
    GatewayState, HealthMap, Offer, has_released, merge, outcome_of, report_gateway, report_review, report_server,
};
use super::secret::{SecretHeader, ServerSecrets};
use super::server::WantedServer;
use super::settings::gateway_config;
use crate::engine::Engine as _;
use crate::engine::simulated::{ImageConfig, Program, SimulatedEngine};
use crate::status::{ObjectRecord, ObjectStatus, RolledBack};

const NOW_MS: i64 = 1_700_000_000_000;

/// A world beside a simulated engine, in which containers are made as plans say.
struct Stage {
    engine: SimulatedEngine,
    world: World,
}

impl Stage {
    fn new() -> Self {
        let world = World::new(Identity { instance: "main".parse().unwrap(), key: [7; 32] });
        Self { engine: SimulatedEngine::default(), world }
    }

    /// Wants an object and does the first create and start of its plan. Returns the id of the container.
    async fn run(&mut self, object: &AnyObject, image: &str) -> String {
        self.engine.store_image(image, ImageConfig::plain(), Program::forever());
        let detail = self.engine.inspect_image(image).await.unwrap();
        self.world.set_desired(object);
        self.world.observe_image(image, detail);
        let plan = plan(&self.world, &object.key(), NOW_MS);
        let create = plan
            .steps
            .iter()
            .find_map(|step| if let Step::CreateContainer(create) = &step.action { Some(create) } else { None });
        let id = self.engine.create_container(create.unwrap()).await.unwrap().id;
        self.engine.start_container(&id).await.unwrap();
        self.observe(&id);
        id
    }

    fn observe(&mut self, id: &str) {
        self.world.observe_container(&self.engine.peek(id).unwrap(), NOW_MS);
    }

    fn server(&self, object: &AnyObject) -> WantedServer {
        self.server_with(object, Ok(ServerSecrets::default()))
    }

    fn server_with(&self, object: &AnyObject, secrets: Result<ServerSecrets, String>) -> WantedServer {
        let mut objects = McpObjects::read([&record(object)]);
        WantedServer::new(objects.servers.remove(0), secrets, &self.world, NOW_MS)
    }
}

fn object(kind: Kind, name: &str, spec: Value) -> AnyObject {
    let metadata = serde_json::from_value(json!({ "name": name })).unwrap();
    AnyObject { metadata, spec: kind.spec_from_json(spec).unwrap(), source: SourceLocation::default() }
}

fn record(object: &AnyObject) -> ObjectRecord {
    ObjectRecord {
        key: object.key(),
        manifest: object.to_json(),
        source: object.source.clone(),
        created_ms: NOW_MS,
        rolled_back: None,
        status: ObjectStatus::default(),
    }
}

fn time(spec: Value) -> AnyObject {
    object(Kind::McpServer, "time", spec)
}

#[tokio::test]
async fn every_container_that_runs_is_an_instance_and_those_of_an_older_template_are_not_current() {
    let mut stage = Stage::new();
    let old = time(json!({ "image": "time:1" }));
    let first = stage.run(&old, "time:1").await;
    let instance = |stage: &Stage, id: &str, is_current| {
        let run_ms = stage.engine.peek(id).unwrap().status.started_ms;
        assert!(run_ms.is_some());
        Instance { id: id.to_owned(), run_ms, is_current, is_leaving: false, endpoint: Endpoint::Stdio }
    };
    assert_eq!(stage.server(&old).config.instances, [instance(&stage, &first, true)]);

    let new = time(json!({ "image": "time:2" }));
    let second = stage.run(&new, "time:2").await;
    let mut expected = [instance(&stage, &first, false), instance(&stage, &second, true)];
    expected.sort();
    let mut found = stage.server(&new).config.instances;
    found.sort();
    assert_eq!(found, expected);

    stage.engine.external_docker_kill(&first).unwrap();
    stage.observe(&first);
    assert_eq!(stage.server(&new).config.instances, [instance(&stage, &second, true)]);
}

#[tokio::test]
async fn who_calls_waits_for_a_container_whose_predecessor_must_stop_first() {
    let mut stage = Stage::new();
    let writer = |image: &str| {
        let mounts = json!([{ "host": "/srv/notes", "path": "/data" }]);
        time(json!({ "image": image, "mounts": mounts }))
    };
    let old = stage.run(&writer("time:1"), "time:1").await;
    let is_awaited = |stage: &Stage| stage.server(&writer("time:2")).config.is_being_replaced;
    assert!(!is_awaited(&stage));
    stage.world.set_desired(&writer("time:2"));
    assert!(!is_awaited(&stage), "the old one still serves");
    let leaving = [old.clone()].into();
    assert!(stage.world.set_leaving(&writer("time:2").key(), &leaving, NOW_MS));
    assert!(!stage.world.set_leaving(&writer("time:2").key(), &leaving, NOW_MS));
    let server = stage.server(&writer("time:2"));
    assert!(server.config.is_being_replaced && server.config.instances[0].is_leaving);
    // It is stopped, and the new one is started.
    stage.engine.external_docker_kill(&old).unwrap();
    stage.observe(&old);
    stage.world.set_leaving(&writer("time:2").key(), &[].into(), NOW_MS);
    assert!(!is_awaited(&stage), "nothing is on its way");
    stage.run(&writer("time:2"), "time:2").await;
    assert!(is_awaited(&stage));
    stage.world.set_hold(&writer("time:2").key(), Some(Hold::Backoff(NOW_MS + 1)));
    assert!(!is_awaited(&stage), "it has failed");
}

#[test]
fn a_container_is_released_when_a_hub_has_nothing_on_it_or_does_not_have_it() {
    let health: HealthMap = [("a".to_owned(), InstanceHealth::Ready)].into();
    let leaving = |ids: &[(&str, bool)]| ids.iter().map(|(id, is_busy)| ((*id).to_owned(), *is_busy)).collect();
    assert!(!has_released("a", &health, &leaving(&[])), "it has not heard that it leaves");
    assert!(!has_released("a", &health, &leaving(&[("a", true)])));
    assert!(has_released("a", &health, &leaving(&[("a", false)])));
    assert!(has_released("b", &health, &leaving(&[("a", true)])));
    assert!(!has_released("b", &health, &leaving(&[("b", true)])), "it had it");
}

#[tokio::test]
async fn what_somebody_had_to_himself_is_known_for_as_long_as_it_is_there() {
    let mut stage = Stage::new();
    let server = time(json!({ "image": "time:1", "isolation": "PerSession" }));
    let id = stage.run(&server, "time:1").await;
    let leases = Arc::new(LeaseBook::default());
    drop(leases.take(&id, &Lender::default()).unwrap());
    assert!(gone(&stage.world, &leases).is_empty());
    // Its object may come back before it is removed.
    stage.world.set_removal(&server.key(), Removal::Tombstone(NOW_MS));
    assert!(gone(&stage.world, &leases).is_empty());
    stage.world.container_gone(&id);
    assert_eq!(gone(&stage.world, &leases), [id]);
}

#[tokio::test]
async fn a_container_is_reached_as_it_was_made_not_as_the_next_one_will_be() {
    let mut stage = Stage::new();
    let http = |port: u16| time(json!({ "image": "time:1", "transport": "http", "port": port, "path": "/rpc" }));
    let first = stage.run(&http(8080), "time:1").await;
    let endpoint_of = |stage: &Stage, object: &AnyObject, id: &str| {
        let instances = stage.server(object).config.instances;
        match instances.into_iter().find(|instance| instance.id == id).unwrap().endpoint {
            Endpoint::Http { address, path, host, .. } => {
                assert_eq!(host, format!("time:{}", address.port()));
                format!("{address}{path}")
            }
            Endpoint::Stdio => "stdio".to_owned(),
            Endpoint::Https { url, .. } => url,
        }
    };
    let address = stage.engine.peek(&first).unwrap().endpoints["bridge"].address.unwrap();
    assert_eq!(endpoint_of(&stage, &http(8080), &first), format!("{address}:8080/rpc"));
    stage.world.set_desired(&http(9090));
    assert_eq!(endpoint_of(&stage, &http(9090), &first), format!("{address}:8080/rpc"));
    let stdio = time(json!({ "image": "time:1" }));
    stage.world.set_desired(&stdio);
    assert_eq!(endpoint_of(&stage, &stdio, &first), format!("{address}:8080/mcp"));
}

#[tokio::test]
async fn what_a_container_has_from_a_file_is_hidden_and_without_knowing_it_nobody_reaches_the_container() {
    let mut stage = Stage::new();
    let mounts = json!([{ "secretFile": "/srv/time.token", "path": "/run/secrets/time" }]);
    let server = time(json!({ "image": "time:1", "mounts": mounts }));
    assert_eq!(stage.server(&server).route.secret_files, ["/srv/time.token"]);
    let id = stage.run(&server, "time:1").await;
    let container = stage.engine.peek(&id).unwrap();
    assert!(container.config.mounts.iter().any(|mount| mount.destination == "/run/secrets/time" && mount.read_only));
    let known = ServerSecrets { mounted: vec!["a-secret".to_owned()], ..ServerSecrets::default() };
    let reached = stage.server_with(&server, Ok(known));
    assert_eq!((reached.config.secrets.as_slice(), reached.config.instances.len()), (&["a-secret".to_owned()][..], 1));
    let unread = stage.server_with(&server, Err("cannot read `/srv/time.token`".to_owned()));
    assert!(unread.config.instances.is_empty());
    let report = report_server(&unread, Offer::Offered, &HealthMap::new()).unwrap();
    assert_eq!((report.status, report.message.as_str()), (ReportStatus::Failed, "cannot read `/srv/time.token`"));
}

#[test]
fn what_a_manifest_has_in_the_open_is_hidden_and_no_call_is_refused_for_it() {
    let env =
        json!({ "GITHUB_TOKEN": "ghp_0123456789", "DATABASE_URL": "postgres://a:hunter2hunter2@db/app", "DEBUG": "1" });
    let config = Stage::new().server(&time(json!({ "image": "db:1", "env": env }))).config;
    assert_eq!(config.likely_secrets, ["ghp_0123456789", "hunter2hunter2"]);
    assert!(config.secrets.is_empty());
}

#[test]
fn a_server_elsewhere_is_one_instance_or_a_problem() {
    let stage = Stage::new();
    let near = stage.server(&time(json!({ "remote": { "url": "http://localhost:8080/mcp" } })));
    assert_eq!((near.config.instances.len(), near.problem), (1, None));
    let object = time(json!({ "remote": { "url": "https://mcp.example.com/mcp", "headers": { "X-Team": "a" } } }));
    let text = |text: &str| text.to_owned();
    let header = SecretHeader { name: text("Authorization"), prefix: text("Bearer "), secret: text("a-secret") };
    let far = stage.server_with(&object, Ok(ServerSecrets { headers: vec![header], ..ServerSecrets::default() }));
    assert_eq!(far.config.secrets, ["a-secret"]);
    let Endpoint::Https { url, headers } = &far.config.instances[0].endpoint else { panic!("{far:?}") };
    assert_eq!((url.as_str(), headers.len(), far.problem.as_deref()), ("https://mcp.example.com/mcp", 2, None));
    let unread = stage.server_with(&object, Err("cannot read `/a.token`".to_owned()));
    assert_eq!(unread.config.instances, []);
    let report = report_server(&unread, Offer::Offered, &HealthMap::new()).unwrap();
    assert_eq!((report.status, report.reason), (ReportStatus::Failed, "Unreachable"));
    assert_eq!(report.message, "cannot read `/a.token`");
}

#[test]
fn what_has_no_manifest_or_is_something_else_is_passed_over() {
    let network = object(Kind::Network, "back", json!({}));
    let lost = ObjectRecord { manifest: Value::Null, ..record(&time(json!({ "image": "time:1" }))) };
    let hub = object(Kind::McpGateway, "hub", json!({ "suspend": true }));
    let objects = McpObjects::read([&record(&network), &lost, &record(&hub)]);
    assert_eq!(objects.servers, []);
    let gateway = &objects.gateways[0];
    assert!(gateway.is_suspended && gateway.settings.key == "McpGateway/hub".parse::<ObjectKey>().unwrap());
}

#[test]
fn a_gateway_is_set_as_its_manifest_says() {
    let hub = object(
        Kind::McpGateway,
        "hub",
        json!({
            "listen": "127.0.0.1:4000",
            "naming": "Plain",
            "rules": [{ "principals": ["a"], "tools": ["get_*"], "action": "Allow" }],
            "limits": { "sessions": 3, "sessionIdle": "10s", "perSessionConcurrency": 2, "maxRequest": "1MiB" },
            "audit": { "values": true, "maxSize": "2MiB", "maxBackups": 3, "maxAge": "2h" },
            "allowedHosts": ["mcp.example.com"],
        }),
    );
    let settings = &McpObjects::read([&record(&hub)]).gateways[0].settings;
    let token = TokenConfig { principal: "default".into(), roles: Vec::new(), sha256: [1; 32] };
    let config = gateway_config(settings, vec![token.clone()], "/audit".into());
    assert_eq!((config.listen.to_string().as_str(), config.tokens), ("127.0.0.1:4000", vec![token]));
    assert_eq!((config.rules[0].action, config.rules[0].servers.as_slice()), (Action::Allow, &["*".to_owned()][..]));
    let limits = config.limits;
    assert_eq!((limits.sessions, limits.session_idle.as_secs(), limits.concurrency), (3, 10, 2));
    let audit = config.audit.unwrap();
    assert_eq!((limits.request_bytes, audit.has_values), (1 << 20, true));
    let rotation = Rotation { file_bytes: 2 << 20, max_backups: Some(3), max_age: Some(Duration::from_hours(2)) };
    assert_eq!(audit.rotation, rotation);
    assert_eq!(config.allowed_hosts, ["mcp.example.com"]);
}

#[test]
fn an_instance_that_answers_any_hub_answers() {
    let failed = || InstanceHealth::Failed("no".to_owned());
    let map = |health: InstanceHealth| HealthMap::from([("1".to_owned(), health)]);
    let both = |left, right| merge([&map(left), &map(right)]).remove("1").unwrap();
    assert_eq!(both(failed(), InstanceHealth::Ready), InstanceHealth::Ready);
    assert_eq!(both(InstanceHealth::Ready, InstanceHealth::Unknown), InstanceHealth::Ready);
    assert_eq!(both(InstanceHealth::Unknown, failed()), failed());
    assert_eq!(outcome_of(&failed()), Some(ProbeOutcome::Failed("no".to_owned())));
    let at_length = InstanceHealth::Failed("x".repeat(1_000));
    assert_eq!(outcome_of(&at_length), Some(ProbeOutcome::Failed("x".repeat(300))));
    assert_eq!(outcome_of(&InstanceHealth::Unknown), None, "a hub that was begun anew takes nothing back");
}

#[test]
fn a_server_that_no_gateway_selects_is_told_of() {
    let stage = Stage::new();
    let server = stage.server(&time(json!({ "image": "time:1" })));
    assert_eq!(report_server(&server, Offer::Offered, &HealthMap::new()), None, "its containers say it all");
    let report = report_server(&server, Offer::NotSelected, &HealthMap::new()).unwrap();
    assert_eq!(report.message, "it answers, but no McpGateway selects it");
}

#[test]
fn a_gateway_tells_where_it_serves_and_what_or_why_it_does_not() {
    let address = "127.0.0.1:3010".parse().unwrap();
    let report = report_gateway(&GatewayState::Serving(address), None);
    assert_eq!((report.status, report.message.as_str()), (ReportStatus::Ready, "serving on 127.0.0.1:3010"));
    let failed = GatewayState::Failed("ListenFailed", "cannot listen on 127.0.0.1:3010: in use".to_owned());
    let report = report_gateway(&failed, None);
    assert_eq!((report.status, report.reason), (ReportStatus::Failed, "ListenFailed"));
    assert_eq!(report_gateway(&GatewayState::Suspended, None).status, ReportStatus::Waiting);
}

#[test]
fn what_of_a_server_is_not_approved_is_a_condition_that_says_how_it_is_approved() {
    let doubt = |tool: &str, kind: DoubtKind, is_waiting: bool| {
        let is_hidden = kind != DoubtKind::Removed;
        Doubt { server: "time".into(), tool: tool.into(), hash: String::new(), kind, is_hidden, is_waiting }
    };
    let told = |key: &str, doubts: &[Doubt]| report_review(&key.parse().unwrap(), &Review::of_each(doubts)["time"]);
    let hidden =
        [doubt("add", DoubtKind::Changed(Vec::new()), false), doubt("new\u{202e}", DoubtKind::New(Vec::new()), false)];
    let notice = told("McpServer/time", &hidden);
    assert_eq!((notice.condition_type, notice.status), (ConditionType::ToolsApproved, ConditionStatus::False));
    assert_eq!(notice.reason, "AwaitingApproval");
    assert_eq!(
        notice.message,
        r"what is new or changed is hidden until it is approved: 1 new, 1 changed (add, new\u{202e}): evenkeel mcp approve time"
    );
    let waiting = told("McpServer/lab/time", &[doubt("add", DoubtKind::Removed, true)]);
    assert_eq!(
        waiting.message,
        "the update waits, and the container that it is to replace serves, until what differs is approved: \
         1 removed (add): evenkeel mcp approve lab/time"
    );
    // It bears on no other condition.
    let mut stage = Stage::new();
    let gateway = object(Kind::McpGateway, "hub", json!({}));
    stage.world.set_desired(&gateway);
    let rolled = |stage: &Stage| {
        let plan = plan(&stage.world, &gateway.key(), NOW_MS);
        roll_up(&stage.world, &gateway.key(), &plan, None).conditions
    };
    let before = rolled(&stage);
    assert!(stage.world.set_notice(&gateway.key(), Some(notice.clone())));
    assert!(!stage.world.set_notice(&gateway.key(), Some(notice.clone())));
    assert_eq!(rolled(&stage), [before.clone(), vec![notice]].concat());
    assert!(stage.world.set_notice(&gateway.key(), None));
    assert_eq!(rolled(&stage), before);
}

#[test]
fn of_the_tools_of_a_gateway_those_that_nobody_sees_are_counted_apart() {
    let state = GatewayState::Serving("127.0.0.1:3010".parse().unwrap());
    let tools = |hidden| {
        let status = HubStatus { servers: 1, ready: 1, tools: 10, hidden, sessions: 0 };
        report_gateway(&state, Some(&status)).columns[1].1.clone()
    };
    assert_eq!([tools(0), tools(3)], ["10", "7/10"]);
}

#[test]
fn a_gateway_that_is_a_process_tells_that_it_is_awaited() {
    let report = report_gateway(&GatewayState::NotConnected("/data/hub/gateway.sock".into()), None);
    assert_eq!((report.status, report.reason), (ReportStatus::Waiting, "NotConnected"));
    assert_eq!(report.message, "no `evenkeel gateway` is connected to /data/hub/gateway.sock");

    let stage = Stage::new();
    let server = stage.server(&time(json!({ "image": "time:1" })));
    let told = |offer| report_server(&server, offer, &HealthMap::new()).map(|report| report.message);
    assert!(told(Offer::Away).unwrap().contains("is not connected"));
    assert!(Offer::Offered > Offer::Awaited && Offer::Awaited > Offer::Away, "of several gateways the best counts");
}

#[test]
fn of_a_server_whose_update_was_rolled_back_hubs_are_told_what_is_in_force() {
    let (before, after) =
        (time(json!({ "image": "time:1" })), json!({ "image": "time:2", "transport": "http", "port": 9 }));
    let rolled_back = RolledBack { manifest: before.to_json(), message: String::new(), since_ms: 0 };
    let record = ObjectRecord { rolled_back: Some(rolled_back), ..record(&time(after)) };
    assert_eq!(McpObjects::read([&record]), McpObjects::read([&self::record(&before)]));
}
