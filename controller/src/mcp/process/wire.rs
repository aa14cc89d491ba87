//! What a gateway's process and the controller say to each other: a JSON object a line. Secrets travel here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gateway::config::{GatewayConfig, ServerConfig};
use gateway::hub::{Demand, HubStatus, InstanceHealth};
use gateway::pin::Review;
use serde::{Deserialize, Serialize};

/// What the two must have in common. Changed with whatever either could misunderstand, the types of the gateway's `config.rs` included.
pub(super) const PROTOCOL: u32 = 5;
/// The release of this program.
pub(super) const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The first line of a connection, by whoever made it. Nothing else can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Opening {
    /// It is a gateway's process, and wants to be told what to be.
    Gateway(Hello),
    /// The standard streams of this instance are wanted: its input there, its output back.
    Attach(String),
    /// Somebody wants this instance to himself, for as long as the connection lasts.
    Lend(String),
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hello {
    /// [`PROTOCOL`], as its release has it.
    pub(super) protocol: u32,
    /// Its release.
    pub(super) release: String,
}

impl Hello {
    /// This program.
    pub(super) fn own() -> Self {
        Self { protocol: PROTOCOL, release: RELEASE.to_owned() }
    }

    /// Why this program and another cannot speak; `None` where they can. The first is the controller.
    pub(super) fn misfit(controller: &Self, process: &Self) -> Option<String> {
        (controller.protocol != process.protocol).then(|| {
            format!(
                "the controller is evenkeel {} (protocol {}) and the gateway is evenkeel {} (protocol {}): run the same release of both",
                controller.release, controller.protocol, process.release, process.protocol
            )
        })
    }
}

/// The controller's answer to an opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    /// Come in: who the controller is.
    Welcome(Hello),
    /// From the next byte on, this is the instance's streams.
    Attached,
    /// It is nobody else's until the connection ends, and nobody's after that.
    Lent,
    /// Somebody has it, or had it.
    Taken,
    /// No, for this reason.
    Refused(String),
}

/// What a process is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Order {
    /// Serve these.
    Serve(Box<Wanted>),
    /// Let nobody in any more, for this reason.
    Close(String),
}

/// A gateway and its servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    /// How it is to be set. Where its audit is written is the process' own matter.
    pub(super) config: GatewayConfig,
    /// Its servers.
    pub(super) servers: Vec<ServerConfig>,
}

/// How a process is, as a whole each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    /// Where it listens, or why it does not.
    pub(super) listening: Result<SocketAddr, Fault>,
    /// How every instance is.
    pub(super) health: BTreeMap<String, InstanceHealth>,
    /// The instances that answer, and must not replace older ones yet.
    pub(super) taking_over: BTreeSet<String>,
    /// The instances that are given nothing new to do, each with whether calls are under way on it.
    pub(super) leaving: BTreeMap<String, bool>,
    /// What is not approved of each server.
    pub(super) reviews: BTreeMap<String, Review>,
    /// What is needed of each server.
    pub(super) demands: BTreeMap<String, Demand>,
    /// How its hub is.
    pub(super) status: HubStatus,
}

/// Why a process does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fault {
    /// Its audit or its lists cannot be kept.
    Open(String),
    /// The address cannot be had.
    Listen(String),
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use expect_test::expect;
    use gateway::config::{AuditConfig, Endpoint, GatewayConfig, Instance, ServerConfig, TokenConfig};
    use gateway::hub::{Demand, HubStatus, InstanceHealth};
    use gateway::pin::Review;

    use super::{Account, Answer, Hello, Opening, Order, PROTOCOL, Wanted};

    #[test]
    fn another_form_of_what_is_said_is_another_protocol() {
        let address = SocketAddr::from(([127, 0, 0, 1], 3010));
        let mut config = GatewayConfig::on(address);
        config.tokens = vec![TokenConfig { principal: "laptop".into(), roles: vec!["a".into()], sha256: [7; 32] }];
        config.audit = Some(AuditConfig::to("/a".into()));
        let headers = [("A".to_owned(), "b".to_owned())].into();
        let http = Endpoint::Http { address, path: "/mcp".into(), host: "web".into(), headers };
        let servers = vec![ServerConfig::of("web", vec![instance(Endpoint::Stdio), instance(http)])];
        let order = Order::Serve(Box::new(Wanted { config, servers }));
        let account = account(address);
        let openings = [Opening::Gateway(hello()), Opening::Attach("1".into()), Opening::Lend("1".into())];
        let refused = Answer::Refused("no".into());
        let answers = [Answer::Welcome(hello()), Answer::Attached, Answer::Lent, Answer::Taken, refused];
        let begun = format!("{}\n{}", to_text(&openings), to_text(&answers));
        let said = format!("{PROTOCOL}\n{begun}\n{}\n{}\n", to_text(&order), to_text(&account));
        expect![[r#"
            5
            [{"gateway":{"protocol":5,
            "release":"1.0.0"}},{"attach":"1"},{"lend":"1"}]
            [{"welcome":{"protocol":5,
            "release":"1.0.0"}},
            "attached",
            "lent",
            "taken",{"refused":"no"}]
            {"serve":{"config":{"listen":"127.0.0.1:3010",
            "naming":"Prefixed",
            "tokens":[{"principal":"laptop",
            "roles":["a"],
            "sha256":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7]}],
            "rules":[],
            "allowed_hosts":[],
            "allowed_origins":[],
            "limits":{"sessions":1000,
            "session_idle":{"secs":1800,
            "nanos":0},
            "concurrency":64,
            "request_bytes":4194304},
            "audit":{"path":"/a",
            "has_values":false,
            "rotation":{"file_bytes":268435456,
            "max_backups":null,
            "max_age":null}}},
            "servers":[{"name":"web",
            "instances":[{"id":"1",
            "run_ms":5,
            "is_current":true,
            "is_leaving":false,
            "endpoint":"Stdio"},{"id":"1",
            "run_ms":5,
            "is_current":true,
            "is_leaving":false,
            "endpoint":{"Http":{"address":"127.0.0.1:3010",
            "path":"/mcp",
            "host":"web",
            "headers":{"A":"b"}}}}],
            "allow":[],
            "deny":[],
            "rename":{},
            "pin":"Off",
            "calls":{"timeout":{"secs":60,
            "nanos":0},
            "concurrency":64,
            "request_bytes":4194304,
            "result_bytes":16777216},
            "sharing":{"isolation":"Shared",
            "max":1,
            "is_on_demand":false,
            "idle":null},
            "is_being_replaced":false,
            "secrets":[],
            "likely_secrets":[]}]}}
            {"listening":{"Ok":"127.0.0.1:3010"},
            "health":{"1":{"Failed":"no"}},
            "takingOver":["1"],
            "leaving":{"1":true},
            "reviews":{"web":{"new":0,
            "changed":0,
            "removed":0,
            "names":["add"],
            "is_hidden":false,
            "is_waiting":false}},
            "demands":{"web":{"leased":0,
            "waiting":0,
            "is_in_use":false,
            "is_known":false}},
            "status":{"servers":0,
            "ready":0,
            "tools":0,
            "hidden":0,
            "sessions":0}}
        "#]]
        .assert_eq(&said);
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&text).unwrap(), account);
    }

    fn account(address: SocketAddr) -> Account {
        Account {
            listening: Ok(address),
            health: [("1".to_owned(), InstanceHealth::Failed("no".into()))].into(),
            taking_over: ["1".to_owned()].into(),
            leaving: [("1".to_owned(), true)].into(),
            reviews: [("web".to_owned(), Review { names: ["add".to_owned()].into(), ..Review::default() })].into(),
            demands: [("web".to_owned(), Demand::default())].into(),
            status: HubStatus::default(),
        }
    }

    fn instance(endpoint: Endpoint) -> Instance {
        Instance { id: "1".into(), run_ms: Some(5), is_current: true, is_leaving: false, endpoint }
    }

    /// Of a release that is always the same.
    fn hello() -> Hello {
        Hello { protocol: PROTOCOL, release: "1.0.0".to_owned() }
    }

    fn to_text(value: &impl serde::Serialize) -> String {
        let text = serde_json::to_string(value).unwrap();
        // A line each, so that a difference can be seen.
        text.replace(",\"", ",\n\"")
    }
}
