//! The prompts.

use rmcp::ErrorData;
use rmcp::model::{GetPromptResult, JsonObject};
use serde_json::{Value, json};

use crate::content::{image_content, parse, resource_content, text_content};

/// The prompt that asks the user first: see [`crate::round`].
pub(crate) const ASKING: &str = "test_input_required_result_prompt";

/// The messages of the prompt `name`; `context` is what the user said, where the prompt asks.
pub(crate) fn get(name: &str, arguments: &JsonObject, context: &str) -> Result<GetPromptResult, ErrorData> {
    let argument = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let contents = match name {
        "test_simple_prompt" => vec![text_content("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![text_content(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => vec![
            resource_content(argument("resourceUri"), "text/plain", "Embedded resource content for testing."),
            text_content("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => vec![image_content(), text_content("Please analyze the image above.")],
        "test_dynamic_prompt" => vec![text_content("This prompt comes and goes.")],
        ASKING => vec![text_content(&format!("Use this context: {context}"))],
        _ => return Err(ErrorData::invalid_params(format!("unknown prompt `{name}`"), None)),
    };
    let messages: Vec<_> = contents.into_iter().map(|content| json!({ "role": "user", "content": content })).collect();
    parse(json!({ "resultType": "complete", "messages": messages }))
}
