//! The reference page of a kind, generated from its schema.

use std::fmt::Write as _;

use serde_json::Value;

use crate::explain::first_sentence;
use crate::kinds::Kind;
use crate::schema::{SchemaField, manifest_schema, schema_fields};

/// The reference page of a kind in Markdown. `example` is the manifest that it ends with.
pub fn reference_page(kind: Kind, example: &str) -> String {
    let schema = manifest_schema(kind);
    let mut page = format!("# {kind}\n\n");
    page.push_str(schema.get("description").and_then(Value::as_str).unwrap_or_default());
    page.push_str("\n\nGenerated from the schema; do not edit. ");
    // Writing to a string cannot fail.
    writeln!(page, "`evenkeel explain {kind}` prints the same in a terminal.\n").unwrap_or_default();
    page.push_str("## Example\n\n```yaml\n");
    page.push_str(example.trim_end());
    page.push_str("\n```\n");
    for section in ["metadata", "spec"] {
        if let Some(field) = schema_fields(&schema, &schema).into_iter().find(|field| field.name == section) {
            write_section(&mut page, &schema, section, field.schema);
        }
    }
    page
}

/// The table of the fields of one mapping, then those of the mappings in it.
fn write_section(page: &mut String, root: &Value, path: &str, schema: &Value) {
    let fields = schema_fields(root, schema);
    write!(page, "\n## {path}\n\n| Field | Type | Default | Meaning |\n|---|---|---|---|\n").unwrap_or_default();
    for field in &fields {
        writeln!(
            page,
            "| `{}`{} | {} | {} | {} |",
            field.name,
            if field.is_required { " (required)" } else { "" },
            cell(&field.type_name),
            cell(&default_of(field)),
            cell(&meaning_of(field)),
        )
        .unwrap_or_default();
    }
    for field in fields {
        if !schema_fields(root, field.schema).is_empty() {
            write_section(page, root, &format!("{path}.{}", field.name), field.schema);
        }
    }
}

/// What stands after `Default:` in the documentation.
fn default_of(field: &SchemaField<'_>) -> String {
    let text = field.description.replace('\n', " ");
    let Some(start) = text.find("Default: ") else { return String::new() };
    let rest = &text[start + "Default: ".len()..];
    rest.find(". ").map_or(rest, |end| &rest[..end]).trim_end_matches('.').to_owned()
}

/// The documentation without the default, which has a column of its own, and with the words of an enumeration.
fn meaning_of(field: &SchemaField<'_>) -> String {
    let text = field.description.replace('\n', " ");
    let default = default_of(field);
    let mut meaning = if default.is_empty() { text } else { text.replace(&format!("Default: {default}."), "") };
    for (word, description) in &field.words {
        write!(meaning, " `{word}`: {}.", first_sentence(description)).unwrap_or_default();
    }
    meaning.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
