//! The shape of arguments: which fields, of which types and sizes, without a value.

use serde_json::Value;

use super::record::beginning_of;

/// How deep a shape is told.
const DEPTH_LIMIT: usize = 4;
/// How many fields of one object are told.
const FIELD_LIMIT: usize = 32;
/// How many fields of all objects together are told: a line of the audit must not grow with what somebody sends.
const TOTAL_LIMIT: usize = 200;

/// How many characters of a field's name are told.
const NAME_CHARS: usize = 64;

/// What is written down of arguments, which are JSON text: themselves, or else their shape.
pub(crate) fn arguments_of(text: &str, has_values: bool) -> Value {
    if has_values { serde_json::from_str(text).unwrap_or_default() } else { shape_of(text) }
}

/// The shape of a JSON text, as JSON: `{"path":"string(12)","lines":"array(3)"}`; `?` for what is no JSON.
fn shape_of(json: &str) -> Value {
    let mut budget = TOTAL_LIMIT;
    serde_json::from_str(json).map_or_else(|_| Value::from("?"), |value| shape(&value, 0, &mut budget))
}

/// `budget`: how many fields may still be told.
fn shape(value: &Value, depth: usize, budget: &mut usize) -> Value {
    *budget = budget.saturating_sub(1);
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "boolean".into(),
        Value::Number(_) => "number".into(),
        Value::String(text) => format!("string({})", text.len()).into(),
        Value::Array(items) => format!("array({})", items.len()).into(),
        Value::Object(fields) if depth >= DEPTH_LIMIT || *budget == 0 => format!("object({})", fields.len()).into(),
        Value::Object(fields) => {
            let mut shapes: serde_json::Map<String, Value> = fields
                .iter()
                .take(FIELD_LIMIT)
                .map(|(name, value)| (beginning_of(name, NAME_CHARS), shape(value, depth + 1, budget)))
                .collect();
            if fields.len() > FIELD_LIMIT {
                shapes.insert("…".to_owned(), (fields.len() - FIELD_LIMIT).into());
            }
            Value::Object(shapes)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::shape_of;

    #[test]
    fn no_value_is_in_a_shape() {
        let shape = shape_of(r#"{"path":"/secret","n":42,"list":["secret"],"o":{"t":"secret"},"b":true,"z":null}"#);
        assert_eq!(
            shape.to_string(),
            r#"{"b":"boolean","list":"array(1)","n":"number","o":{"t":"string(6)"},"path":"string(7)","z":"null"}"#
        );
        assert_eq!(shape_of("nonsense"), "?");
    }

    #[test]
    fn a_shape_stays_small_whatever_is_sent() {
        let leaves: serde_json::Map<String, Value> = (0..32).map(|n| (format!("{n:064}"), Value::Null)).collect();
        let mut value = Value::Object(leaves);
        for _ in 0..3 {
            value = Value::Object((0..32).map(|n| (format!("{n:064}"), value.clone())).collect());
        }
        assert!(shape_of(&value.to_string()).to_string().len() < 200_000);
    }
}
