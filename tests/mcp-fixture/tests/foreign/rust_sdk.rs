//! A client that is made with rmcp, over HTTP: the only one that is there without a registry for other languages.

use rmcp::model::{CallToolRequestParams, GetPromptRequestParams, ProtocolVersion, ReadResourceRequestParams};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, to_value};

use crate::sdk::{LEGACY, MODERN, Visit, check};
use crate::stage::Stage;

type Client = RunningService<RoleClient, ()>;

async fn connect(url: &str, mode: ClientLifecycleMode) -> Client {
    ().serve_with_lifecycle(StreamableHttpClientTransport::from_uri(url), mode).await.unwrap()
}

fn without_a_session() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

fn name_that_ends_with<'a>(names: impl Iterator<Item = &'a str>, end: &str) -> String {
    names.into_iter().find(|name| name.ends_with(end)).unwrap().to_owned()
}

/// The text at a place of a result.
fn text_at(result: &Value, pointer: &str) -> String {
    result.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {result}")).to_owned()
}

async fn visit(url: &str, mode: ClientLifecycleMode) -> Visit {
    let client = connect(url, mode).await;
    let tools = client.list_all_tools().await.unwrap();
    let prompts = client.list_all_prompts().await.unwrap();
    let tool = name_that_ends_with(tools.iter().map(|tool| tool.name.as_ref()), "test_simple_text");
    let prompt = name_that_ends_with(prompts.iter().map(|prompt| prompt.name.as_str()), "test_simple_prompt");
    let called = client.call_tool(CallToolRequestParams::new(tool)).await.unwrap();
    let read = client.read_resource(ReadResourceRequestParams::new("test://static-text")).await.unwrap();
    let prompted = client.get_prompt(GetPromptRequestParams::new(prompt)).await.unwrap();
    let version = to_value(client.peer_info().unwrap()).unwrap();
    let visit = Visit {
        version: text_at(&version, "/protocolVersion"),
        tools: tools.len(),
        tool: text_at(&to_value(called).unwrap(), "/content/0/text"),
        resource: text_at(&to_value(read).unwrap(), "/contents/0/text"),
        prompt: text_at(&to_value(prompted).unwrap(), "/messages/0/content/text"),
    };
    client.cancel().await.unwrap();
    visit
}

/// The names of the tools that a hub lists now.
pub(crate) fn list_tools(url: &str) -> Vec<String> {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = connect(url, without_a_session()).await;
        let tools = client.list_all_tools().await.unwrap();
        client.cancel().await.unwrap();
        tools.into_iter().map(|tool| tool.name.into_owned()).collect()
    })
}

fn visit_all(mode: &ClientLifecycleMode, version: &str) {
    let stage = Stage::start();
    let visits = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut visits = Vec::new();
        for place in stage.places() {
            visits.push(visit(&place, mode.clone()).await);
        }
        visits
    });
    check(&visits, version);
}

#[test]
fn rmcp_reaches_servers_of_both_eras_with_a_session() {
    visit_all(&ClientLifecycleMode::Initialize, LEGACY);
}

#[test]
fn rmcp_reaches_servers_of_both_eras_without_a_session() {
    visit_all(&without_a_session(), MODERN);
}
