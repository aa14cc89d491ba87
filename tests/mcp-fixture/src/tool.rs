//! The tools that ask nothing: content, log messages, progress, time.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolResult, JsonObject, LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Value, json};

use crate::change::Change;
use crate::conduct::say;
use crate::content::{
    WAV, content_result, error_result, image_content, parse, resource_content, text_content, text_result,
};
use crate::fixture::Fixture;
use crate::resource;

/// The pause between two messages of one tool.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls the tool `name`.
///
/// # Errors
///
/// When there is no such tool.
pub(crate) async fn call(
    fixture: &Fixture,
    name: &str,
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    if let Some(result) = content(name, arguments) {
        return result;
    }
    match name {
        "test_tool_with_logging" => {
            log(fixture, context, "Tool execution started").await;
            tokio::time::sleep(PAUSE).await;
            log(fixture, context, "Tool processing data").await;
            tokio::time::sleep(PAUSE).await;
            log(fixture, context, "Tool execution completed").await;
            text_result("Tool with logging executed successfully")
        }
        "test_logging_tool" => {
            log(fixture, context, "Only for those who asked").await;
            text_result("Logged, if that was wanted")
        }
        "test_tool_with_progress" => {
            for percent in [0.0, 50.0, 100.0] {
                progress(context, percent).await;
                tokio::time::sleep(PAUSE).await;
            }
            text_result("Tool with progress executed successfully")
        }
        "test_sleep" => sleep(arguments, context).await,
        _ => change(fixture, name).await,
    }
}

/// What a tool that only returns content returns; none if it is another one.
fn content(name: &str, arguments: &JsonObject) -> Option<Result<CallToolResult, ErrorData>> {
    let result = match name {
        "test_simple_text" => text_result("This is a simple text response for testing."),
        "test_image_content" => content_result(&json!([image_content()])),
        "test_audio_content" => content_result(&json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])),
        "test_embedded_resource" => content_result(&json!([resource_content(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content."
        )])),
        "test_multiple_content_types" => content_result(&json!([
            text_content("Multiple content types test:"),
            image_content(),
            resource_content("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ])),
        "test_error_handling" => error_result("This tool intentionally returns an error for testing"),
        "test_structured" => {
            let structured = json!({ "count": arguments.get("count").and_then(Value::as_i64).unwrap_or(0) });
            structured_result(&structured)
        }
        "test_dynamic_tool" => text_result("This tool comes and goes."),
        "test_custom_header" | "json_schema_2020_12_tool" => structured_result(&json!({ "arguments": arguments })),
        _ if name.starts_with("tool_") => structured_result(&json!({ "arguments": arguments })),
        _ => return None,
    };
    Some(result)
}

/// Structured content, and the same as text for those who look at text alone.
fn structured_result(structured: &Value) -> Result<CallToolResult, ErrorData> {
    parse(json!({
        "resultType": "complete",
        "content": [text_content(&structured.to_string())],
        "structuredContent": structured,
    }))
}

/// Changes a list or says that a resource was updated.
async fn change(fixture: &Fixture, name: &str) -> Result<CallToolResult, ErrorData> {
    let change = match name {
        "test_trigger_tool_change" => {
            fixture.catalogue.change(|present| present.dynamic_tool = !present.dynamic_tool);
            Change::Tools
        }
        "test_trigger_prompt_change" => {
            fixture.catalogue.change(|present| present.dynamic_prompt = !present.dynamic_prompt);
            Change::Prompts
        }
        "test_trigger_resource_change" => {
            fixture.catalogue.change(|present| present.dynamic_resource = !present.dynamic_resource);
            Change::Resources
        }
        "test_trigger_resource_update" => Change::Updated(resource::WATCHED),
        _ => return Err(ErrorData::invalid_params(format!("unknown tool `{name}`"), None)),
    };
    fixture.listeners.tell(change).await;
    text_result("Changed")
}

/// Sleeps as long as the caller says; a cancelled call is told on stderr, where a test can see that the word has come through.
async fn sleep(arguments: &JsonObject, context: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    let millis = arguments.get("millis").and_then(Value::as_u64);
    let millis = millis.ok_or_else(|| ErrorData::invalid_params("`millis` is missing", None))?;
    // Either may be dropped: nothing has happened yet.
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(millis)) => text_result("Slept"),
        () = context.ct.cancelled() => {
            say(&format!("call {} was cancelled", context.id));
            Err(ErrorData::internal_error("cancelled", None))
        }
    }
}

/// Sends a log message, if the client wants it: at its session's level, or at the level of this very request.
async fn log(fixture: &Fixture, context: &RequestContext<RoleServer>, text: &str) {
    if !fixture.wants_log(context) {
        return;
    }
    let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, text.into()).with_logger("mcp-fixture");
    // A client that is gone gets no log.
    drop(context.peer.notify_logging_message(message).await);
}

/// Reports progress of a hundred, if the caller gave a token.
pub(crate) async fn progress(context: &RequestContext<RoleServer>, percent: f64) {
    if let Some(token) = context.meta.get_progress_token() {
        let progress = ProgressNotificationParam::new(token, percent).with_total(100.0);
        drop(context.peer.notify_progress(progress).await);
    }
}
