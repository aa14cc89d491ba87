//! Asks a gateway as a client of 2026-07-28.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gateway::connection::{message_of, own_meta};
use gateway::upstream::client::HttpClient;
use gateway::upstream::exchange::{Answer, Exchange, UpstreamError};
use gateway::upstream::http::{Dress, HttpLink};
use gateway::wire::object::RawObject;
use serde_json::value::RawValue;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::access::Access;
use crate::cli::error::CliError;

/// A gateway that has not taken the connection by then is not there.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long it has to list something.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// No answer is longer.
const ANSWER_LIMIT: usize = 64 << 20;
/// How many pages of a list are read.
const PAGE_LIMIT: usize = 1_000;

/// A gateway that takes connections.
#[derive(Debug, Clone)]
pub(super) struct McpClient {
    link: HttpLink,
    access: Access,
}

/// What a request may have beside its params.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'request> {
    /// What `Mcp-Name` says.
    pub(super) name: Option<&'request str>,
    /// The headers that arguments ask for.
    pub(super) headers: &'request [(String, String)],
    /// Whether to tell how far it is.
    pub(super) wants_progress: bool,
}

impl McpClient {
    /// Finds an address of the gateway that takes connections.
    pub(super) async fn connect(access: Access) -> Result<Self, CliError> {
        let address = &access.address;
        let (host, port) = address.host_and_port();
        let unreachable = |source: std::io::Error| CliError::Failed {
            context: format!("cannot reach the gateway at {address}"),
            source: source.into(),
            hint: "is `evenkeel run` running, with an McpGateway? `--gateway` or EVENKEEL_MCP_URL says where".into(),
        };
        let mut found: Result<SocketAddr, std::io::Error> = Err(std::io::Error::other("the name has no address"));
        for candidate in lookup_host((host, port)).await.map_err(unreachable)? {
            let connected = timeout(CONNECT_TIME, TcpStream::connect(candidate)).await;
            match connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
                Ok(_) => {
                    found = Ok(candidate);
                    break;
                }
                Err(error) => found = Err(error),
            }
        }
        let mut headers = BTreeMap::new();
        if let Some(token) = &access.token {
            headers.insert("authorization".to_owned(), format!("Bearer {}", token.reveal()));
        }
        let socket = found.map_err(unreachable)?;
        let link =
            HttpLink::new(HttpClient::plain(), socket, address.path(), address.authority(), &headers, ANSWER_LIMIT);
        let link = link.map_err(|error| failed("cannot ask the gateway", error))?;
        Ok(Self { link, access })
    }

    /// The same gateway's endpoint of one server.
    pub(super) async fn of_server(&self, name: &str) -> Result<Self, CliError> {
        let address =
            self.access.address.of_server(name).map_err(|error| {
                CliError::usage(format!("`{name}` is {error}"), "`evenkeel mcp ls` shows the servers")
            })?;
        Self::connect(Access { address, token: self.access.token.clone() }).await
    }

    /// Sends a request.
    pub(super) async fn send(&self, method: &str, params: &str, beside: Beside<'_>) -> Exchange {
        let meta = own_meta();
        let mut params = RawObject::parse(params).unwrap_or_default();
        params.set("_meta", meta.as_str());
        let dress = Dress::Modern { name: beside.name, params: beside.headers };
        self.link.call(dress, method, params, beside.wants_progress).await
    }

    /// Asks for something that is answered from memory.
    async fn ask(&self, method: &str, params: &str) -> Result<Answer, CliError> {
        let asking = async { self.send(method, params, Beside::default()).await.answer().await };
        let answer = timeout(ANSWER_TIME, asking)
            .await
            .unwrap_or_else(|_| Err(UpstreamError::Gone(format!("no answer within {} s", ANSWER_TIME.as_secs()))));
        answer.map_err(|error| self.no_answer(method, error))
    }

    /// What the gateway has at another path.
    pub(super) async fn get(&self, path: &str) -> Result<String, CliError> {
        let got = timeout(ANSWER_TIME, self.link.get(path)).await;
        let got =
            got.unwrap_or_else(|_| Err(UpstreamError::Gone(format!("no answer within {} s", ANSWER_TIME.as_secs()))));
        got.map_err(|error| self.no_answer(path, error))
    }

    /// Everything that a gateway tells of itself, as JSON text.
    pub(super) async fn discover(&self) -> Result<String, CliError> {
        self.result_of("server/discover", self.ask("server/discover", "{}").await?)
    }

    /// Every item of a list, each as JSON text.
    pub(super) async fn list_all(&self, method: &str, field: &str) -> Result<Vec<String>, CliError> {
        let mut items = Vec::new();
        let mut params = "{}".to_owned();
        for _ in 0..PAGE_LIMIT {
            let result = self.result_of(method, self.ask(method, &params).await?)?;
            let fields = RawObject::parse(&result).unwrap_or_default();
            let page: Vec<&RawValue> =
                fields.get(field).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            items.extend(page.into_iter().map(|item| item.get().to_owned()));
            let Some(next) = fields.get("nextCursor").filter(|next| *next != "null") else { break };
            params = format!("{{\"cursor\":{next}}}");
        }
        Ok(items)
    }

    /// The result that an answer is.
    pub(super) fn result_of(&self, method: &str, answer: Answer) -> Result<String, CliError> {
        match answer {
            Answer::Result(result) => Ok(result),
            Answer::Error(error) => {
                let fields = RawObject::parse(&error).unwrap_or_default();
                let hint = match (fields.get("code"), &self.access.token) {
                    (Some("-31003"), None) => "name the token's file with `--token-file`, or set EVENKEEL_MCP_TOKEN",
                    (Some("-31003"), Some(_)) => "is the token the right one, and do the gateway's rules allow it?",
                    (Some("-32600"), _) => "`evenkeel mcp ls` shows the servers",
                    _ => "",
                };
                let message = message_of(&error);
                Err(CliError::usage(format!("the gateway refuses `{method}`: {message}"), hint))
            }
        }
    }

    /// What there is to say when no answer came.
    pub(super) fn no_answer(&self, method: &str, error: UpstreamError) -> CliError {
        let address = &self.access.address;
        if matches!(error, UpstreamError::Refused { status: 404, .. } | UpstreamError::SessionLost) {
            let hint = "`evenkeel mcp ls` shows the servers; the path of a gateway is `/mcp`";
            return CliError::usage(format!("there is nothing at {address}, or nothing for this token"), hint);
        }
        failed(&format!("`{method}` got no answer from the gateway at {address}"), error)
    }
}

fn failed(context: &str, error: UpstreamError) -> CliError {
    CliError::Failed { context: context.to_owned(), source: error.into(), hint: String::new() }
}
