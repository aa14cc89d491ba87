//! What tools, prompts and resources hold: the small values that the conformance suite looks for.

use rmcp::ErrorData;
use rmcp::model::CallToolResult;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A PNG of one red pixel.
pub(crate) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/// A WAV without a sample.
pub(crate) const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==";

/// Makes a typed value of JSON. Fails with an internal error: what the fixture says is its own, so it can only be the fixture's fault.
pub(crate) fn parse<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(format!("the fixture is wrong: {error}"), None))
}

/// A result of one text.
pub(crate) fn text_result(text: &str) -> Result<CallToolResult, ErrorData> {
    content_result(&json!([text_content(text)]))
}

/// A result that says that the tool has failed.
pub(crate) fn error_result(text: &str) -> Result<CallToolResult, ErrorData> {
    parse(json!({ "resultType": "complete", "content": [text_content(text)], "isError": true }))
}

/// A result of this content.
pub(crate) fn content_result(content: &Value) -> Result<CallToolResult, ErrorData> {
    parse(json!({ "resultType": "complete", "content": content }))
}

/// A text.
pub(crate) fn text_content(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

/// The image.
pub(crate) fn image_content() -> Value {
    json!({ "type": "image", "data": PNG, "mimeType": "image/png" })
}

/// A resource inside a result.
pub(crate) fn resource_content(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime_type, "text": text } })
}
