//! 2026-07-28: each request stands alone, and says everything itself.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{ALLOW, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::body::{Body, empty, fault, joined_json, json};
use super::call;
use super::entry::Entry;
use super::heading::{Heading, Said};
use super::late::Late;
use super::listen;
use super::post::{Posted, VERSION_KEY};
use super::request::{Fault, RESPONSE, record, refused};
use crate::catalogue::{ListKind, Target, View};
use crate::connection::own_info;
use crate::era::{Era, MODERN_VERSION};
use crate::header::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, decode};
use crate::header_param::value_of;
use crate::hub::Hub;
use crate::relay::Caller;
use crate::wire::envelope::{ClientMessage, Message};
use crate::wire::id::Id;
use crate::wire::object::{RawObject, quote};
use crate::wire::params::Params;
use crate::wire::reply::{RpcError, result_reply};

/// How long a client may believe a list, in milliseconds: changes are told, this is for those who do not listen.
const LIST_TTL_MS: u32 = 5_000;

/// What the gateway can do, whatever its servers can.
pub(super) const CAPABILITIES: &str = "{\"tools\":{\"listChanged\":true},\"prompts\":{\"listChanged\":true},\"resources\":{\"listChanged\":true,\"subscribe\":true},\"completions\":{},\"logging\":{}}";

/// Answers a modern message.
pub(super) async fn answer(posted: Posted<'_>, message: ClientMessage<'_>, params: &Params<'_>) -> Response<Body> {
    match message {
        Message::Request { id, method, .. } => answer_request(posted, id, &method, params).await,
        // Over HTTP nothing can be cancelled so: who hangs up cancels.
        Message::Notification { method, .. } => {
            record(&posted.hub, Some(&posted.principal), &method, "ok", None).await;
            empty(StatusCode::ACCEPTED)
        }
        Message::Response { .. } => {
            let error = RpcError::new(RpcError::INVALID_REQUEST, "nothing was asked that this could answer");
            let fault = Fault { status: StatusCode::BAD_REQUEST, id: None, error };
            refused(&posted.hub, Some(&posted.principal), RESPONSE, fault).await
        }
    }
}

async fn answer_request(posted: Posted<'_>, id: Id, method: &str, params: &Params<'_>) -> Response<Body> {
    let Posted { hub, principal, scope, heading, way } = posted;
    let fields = &params.fields;
    let caller = match check(heading, method, params) {
        Ok(meta) => Arc::new(Caller {
            principal,
            era: Era::Modern,
            session: None,
            capabilities: meta.capabilities,
            client_info: meta.client_info,
            log_level: meta.log_level,
        }),
        Err(error) => {
            let fault = Fault { status: StatusCode::BAD_REQUEST, id: Some(&id), error };
            return refused(&hub, Some(&principal), method, fault).await;
        }
    };
    let Some(view) = hub.catalogue().view(&caller.principal, scope.as_deref()) else {
        let error = RpcError::new(RpcError::INVALID_REQUEST, "there is no such server");
        let fault = Fault { status: StatusCode::NOT_FOUND, id: Some(&id), error };
        return refused(&hub, Some(&caller.principal), method, fault).await;
    };
    if method == "tools/call"
        && let Some(error) = fields
            .get_str("name")
            .and_then(|name| view.tool(&name))
            .and_then(|target| check_param_headers(heading.all, target, fields.get("arguments")))
    {
        let fault = Fault { status: StatusCode::BAD_REQUEST, id: Some(&id), error };
        return call::refuse(&hub, &caller, &view, (method, params), fault).await;
    }
    if let Some(kind) = ListKind::of_method(method) {
        return list(&hub, &way.late, &caller, &view, &id, (method, kind), fields).await;
    }
    match method {
        "server/discover" => {
            let entry = Entry::begin(&hub, &caller, method, Some(params));
            let text = result_reply(&id, &discovery(&view));
            entry.end(&hub, "ok", None, text.len()).await;
            json(StatusCode::OK, text)
        }
        "tools/call" | "prompts/get" | "resources/read" | "completion/complete" => {
            call::run(hub, caller, &view, id, method, params).await
        }
        "subscriptions/listen" => {
            let entry = Entry::begin(&hub, &caller, method, Some(params));
            let posted = Posted { hub, principal: caller.principal.clone(), scope, heading, way };
            listen::subscribe(posted, caller, &view, id, fields, entry)
        }
        _ => {
            let entry = Entry::begin(&hub, &caller, method, Some(params));
            entry.end(&hub, "refused", Some(RpcError::METHOD_NOT_FOUND), 0).await;
            let error = RpcError::new(RpcError::METHOD_NOT_FOUND, "there is no such method");
            fault(StatusCode::NOT_FOUND, Some(&id), &error)
        }
    }
}

fn discovery(view: &View) -> String {
    let instructions = if view.instructions.is_empty() {
        String::new()
    } else {
        format!("\"instructions\":{},", quote(&view.instructions))
    };
    format!(
        "{{\"resultType\":\"complete\",\"supportedVersions\":[\"{MODERN_VERSION}\"],\"capabilities\":{CAPABILITIES},{instructions}\"ttlMs\":{LIST_TTL_MS},\"cacheScope\":\"private\",\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{}}}}}",
        own_info()
    )
}

async fn list(
    hub: &Hub,
    late: &Late,
    caller: &Arc<Caller>,
    view: &View,
    id: &Id,
    (method, kind): (&str, ListKind),
    fields: &RawObject<'_>,
) -> Response<Body> {
    let entry = Entry::begin(hub, caller, method, None);
    let page = view.asked_page(kind, fields);
    let Some(page) = page else {
        entry.end(hub, "refused", Some(RpcError::INVALID_PARAMS), 0).await;
        let error = RpcError::new(RpcError::INVALID_PARAMS, "the cursor is none of this list");
        return fault(StatusCode::BAD_REQUEST, Some(id), &error);
    };
    let head = [
        "{\"jsonrpc\":\"2.0\",\"id\":",
        id.as_json(),
        ",\"result\":{\"resultType\":\"complete\",\"ttlMs\":",
        &LIST_TTL_MS.to_string(),
        ",\"cacheScope\":\"private\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":",
        own_info(),
        "},",
    ]
    .concat();
    hub.metrics.discovery.observe(entry.took());
    entry.end_late(hub, late, head.len() + page.len()).await;
    joined_json(head, page)
}

/// What a modern request says of its client.
struct ClientMeta {
    capabilities: Arc<str>,
    client_info: Arc<str>,
    log_level: Option<Cow<'static, str>>,
}

fn mismatch(text: String) -> RpcError {
    RpcError::new(RpcError::HEADER_MISMATCH, text)
}

/// What a header says that may be there once.
fn once<'head>(name: &HeaderName, said: Said<'head>) -> Result<Option<&'head str>, RpcError> {
    let is_often = said.is_often();
    if is_often {
        Err(mismatch(format!("the header `{name}` is there twice")))
    } else {
        Ok(said.first().map(str::trim))
    }
}

/// Whether headers and body agree, in the order that the specification gives.
fn check(heading: &Heading<'_>, method: &str, params: &Params<'_>) -> Result<ClientMeta, RpcError> {
    let Params { fields, meta, .. } = params;
    let said_version = once(&MCP_PROTOCOL_VERSION, heading.version)?;
    let said_method = once(&MCP_METHOD, heading.method)?;
    let said_name = once(&MCP_NAME, heading.name)?;
    let missing = |key: &str| RpcError::new(RpcError::INVALID_PARAMS, format!("`_meta` has no `{key}`"));
    let version = meta.get_str(VERSION_KEY).ok_or_else(|| missing(VERSION_KEY))?;
    let capabilities_key = "io.modelcontextprotocol/clientCapabilities";
    let capabilities = meta.get(capabilities_key).filter(|text| text.starts_with('{'));
    let capabilities = capabilities.ok_or_else(|| missing(capabilities_key))?.into();
    if said_version != Some(&*version) {
        return Err(mismatch("`MCP-Protocol-Version` is not what the body says".to_owned()));
    }
    if version != MODERN_VERSION {
        let data = format!("{{\"supported\":[\"{MODERN_VERSION}\"],\"requested\":{}}}", quote(&version));
        return Err(RpcError::new(RpcError::UNSUPPORTED_VERSION, "this version is not spoken here").with_data(data));
    }
    if said_method != Some(method) {
        return Err(mismatch("`Mcp-Method` is not the method of the body".to_owned()));
    }
    let named = match method {
        "tools/call" | "prompts/get" => fields.get_str("name"),
        "resources/read" => fields.get_str("uri"),
        _ => None,
    };
    if let Some(named) = named
        && said_name.and_then(decode).as_deref() != Some(&*named)
    {
        return Err(mismatch("`Mcp-Name` is not the name of the body".to_owned()));
    }
    Ok(ClientMeta {
        capabilities,
        client_info: meta
            .get("io.modelcontextprotocol/clientInfo")
            .filter(|text| text.starts_with('{'))
            .unwrap_or("{\"name\":\"unknown\",\"version\":\"0\"}")
            .into(),
        log_level: meta.get_str("io.modelcontextprotocol/logLevel").map(|level| Cow::Owned(level.into_owned())),
    })
}

/// What is wrong with the headers that a tool's arguments ask for.
fn check_param_headers(headers: &HeaderMap, target: &Target, arguments: Option<&str>) -> Option<RpcError> {
    if target.headers.is_empty() {
        return None;
    }
    let arguments: serde_json::Value = arguments.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    target.headers.iter().find_map(|(path, word)| {
        let name = format!("mcp-param-{}", word.to_ascii_lowercase());
        let mut values = headers.get_all(&name).iter();
        let (first, is_twice) = (values.next(), values.next().is_some());
        let header = first.and_then(|value| value.to_str().ok()).and_then(decode);
        let is_fine = match (value_of(&arguments, path), first, header) {
            (None, None, _) => true,
            (Some(value), Some(_), Some(header)) => !is_twice && (value == header || is_same_number(&value, &header)),
            _ => false,
        };
        let message = format!("`Mcp-Param-{word}` is not the argument of the body");
        (!is_fine).then(|| mismatch(message))
    })
}

fn is_same_number(one: &str, other: &str) -> bool {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    is_number(one) && is_number(other) && one.parse::<f64>().ok().is_some_and(|one| other.parse::<f64>() == Ok(one))
}

/// The answer to what 2026-07-28 has no stream for.
pub(super) fn no_stream() -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}
