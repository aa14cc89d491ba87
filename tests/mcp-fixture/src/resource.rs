//! The resources' contents.

use rmcp::ErrorData;
use rmcp::model::ReadResourceResult;
use serde_json::{Value, json};

use crate::content::{PNG, parse};

/// The resource whose updates are told.
pub(crate) const WATCHED: &str = "test://watched-resource";

/// The contents of the resource at `uri`; an error that names the URI where there is none.
pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = contents(uri)
        .ok_or_else(|| ErrorData::resource_not_found("Resource not found", Some(json!({ "uri": uri }))))?;
    parse(json!({ "resultType": "complete", "contents": [contents] }))
}

fn contents(uri: &str) -> Option<Value> {
    let contents = match uri {
        "test://static-text" => text(uri, "This is the content of the static text resource."),
        WATCHED => text(uri, "This resource is watched."),
        "test://dynamic-resource" => text(uri, "This resource comes and goes."),
        "test://static-binary" => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            json!({ "uri": uri, "mimeType": "application/json", "text": data.to_string() })
        }
    };
    Some(contents)
}

fn text(uri: &str, text: &str) -> Value {
    json!({ "uri": uri, "mimeType": "text/plain", "text": text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_in() {
        let contents = contents("test://template/123/data").expect("there is one");
        assert!(contents["text"].as_str().expect("a text").contains("123"));
    }

    #[test]
    fn an_unknown_uri_is_named_in_the_error() {
        let error = read("test://nothing").expect_err("there is none");
        assert_eq!(error.data, Some(json!({ "uri": "test://nothing" })));
    }
}
