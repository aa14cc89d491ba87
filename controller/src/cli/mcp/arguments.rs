//! The arguments of a call: `KEY=VALUE`s, or JSON.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::error::CliError;

/// Splits `KEY=VALUE`.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected `KEY=VALUE`".to_owned()),
    }
}

/// Pairs as the tool's schema means them: JSON where a value is JSON, and text where it is not, or where the schema wants text.
pub(super) fn from_pairs(pairs: &[(String, String)], schema: &Value) -> Result<Value, CliError> {
    let mut arguments = Map::new();
    for (key, text) in pairs {
        let property = schema.get("properties").and_then(|properties| properties.get(key));
        let value = if property.is_some_and(wants_text) {
            Value::from(text.as_str())
        } else {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
        };
        if arguments.insert(key.clone(), value).is_some() {
            return Err(CliError::usage(
                format!("the argument `{key}` is there twice"),
                "write a list as JSON, such as `paths='[\"a\",\"b\"]'`",
            ));
        }
    }
    Ok(Value::Object(arguments))
}

fn wants_text(property: &Value) -> bool {
    match property.get("type") {
        Some(Value::String(name)) => name == "string",
        // Text or nothing is text.
        Some(Value::Array(names)) => {
            names.iter().any(|name| name == "string") && names.iter().all(|name| name == "string" || name == "null")
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

/// Arguments that were written as JSON.
pub(super) fn from_json(text: &str, origin: &str) -> Result<Value, CliError> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(CliError::usage(format!("{origin} is no JSON object"), "write `{\"KEY\": VALUE, …}`")),
        Err(error) => Err(CliError::usage(format!("{origin} is no JSON: {error}"), "write `{\"KEY\": VALUE, …}`")),
    }
}

/// The text of a file; `-` is standard input.
pub(super) fn read_file(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    let failed = |source: std::io::Error| CliError::Failed {
        context: format!("cannot read the arguments `{}`", path.display()),
        source: source.into(),
        hint: String::new(),
    };
    read.map(|()| text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{from_json, from_pairs, parse_pair};

    #[test]
    fn a_value_is_json_unless_the_schema_wants_text() {
        let schema = json!({ "properties": {
            "id": { "type": "string" }, "note": { "type": ["string", "null"] }, "count": { "type": "integer" },
            "any": { "type": ["string", "integer"] }
        } });
        let pairs = ["id=7", "note=null", "count=7", "any=8", "free=[1, 2]", "word=hello", "empty=", "a=b=c"];
        let pairs: Vec<_> = pairs.iter().map(|pair| parse_pair(pair).unwrap()).collect();
        assert_eq!(
            from_pairs(&pairs, &schema).unwrap(),
            json!({ "id": "7", "note": "null", "count": 7, "any": 8, "free": [1, 2], "word": "hello", "empty": "", "a": "b=c" })
        );
        let twice = [parse_pair("id=1").unwrap(), parse_pair("id=2").unwrap()];
        assert!(from_pairs(&twice, &schema).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn what_is_no_pair_or_object_is_refused() {
        assert!(parse_pair("word").is_err() && parse_pair("=x").is_err());
        assert!(from_json("[1]", "`--json`").unwrap_err().to_string().contains("no JSON object"));
        assert!(from_json("{", "`--json`").unwrap_err().to_string().contains("no JSON: "));
    }
}
