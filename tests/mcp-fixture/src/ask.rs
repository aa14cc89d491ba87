//! How a question reaches the client: as the result of the Modern era, or as a request of the server's own in the Legacy one.

use std::collections::BTreeMap;

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, InputRequest, InputRequests, InputRequiredResult, InputResponses, JsonObject, ProtocolVersion,
};
use rmcp::service::{Peer, RequestContext, RoleServer, ServiceError};
use serde_json::{Value, json};

use crate::content::parse;
use crate::round::{self, Known, Round};

/// How often one call may ask before it is a loop.
const MOST_ROUNDS: usize = 10;

/// What an asking tool or prompt comes to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is done, with this text.
    Done(String),
    /// The client is to ask, and to call again.
    InputRequired(InputRequiredResult),
}

/// The parts of a call that an asking tool or prompt looks at.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    /// The tool's or prompt's name.
    pub(crate) name: &'a str,
    /// Its arguments.
    pub(crate) arguments: &'a JsonObject,
    /// What the client answered, when it calls again.
    pub(crate) responses: Option<&'a InputResponses>,
    /// The state that came back with it.
    pub(crate) state: Option<&'a str>,
}

/// Goes as far as it can be gone: one round in the Modern era, all of them in the Legacy one. None if `name` asks nothing.
///
/// # Errors
///
/// When the client cannot do what is asked, refuses to, or came back with a state that is not ours.
pub(crate) async fn run(
    asking: Asking<'_>,
    context: &RequestContext<RoleServer>,
) -> Option<Result<Outcome, ErrorData>> {
    let mut responses = asking.responses.cloned().unwrap_or_default();
    let mut state = asking.state.map(str::to_owned);
    let capabilities = context.client_capabilities().unwrap_or_default();
    for _ in 0..MOST_ROUNDS {
        let known = Known {
            arguments: asking.arguments,
            responses: &responses,
            state: state.as_deref(),
            can_sample: capabilities.sampling.is_some(),
            can_elicit: capabilities.elicitation.is_some(),
        };
        let (requests, next_state) = match round::next(asking.name, &known)? {
            Ok(Round::Done(text)) => return Some(Ok(Outcome::Done(text))),
            Ok(Round::Ask { requests, state }) => (requests, state),
            Err(error) => return Some(Err(error)),
        };
        let requests: InputRequests = match parse(requests) {
            Ok(requests) => requests,
            Err(error) => return Some(Err(error)),
        };
        let is_modern = is_modern(context);
        if let Err(error) = require(&capabilities, &requests, is_modern) {
            return Some(Err(error));
        }
        if is_modern {
            return Some(Ok(Outcome::InputRequired(InputRequiredResult::new(Some(requests), next_state))));
        }
        state = next_state;
        responses = match answer_all(&context.peer, requests).await {
            Ok(responses) => responses,
            Err(error) => return Some(Err(error)),
        };
    }
    Some(Err(ErrorData::internal_error("asked too often", None)))
}

/// Whether the request is one of the Modern era.
pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version().is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// That the client has said it can do all of `requests`. Only the Modern era has a code for it if not.
fn require(capabilities: &ClientCapabilities, requests: &InputRequests, is_modern: bool) -> Result<(), ErrorData> {
    let has = serde_json::to_value(capabilities).unwrap_or_default();
    let mut missing = json!({});
    for request in requests.values() {
        let capability = capability_of(request);
        if has.get(capability).is_none() {
            missing[capability] = json!({});
        }
    }
    if missing.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(());
    }
    if !is_modern {
        return Err(ErrorData::invalid_request(format!("the client lacks {missing}"), None));
    }
    Err(ErrorData::missing_required_client_capability(parse(missing)?))
}

fn capability_of(request: &InputRequest) -> &'static str {
    match request {
        InputRequest::CreateMessage(_) => "sampling",
        InputRequest::Elicitation(_) => "elicitation",
        // The kinds of input are as open as the protocol; no other is in use here.
        InputRequest::ListRoots(_) | _ => "roots",
    }
}

/// Sends `requests` to the client, one after the other.
async fn answer_all(peer: &Peer<RoleServer>, requests: InputRequests) -> Result<InputResponses, ErrorData> {
    let mut responses = BTreeMap::new();
    for (key, request) in requests {
        let answer = answer(peer, request)
            .await
            .map_err(|error| ErrorData::internal_error(format!("cannot ask the client: {error}"), None))?;
        responses.insert(key, answer);
    }
    Ok(responses)
}

async fn answer(peer: &Peer<RoleServer>, request: InputRequest) -> Result<Value, ServiceError> {
    let answer = match request {
        InputRequest::CreateMessage(request) => serde_json::to_value(peer.create_message(request.params).await?),
        InputRequest::Elicitation(request) => serde_json::to_value(peer.create_elicitation(request.params).await?),
        InputRequest::ListRoots(_) | _ => serde_json::to_value(peer.list_roots().await?),
    };
    answer.map_err(|_| ServiceError::UnexpectedResponse)
}
