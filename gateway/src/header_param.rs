//! Headers that a tool's arguments ask for: `x-mcp-header` of 2026-07-28.

use serde_json::Value;

/// The headers that an input schema asks for: the path of the argument, and the word after `Mcp-Param-`. `None` when one of them is not
/// allowed: then the tool is not to be offered.
pub fn find(schema: &Value) -> Option<Vec<(Vec<String>, String)>> {
    let mut found = Vec::new();
    let reachable = walk(schema, &mut Vec::new(), &mut found)?;
    // One that cannot be reached by `properties` alone is somewhere that it must not be.
    if count(schema) != reachable {
        return None;
    }
    let mut words: Vec<String> = found.iter().map(|(_, word)| word.to_ascii_lowercase()).collect();
    words.sort();
    words.dedup();
    (words.len() == found.len()).then_some(found)
}

fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) -> Option<usize> {
    let mut reachable = 0;
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        path.push(name.clone());
        if let Some(word) = property.get("x-mcp-header") {
            let word = word.as_str().filter(|word| is_token(word))?;
            let kind = property.get("type").and_then(Value::as_str)?;
            if !["string", "integer", "boolean"].contains(&kind) {
                return None;
            }
            found.push((path.clone(), word.to_owned()));
            reachable += 1;
        }
        reachable += walk(property, path, found)?;
        path.pop();
    }
    Some(reachable)
}

/// How often the word stands anywhere in a schema as a keyword.
fn count(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| usize::from(name == "x-mcp-header") + count(value)).sum()
        }
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn is_token(word: &str) -> bool {
    let is_sign = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_sign(byte))
}

/// The text that an argument has in its header; `None` where it is absent or null, and no header belongs.
pub fn value_of(arguments: &Value, path: &[String]) -> Option<String> {
    let mut value = arguments;
    for name in path {
        value = value.get(name)?;
    }
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{find, value_of};

    #[test]
    fn headers_are_found_where_they_may_be() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}}
        }});
        let found = find(&schema).unwrap();
        assert_eq!(found.len(), 2);
        let arguments = json!({"region": "eu", "deep": {"n": 7}});
        let mut values: Vec<_> = found.iter().map(|(path, word)| (word.as_str(), value_of(&arguments, path))).collect();
        values.sort();
        assert_eq!(values, [("N", Some("7".to_owned())), ("Region", Some("eu".to_owned()))]);
    }

    #[test]
    fn a_tool_with_a_header_where_none_may_be_is_left_out() {
        for property in [
            json!({"type": "number", "x-mcp-header": "A"}),
            json!({"type": "string", "x-mcp-header": "A B"}),
            json!({"type": "string", "x-mcp-header": ""}),
            json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}),
            json!({"anyOf": [{"type": "string", "x-mcp-header": "A"}]}),
        ] {
            assert!(find(&json!({"type": "object", "properties": {"a": property}})).is_none());
        }
        let twice = json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}});
        assert!(find(&twice).is_none());
    }
}
