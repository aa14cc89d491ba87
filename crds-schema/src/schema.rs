//! The JSON Schema of whole manifests, for editors; and a reader of it, for `explain` and the reference pages.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::object::{API_VERSION, Metadata};
use crate::shape::{choice_words, example_of, main_type};

/// The JSON Schema of a kind's manifest: `apiVersion`, `kind`, `metadata`, `spec`.
///
/// It says what the loader accepts: no further fields, no nulls. Editors show its descriptions, defaults and examples.
pub fn manifest_schema(kind: Kind) -> Value {
    let mut definitions = Map::new();
    let metadata = take_definitions(schemars::schema_for!(Metadata).to_value(), &mut definitions);
    let spec = take_definitions(kind.spec_schema().to_value(), &mut definitions);
    let mut required = vec!["apiVersion", "kind", "metadata"];
    if spec.get("required").is_some() {
        required.push("spec");
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.as_str(),
        "description": spec.get("description").cloned().unwrap_or_default(),
        "type": "object",
        "properties": {
            "apiVersion": { "description": "The version of the format.", "const": API_VERSION },
            "kind": { "description": "The kind of object.", "const": kind.as_str() },
            "metadata": metadata,
            "spec": spec,
        },
        "additionalProperties": false,
        "required": required,
    });
    if !definitions.is_empty() {
        schema["$defs"] = Value::Object(definitions);
    }
    tidy(&mut schema);
    schema
}

/// One schema for every kind.
pub fn combined_schema() -> Value {
    let mut definitions = Map::new();
    let mut alternatives = Vec::new();
    for kind in Kind::ALL {
        let mut schema = manifest_schema(*kind);
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("$schema");
            if let Some(Value::Object(inner)) = fields.remove("$defs") {
                definitions.extend(inner);
            }
        }
        alternatives.push(json!({ "$ref": format!("#/$defs/{kind}Manifest") }));
        definitions.insert(format!("{kind}Manifest"), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Evenkeel",
        "description": "A manifest of Evenkeel.",
        "oneOf": alternatives,
        "$defs": definitions,
    })
}

/// Moves the definitions of a schema to those of the whole.
fn take_definitions(mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
        if let Some(Value::Object(inner)) = fields.remove("$defs") {
            definitions.extend(inner);
        }
    }
    schema
}

/// Takes away what only the Rust types need (nulls, sizes of integers), and writes examples as examples.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            tidy_fields(fields);
            for value in fields.values_mut() {
                tidy(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn tidy_fields(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(alternatives)) = fields.get_mut("anyOf") {
        alternatives.retain(|schema| schema.get("type").and_then(Value::as_str) != Some("null"));
        if let [Value::Object(only)] = alternatives.as_mut_slice() {
            let only = std::mem::take(only);
            fields.remove("anyOf");
            for (name, value) in only {
                fields.entry(name).or_insert(value);
            }
        }
    }
    if fields.get("default").is_some_and(Value::is_null) {
        fields.remove("default");
    }
    // What editors do not know as a format, they complain about.
    if fields.get("format").and_then(Value::as_str).is_some_and(|format| format != "ipv4") {
        fields.remove("format");
    }
    let Some(example) = fields.get("description").and_then(Value::as_str).and_then(example_of) else { return };
    if fields.contains_key("examples") || !fields.contains_key("description") {
        return;
    }
    // An example that is not text is written in YAML, which JSON cannot hold; the description has it.
    if fields.get("type").and_then(Value::as_str) == Some("string") {
        let example = Value::String(example.trim_matches('"').to_owned());
        fields.insert("examples".to_owned(), json!([example]));
    } else if fields.get("type").and_then(Value::as_str) == Some("integer")
        && let Ok(number) = example.parse::<i64>()
    {
        fields.insert("examples".to_owned(), json!([number]));
    }
}

/// A field as a reader meets it.
#[derive(Debug, Clone)]
pub(crate) struct SchemaField<'s> {
    pub(crate) name: &'s str,
    pub(crate) schema: &'s Value,
    /// Such as `string`, `[]Port`, `map[string]string`.
    pub(crate) type_name: String,
    pub(crate) description: &'s str,
    pub(crate) is_required: bool,
    /// The words of an enumeration, each with its meaning.
    pub(crate) words: Vec<(&'s str, &'s str)>,
}

/// Follows a reference to its definition.
pub(crate) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let name = reference.rsplit('/').next().unwrap_or_default();
            root.get("$defs").and_then(|definitions| definitions.get(name)).unwrap_or(schema)
        }
        None => schema,
    }
}

/// The fields of what a schema describes, looked at through references, lists, maps and alternatives; required ones first.
pub(crate) fn schema_fields<'s>(root: &'s Value, schema: &'s Value) -> Vec<SchemaField<'s>> {
    let schema = resolve(root, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|other| other.as_str() == Some(name)));
        let mut fields: Vec<SchemaField<'_>> = properties
            .iter()
            .map(|(name, field)| {
                let target = resolve(root, field);
                let own = field.get("description").or_else(|| target.get("description"));
                SchemaField {
                    name,
                    schema: field,
                    type_name: type_name(root, field),
                    description: own.and_then(Value::as_str).unwrap_or_default(),
                    is_required: is_required(name),
                    words: described_words(target),
                }
            })
            .collect();
        fields.sort_by_key(|field| !field.is_required);
        return fields;
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object).and_then(|all| all.values().next());
    let inner =
        schema.get("items").or(patterns).or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
    if let Some(inner) = inner {
        return schema_fields(root, inner);
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    alternatives
        .into_iter()
        .flatten()
        .map(|alternative| schema_fields(root, alternative))
        .find(|fields| !fields.is_empty())
        .unwrap_or_default()
}

fn described_words(schema: &Value) -> Vec<(&str, &str)> {
    let variants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    variants
        .filter_map(|variant| {
            let word = variant.get("const").and_then(Value::as_str)?;
            Some((word, variant.get("description").and_then(Value::as_str).unwrap_or_default()))
        })
        .collect()
}

/// The type as a reader meets it.
fn type_name(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(words) = choice_words(schema) {
        return words.join("|");
    }
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return word.to_owned();
    }
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        let names: Vec<String> = alternatives.iter().map(|alternative| type_name(root, alternative)).collect();
        return names.join(" or ");
    }
    match main_type(schema) {
        Some("array") => {
            format!("[]{}", schema.get("items").map_or_else(|| "any".to_owned(), |items| type_name(root, items)))
        }
        Some("object") => {
            let patterns = schema.get("patternProperties").and_then(Value::as_object);
            let values = patterns.and_then(|all| all.values().next());
            match values.or_else(|| schema.get("additionalProperties").filter(|values| values.is_object())) {
                Some(values) => format!("map[string]{}", type_name(root, values)),
                None => "object".to_owned(),
            }
        }
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    }
}
