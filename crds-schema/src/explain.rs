//! `evenkeel explain`: what a kind and its fields mean, from the documentation of the schema.

use std::fmt::Write as _;

use serde_json::Value;

use crate::codes::{error_code, nearest_code};
use crate::diagnostic::Diagnostic;
use crate::grammar::echo;
use crate::kinds::Kind;
use crate::schema::{SchemaField, manifest_schema, resolve, schema_fields};
use crate::shape::quoted_list;
use crate::suggestion::nearest;

/// The width that descriptions are wrapped to.
const WIDTH: usize = 96;

/// What `KIND`, `KIND.field.field` or a code such as `E0111` means, as text for a terminal.
///
/// Lists and maps are looked through: `Deployment.spec.ports.publish`. `spec.` may be left out.
///
/// # Errors
/// `E0121` for an unknown kind and `E0111` for an unknown field, with what was perhaps meant and what there is.
#[expect(clippy::result_large_err, reason = "asked for once a file or command: boxing saves nothing")]
pub fn explain(path: &str) -> Result<String, Diagnostic> {
    let mut parts = path.split('.').map(|part| part.trim_end_matches("[]"));
    let head = parts.next().unwrap_or_default();
    if let Some(code) = error_code(head) {
        return Ok(format!(
            "{}: {}\n\n{}\n\n{}\n",
            code.code,
            code.title,
            wrap(code.explanation, ""),
            wrap(code.remedy, "")
        ));
    }
    let Some(kind) = Kind::parse(head) else { return Err(unknown_kind(head)) };
    let schema = manifest_schema(kind);
    let mut walked = Vec::new();
    let mut here: &Value = &schema;
    let mut found: Option<SchemaField<'_>> = None;
    for part in parts.filter(|part| !part.is_empty()) {
        let mut fields = schema_fields(&schema, here);
        if walked.is_empty() && !fields.iter().any(|field| field.name == part) {
            // `Deployment.replicas` is short for `Deployment.spec.replicas`.
            if let Some(spec) = fields.iter().find(|field| field.name == "spec") {
                let inner = schema_fields(&schema, spec.schema);
                if inner.iter().any(|field| field.name == part) {
                    walked.push("spec");
                    fields = inner;
                }
            }
        }
        let Some(position) = fields.iter().position(|field| field.name == part) else {
            return Err(unknown_field(kind, &walked, part, &fields));
        };
        let field = fields.swap_remove(position);
        walked.push(field.name);
        here = field.schema;
        found = Some(field);
    }
    Ok(render(kind, &schema, here, found.as_ref(), &walked))
}

fn unknown_kind(head: &str) -> Diagnostic {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let fault = Diagnostic::error("E0121", format!("unsupported kind `{}`", echo(head)));
    let fault = match nearest(head, kinds.iter().copied()).or_else(|| nearest_code(head)) {
        Some(word) => fault.hint(format!("did you mean `{word}`?")),
        None => fault,
    };
    fault.hint(format!("supported kinds: {}", quoted_list(&kinds)))
}

fn unknown_field(kind: Kind, walked: &[&str], part: &str, fields: &[SchemaField<'_>]) -> Diagnostic {
    let path: Vec<&str> = std::iter::once(kind.as_str()).chain(walked.iter().copied()).collect();
    let fault = Diagnostic::error("E0111", format!("`{}` has no field `{}`", path.join("."), echo(part)));
    let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
    let fault = match nearest(part, known.iter().copied()) {
        Some(word) => fault.hint(format!("did you mean `{word}`?")),
        None => fault,
    };
    if known.is_empty() { fault.hint("it has no fields") } else { fault.hint(format!("fields: {}", known.join(", "))) }
}

fn render(kind: Kind, root: &Value, here: &Value, found: Option<&SchemaField<'_>>, walked: &[&str]) -> String {
    let mut text = format!("KIND:     {kind}\nVERSION:  {}\n", crate::object::API_VERSION);
    // Writing to a string cannot fail.
    if let Some(field) = found {
        let requirement = if field.is_required { " -required-" } else { "" };
        writeln!(text, "\nFIELD:    {} <{}>{requirement}", walked.join("."), field.type_name).unwrap_or_default();
    }
    let description = found.map_or_else(|| description_of(here), |field| field.description);
    text.push_str("\nDESCRIPTION:\n");
    text.push_str(&wrap(description, "    "));
    text.push('\n');
    for (word, meaning) in found.map(|field| field.words.as_slice()).unwrap_or_default() {
        writeln!(text, "      {word}: {meaning}").unwrap_or_default();
    }
    let fields = schema_fields(root, here);
    if !fields.is_empty() {
        text.push_str("\nFIELDS:\n");
        let width = fields.iter().map(|field| field.name.len() + field.type_name.len() + 3).max().unwrap_or_default();
        for field in fields {
            let head = format!("{} <{}>", field.name, field.type_name);
            let requirement = if field.is_required { "(required) " } else { "" };
            writeln!(text, "  {head:width$} {requirement}{}", first_sentence(field.description)).unwrap_or_default();
        }
    }
    text
}

fn description_of(schema: &Value) -> &str {
    resolve(schema, schema).get("description").and_then(Value::as_str).unwrap_or_default()
}

/// Up to the first full stop, without line breaks.
pub(crate) fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].trim_end_matches('.').to_owned()
}

fn wrap(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        let is_full = lines.last().is_some_and(|line| line.len() > indent.len() && line.len() + word.len() + 1 > WIDTH);
        if is_full {
            lines.push(indent.to_owned());
        }
        if let Some(line) = lines.last_mut() {
            if line.len() > indent.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::explain;

    #[test]
    fn a_field_is_explained_through_lists() {
        expect![[r#"
            KIND:     Deployment
            VERSION:  evenkeel.dev/v1

            FIELD:    spec.ports.publish <integer or string>

            DESCRIPTION:
                Where it is reachable on the host: a port, which binds 127.0.0.1, or `IP:PORT`;
                `0.0.0.0:PORT` must be written to reach every interface. Left out, only the container's
                networks reach it. Example: `"127.0.0.1:8080"`.
        "#]]
        .assert_eq(&explain("Deployment.spec.ports.publish").unwrap());
        expect![[r"
            KIND:     Volume
            VERSION:  evenkeel.dev/v1

            DESCRIPTION:
                A named volume: data that outlives the containers that mount it.

            FIELDS:
              apiVersion <evenkeel.dev/v1> (required) The version of the format
              kind <Volume>                (required) The kind of object
              metadata <object>            (required) Name, namespace and labels of an object
              spec <object>                A named volume: data that outlives the containers that mount it
        "]]
        .assert_eq(&explain("vol").unwrap());
        expect![[r"
            KIND:     Volume
            VERSION:  evenkeel.dev/v1

            FIELD:    spec.deletionPolicy <Retain|Delete>

            DESCRIPTION:
                What becomes of the data when the object is removed from the manifests: `Retain` keeps the
                volume, `Delete` removes it. Default: `Retain`.
                  Retain: The volume stays in the Engine.
                  Delete: The volume is removed with its data, once no container refers to it.
        "]]
        .assert_eq(&explain("Volume.deletionPolicy").unwrap());
    }

    #[test]
    fn what_there_is_not_is_answered_with_what_there_is() {
        let one = |path| explain(path).unwrap_err().one_line();
        expect!["E0121: unsupported kind `Deploymnt`; did you mean `Deployment`?"].assert_eq(&one("Deploymnt"));
        expect!["E0111: `Deployment.spec.mounts` has no field `volum`; did you mean `volume`?"]
            .assert_eq(&one("Deployment.spec.mounts.volum"));
        assert!(explain("e0111").unwrap().starts_with("E0111: unknown field"));
    }
}
