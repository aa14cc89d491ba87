//! What a client can do, as a modern server is told it: no more than the gateway can relay.

use std::borrow::Cow;

use crate::wire::object::RawObject;

/// Extensions that need nothing but tools and resources. Others may need methods that the gateway does not know.
const EXTENSIONS: [&str; 1] = ["io.modelcontextprotocol/ui"];

/// The capabilities without tasks, which a server could only hand over to be asked for elsewhere, and without extensions that may be such.
pub(super) fn relayable(capabilities: &str) -> Cow<'_, str> {
    // Most clients have neither.
    if !capabilities.contains("tasks") && !capabilities.contains("extensions") {
        return capabilities.into();
    }
    let Some(mut fields) = RawObject::parse(capabilities) else { return "{}".into() };
    fields.remove("tasks");
    let extensions = fields.get("extensions").map(str::to_owned);
    if let Some(mut extensions) = extensions.as_deref().and_then(RawObject::parse) {
        extensions.retain(|name| EXTENSIONS.contains(&name));
        if extensions.is_empty() {
            fields.remove("extensions");
        } else {
            let json = extensions.to_json();
            fields.set("extensions", json);
        }
    }
    fields.to_json().into()
}

#[cfg(test)]
mod tests {
    use super::relayable;

    #[test]
    fn tasks_and_extensions_that_may_need_more_are_left_out_and_the_rest_stays() {
        for (all, left) in [
            (r#"{"elicitation":{"url":{}},"vendor":[1]}"#, r#"{"elicitation":{"url":{}},"vendor":[1]}"#),
            (r#"{"roots":{"x":1.50},"tasks":{"list":{}}}"#, r#"{"roots":{"x":1.50}}"#),
            (
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/own":{}},"sampling":{}}"#,
                r#"{"sampling":{}}"#,
            ),
            (
                r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"m":[]}}}"#,
                r#"{"extensions":{"io.modelcontextprotocol/ui":{"m":[]}}}"#,
            ),
            ("{}", "{}"),
        ] {
            assert_eq!(relayable(all), left);
        }
    }
}
