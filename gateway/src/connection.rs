//! A server that has answered: which era it speaks, what it can do, and what it lists.

use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::era::{Era, LEGACY_VERSIONS, MODERN_VERSION};
use crate::secrets::Secrets;
use crate::upstream::answer::{REFUSAL_LIMIT, TEXT_LIMIT};
use crate::upstream::exchange::{Answer, UpstreamError};
use crate::upstream::http::{Dress, HttpSession};
use crate::upstream::link::Link;
use crate::wire::object::{RawObject, read_str};
use crate::wire::reply::RpcError;
use crate::wire::strict::read_strictly;

/// How long a server has for the question which era it speaks; one that stays silent is taken for a legacy one.
const DISCOVER_TIME: Duration = Duration::from_secs(3);
/// How long it has for anything else that the gateway asks of itself.
const PROBE_TIME: Duration = Duration::from_secs(20);
/// How many pages of one list are followed.
const PAGE_LIMIT: usize = 200;
/// How many items of one list are taken.
const ITEM_LIMIT: usize = 20_000;
/// How many bytes of one list are taken: what a server lists is kept, and sent to every client.
const LIST_BYTES: usize = 16 << 20;

/// Why a server is not ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It does not answer.
    #[error("no answer to `{method}` within {}s", PROBE_TIME.as_secs())]
    Silent {
        /// What was asked.
        method: String,
    },
    /// It answered with an error.
    #[error("`{method}` failed: {text}")]
    Failed {
        /// What was asked.
        method: String,
        /// The error's text.
        text: String,
    },
    /// It cannot be reached, or speaks something else.
    #[error("`{method}`: {source}")]
    Broken {
        /// What was asked.
        method: String,
        /// Why.
        #[source]
        source: UpstreamError,
    },
    /// It speaks no version that is spoken here.
    #[error("it speaks MCP {0}, which is not spoken here")]
    Version(String),
}

/// A server that has answered.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The way to it.
    pub link: Link,
    /// The era that it is spoken to in.
    pub era: Era,
    /// The gateway's own session with it; of a modern one just the version.
    pub session: HttpSession,
    /// Its capabilities, as JSON text.
    pub capabilities: String,
    /// What it tells models of itself.
    pub instructions: Option<String>,
}

/// Everything that a server lists, each item as JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Listing {
    /// The tools.
    pub tools: Vec<String>,
    /// The prompts.
    pub prompts: Vec<String>,
    /// The resources.
    pub resources: Vec<String>,
    /// The templates of resources.
    pub templates: Vec<String>,
    /// What it tells models of itself.
    pub instructions: Option<String>,
    /// Its capabilities, as JSON text.
    pub capabilities: String,
}

impl Listing {
    /// The same without what nobody may be told.
    #[must_use]
    pub fn without(self, secrets: &Secrets) -> Self {
        let hide_each = |items: Vec<String>| items.into_iter().map(|item| secrets.hide(item).into_owned()).collect();
        Self {
            tools: hide_each(self.tools),
            prompts: hide_each(self.prompts),
            resources: hide_each(self.resources),
            templates: hide_each(self.templates),
            instructions: self.instructions.map(|text| secrets.hide(text).into_owned()),
            capabilities: secrets.hide(self.capabilities).into_owned(),
        }
    }
}

/// The gateway's name and version, as JSON text.
pub const fn own_info() -> &'static str {
    concat!("{\"name\":\"evenkeel\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}")
}

/// `_meta` of a modern request of the gateway's own.
pub fn own_meta() -> String {
    format!(
        "{{\"io.modelcontextprotocol/protocolVersion\":\"{MODERN_VERSION}\",\"io.modelcontextprotocol/clientInfo\":{},\"io.modelcontextprotocol/clientCapabilities\":{{}}}}",
        own_info()
    )
}

/// The params of an `initialize`.
pub fn initialize_params(capabilities: &str, client_info: &str) -> String {
    let version = LEGACY_VERSIONS[0];
    format!("{{\"protocolVersion\":\"{version}\",\"capabilities\":{capabilities},\"clientInfo\":{client_info}}}")
}

/// What is taken of one list.
#[derive(Debug, Default)]
struct List {
    items: Vec<String>,
    bytes: usize,
    left_out: usize,
}

impl List {
    /// Takes an item, unless there is no room for it, or some client could not read it: one that gives up on an item gives up on the
    /// whole list, and on all other servers with it.
    fn take(&mut self, item: &str) {
        self.bytes += item.len();
        if !self.is_full() && read_strictly(item).is_some_and(|value| value.is_object()) {
            self.items.push(item.to_owned());
        } else {
            self.left_out += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.bytes > LIST_BYTES || self.items.len() >= ITEM_LIMIT
    }
}

impl Connection {
    /// Finds out which era a server speaks, the modern one first, and begins a session where that needs one.
    ///
    /// # Errors
    /// When it does not answer, or speaks no version that is spoken here.
    pub async fn open(link: Link) -> Result<Self, ProbeError> {
        let mut discovered = Self::discover(&link).await;
        if let Ok(Ok(Answer::Error(error))) = &discovered
            && refuses_but_speaks_modern(error)
        {
            discovered = Self::discover(&link).await;
        }
        match discovered {
            Ok(Ok(Answer::Result(result))) => {
                let fields = RawObject::parse(&result).unwrap_or_default();
                if read_versions(&fields, "supportedVersions").iter().any(|version| version == MODERN_VERSION) {
                    let session = HttpSession { id: None, version: MODERN_VERSION.to_owned() };
                    return Ok(Self::of(link.clone(), Era::Modern, session, &fields));
                }
            }
            Ok(Err(source @ (UpstreamError::Gone(_) | UpstreamError::Unreached(_)))) => {
                return Err(ProbeError::Broken { method: "server/discover".to_owned(), source });
            }
            // Any error, and silence, is how a legacy server answers what it does not know.
            Ok(Ok(Answer::Error(_)) | Err(_)) | Err(_) => {}
        }
        Self::begin_session(link, "{}", own_info()).await
    }

    /// Asks which versions it speaks.
    async fn discover(link: &Link) -> Result<Result<Answer, UpstreamError>, Elapsed> {
        let params = format!("{{\"_meta\":{}}}", own_meta());
        let params = RawObject::parse(&params).unwrap_or_default();
        let dress = Dress::Modern { name: None, params: &[] };
        let asking = async { link.call(dress, "server/discover", params, false).await.answer().await };
        timeout(DISCOVER_TIME, asking).await
    }

    /// Begins a session of a legacy server in the name of a client.
    ///
    /// # Errors
    /// When it does not answer, or speaks no version that is spoken here.
    pub async fn begin_session(link: Link, capabilities: &str, client_info: &str) -> Result<Self, ProbeError> {
        let method = || "initialize".to_owned();
        let params = initialize_params(capabilities, client_info);
        let params = RawObject::parse(&params).unwrap_or_default();
        let answer = timeout(PROBE_TIME, link.initialize(params)).await;
        let answer = answer.map_err(|_| ProbeError::Silent { method: method() })?;
        let (answer, id) = answer.map_err(|source| ProbeError::Broken { method: method(), source })?;
        let result = match answer {
            Answer::Result(result) => result,
            Answer::Error(error) => {
                return Err(ProbeError::Failed { method: method(), text: text_of(&error, TEXT_LIMIT) });
            }
        };
        let fields = RawObject::parse(&result).unwrap_or_default();
        let version = fields.get_str("protocolVersion").unwrap_or_default().into_owned();
        if !LEGACY_VERSIONS.contains(&version.as_str()) {
            return Err(ProbeError::Version(version.chars().take(TEXT_LIMIT).collect()));
        }
        let session = HttpSession { id, version };
        let notified = link.notify(&session, "notifications/initialized", None).await;
        notified.map_err(|source| ProbeError::Broken { method: "notifications/initialized".to_owned(), source })?;
        Ok(Self::of(link.clone(), Era::Legacy, session, &fields))
    }

    fn of(link: Link, era: Era, session: HttpSession, fields: &RawObject<'_>) -> Self {
        Self {
            link,
            era,
            session,
            capabilities: fields.get("capabilities").unwrap_or("{}").to_owned(),
            instructions: fields.get_str("instructions").map(std::borrow::Cow::into_owned),
        }
    }

    /// Whether it has a capability, such as `tools`.
    pub fn has(&self, capability: &str) -> bool {
        RawObject::parse(&self.capabilities).is_some_and(|capabilities| capabilities.has(capability))
    }

    /// Asks for everything that it lists.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn list(&self) -> Result<Listing, ProbeError> {
        let mut listing = Listing {
            instructions: self.instructions.clone(),
            capabilities: self.capabilities.clone(),
            ..Listing::default()
        };
        if self.has("tools") {
            listing.tools = self.list_all("tools/list", "tools").await?;
        }
        if self.has("prompts") {
            listing.prompts = self.list_all("prompts/list", "prompts").await?;
        }
        if self.has("resources") {
            listing.resources = self.list_all("resources/list", "resources").await?;
            // Many servers have no templates and say so by an error.
            listing.templates = match self.list_all("resources/templates/list", "resourceTemplates").await {
                Err(ProbeError::Failed { .. }) => Vec::new(),
                templates => templates?,
            };
        }
        Ok(listing)
    }

    async fn list_all(&self, method: &str, field: &str) -> Result<Vec<String>, ProbeError> {
        let mut list = List::default();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGE_LIMIT {
            let result = self.ask(method, cursor.as_deref()).await?;
            let fields = RawObject::parse(&result).unwrap_or_default();
            let page: Vec<&RawValue> =
                fields.get(field).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            for item in page {
                list.take(item.get());
            }
            let next = fields.get("nextCursor").filter(|next| *next != "null").map(str::to_owned);
            if next.is_none() || next == cursor || list.is_full() {
                break;
            }
            cursor = next;
        }
        if list.left_out > 0 {
            tracing::warn!(
                method = method,
                left_out = list.left_out,
                "not everything that a server lists can be shown"
            );
        }
        Ok(list.items)
    }

    async fn ask(&self, method: &str, cursor: Option<&str>) -> Result<String, ProbeError> {
        let meta = own_meta();
        let mut params = RawObject::default();
        if let Some(cursor) = cursor {
            params.set("cursor", cursor);
        }
        if self.era == Era::Modern {
            params.set("_meta", meta.as_str());
        }
        let asking = async { self.link.call(self.dress(None), method, params, false).await.answer().await };
        let method = || method.to_owned();
        let answer = timeout(PROBE_TIME, asking).await.map_err(|_| ProbeError::Silent { method: method() })?;
        match answer.map_err(|source| ProbeError::Broken { method: method(), source })? {
            Answer::Result(result) => Ok(result),
            Answer::Error(error) => Err(ProbeError::Failed { method: method(), text: text_of(&error, TEXT_LIMIT) }),
        }
    }

    /// Whether it still answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), ProbeError> {
        let method = match self.era {
            Era::Legacy => "ping",
            Era::Modern => "server/discover",
        };
        match self.ask(method, None).await {
            // Whoever answers is there.
            Ok(_) | Err(ProbeError::Failed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How a request in the gateway's own session is dressed.
    pub fn dress<'dress>(&'dress self, name: Option<&'dress str>) -> Dress<'dress> {
        match self.era {
            Era::Legacy => Dress::Session(&self.session),
            Era::Modern => Dress::Modern { name, params: &[] },
        }
    }
}

/// Whether a server refuses the version that it was spoken to in, and names the same among those that it speaks. Some do while they start;
/// that there is a session to begin is nothing that it has said.
fn refuses_but_speaks_modern(error: &str) -> bool {
    let fields = RawObject::parse(error).unwrap_or_default();
    let is_refusal = fields.get("code").and_then(|code| code.parse().ok()) == Some(RpcError::UNSUPPORTED_VERSION);
    let data = fields.get("data").and_then(RawObject::parse).unwrap_or_default();
    is_refusal && read_versions(&data, "supported").iter().any(|version| version == MODERN_VERSION)
}

fn read_versions(fields: &RawObject<'_>, key: &str) -> Vec<String> {
    fields.get(key).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The beginning of the message of an error object.
pub fn message_of(error: &str) -> String {
    text_of(error, REFUSAL_LIMIT)
}

fn text_of(error: &str, limit: usize) -> String {
    let fields = RawObject::parse(error).unwrap_or_default();
    fields.get("message").and_then(read_str).unwrap_or_default().chars().take(limit).collect()
}
