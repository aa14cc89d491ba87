//! Tools, prompts and resources as a gateway lists them.

use clap::ValueEnum;
use gateway::wire::object::RawObject;
use serde_json::Value;

use super::raw_json::{array_of, lay_out};
use crate::cli::console::Console;
use crate::cli::error::CliError;
use crate::cli::output::to_yaml_text;
use crate::cli::table::Table;

/// What stands between the name of a server and that of its tool.
const SEPARATOR: &str = "__";
/// How much of a description a table shows that is not wide.
const DESCRIPTION_LENGTH: usize = 100;

/// The forms in which items are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ItemFormat {
    /// What matters, for people
    Table,
    /// More columns, and nothing cut off
    Wide,
    /// Every item as the server wrote it
    Json,
    /// The same as YAML
    Yaml,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tool,
    Prompt,
    Resource,
}

impl Kind {
    /// The methods that list them, and the field of the result.
    pub(super) const fn lists(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Tool => &[("tools/list", "tools")],
            Self::Prompt => &[("prompts/list", "prompts")],
            Self::Resource => &[("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")],
        }
    }

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
        }
    }

    const fn headings(self, is_wide: bool) -> &'static [&'static str] {
        match (self, is_wide) {
            (Self::Tool, false) => &["NAME", "DESCRIPTION"],
            (Self::Tool, true) => &["NAME", "TITLE", "HINTS", "ARGUMENTS", "DESCRIPTION"],
            (Self::Prompt, false) => &["NAME", "ARGUMENTS", "DESCRIPTION"],
            (Self::Prompt, true) => &["NAME", "TITLE", "ARGUMENTS", "DESCRIPTION"],
            (Self::Resource, false) => &["URI", "NAME", "DESCRIPTION"],
            (Self::Resource, true) => &["URI", "NAME", "TYPE", "DESCRIPTION"],
        }
    }

    fn cell(self, heading: &str, item: &Value, is_wide: bool) -> String {
        let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        match heading {
            "URI" if item.get("uri").is_none() => text("uriTemplate"),
            "URI" => text("uri"),
            "TYPE" => text("mimeType"),
            "DESCRIPTION" => first_line(&text("description"), is_wide),
            "HINTS" => hints(item),
            "ARGUMENTS" if self == Self::Tool => arguments_of_tool(item),
            "ARGUMENTS" => arguments_of_prompt(item),
            _ => text(&heading.to_ascii_lowercase()),
        }
    }
}

/// The server that a name is of; none where names have no prefix.
pub(super) fn server_of(name: &str) -> Option<&str> {
    name.split_once(SEPARATOR).map(|(server, _)| server).filter(|server| !server.is_empty())
}

/// The name of an item.
pub(super) fn name_of(item: &str) -> String {
    RawObject::parse(item)
        .and_then(|fields| fields.get_str("name").map(std::borrow::Cow::into_owned))
        .unwrap_or_default()
}

/// Prints items in a form.
pub(super) fn print(kind: Kind, items: &[String], format: ItemFormat, console: &mut Console) -> Result<(), CliError> {
    let is_wide = format == ItemFormat::Wide;
    match format {
        ItemFormat::Table | ItemFormat::Wide if items.is_empty() => {
            console.talk(&format!("no {}", kind.plural()));
            Ok(())
        }
        ItemFormat::Table | ItemFormat::Wide => console.data(&to_table(kind, items, is_wide)),
        ItemFormat::Json => console.raw_data(&lay_out(&array_of(items))),
        ItemFormat::Yaml => {
            console.data(&to_yaml_text(&Value::Array(items.iter().map(|item| to_value(item)).collect()))?)
        }
    }
}

fn to_table(kind: Kind, items: &[String], is_wide: bool) -> String {
    let headings = kind.headings(is_wide);
    let to_row = |item: &String| {
        let item = to_value(item);
        headings.iter().map(|heading| kind.cell(heading, &item, is_wide)).collect()
    };
    let rows: Vec<Vec<String>> = items.iter().map(to_row).collect();
    Table::new(headings.iter().map(|heading| (*heading).to_owned()).collect()).render(&rows)
}

/// An item as a value.
pub(super) fn to_value(item: &str) -> Value {
    serde_json::from_str(item).unwrap_or_default()
}

/// The first line of a text that has something on it.
fn first_line(text: &str, is_whole: bool) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if is_whole || line.chars().count() <= DESCRIPTION_LENGTH {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(DESCRIPTION_LENGTH - 1).collect();
    cut.push('…');
    cut
}

fn hints(tool: &Value) -> String {
    let words = [
        ("readOnlyHint", "read-only"),
        ("destructiveHint", "destructive"),
        ("idempotentHint", "idempotent"),
        ("openWorldHint", "open-world"),
    ];
    let annotations = tool.get("annotations");
    let is_set = |hint: &str| annotations.and_then(|fields| fields.get(hint)).and_then(Value::as_bool) == Some(true);
    words.iter().filter(|(hint, _)| is_set(hint)).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}

fn arguments_of_tool(tool: &Value) -> String {
    let schema = tool.get("inputSchema").unwrap_or(&Value::Null);
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    let names = properties.into_iter().flatten().map(|(name, _)| argument(name, required.contains(&name.as_str())));
    names.collect::<Vec<_>>().join(",")
}

fn arguments_of_prompt(prompt: &Value) -> String {
    let arguments = prompt.get("arguments").and_then(Value::as_array);
    let to_word = |item: &Value| {
        let is_required = item.get("required").and_then(Value::as_bool) == Some(true);
        Some(argument(item.get("name")?.as_str()?, is_required))
    };
    arguments.into_iter().flatten().filter_map(to_word).collect::<Vec<_>>().join(",")
}

fn argument(name: &str, is_required: bool) -> String {
    if is_required { name.to_owned() } else { format!("[{name}]") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Kind, first_line, server_of, to_table};

    #[test]
    fn tools_are_a_table_in_which_nothing_is_hidden() {
        let items = [
            r#"{"name":"git__log","title":"Log","description":"\n  Shows\u200b the log.\nMore.","annotations":{"readOnlyHint":true,"openWorldHint":false},"inputSchema":{"properties":{"path":{},"n":{}},"required":["path"]}}"#.to_owned(),
            r#"{"name":"git__\u001b[2J"}"#.to_owned(),
        ];
        expect![[r"
            NAME             DESCRIPTION
            git__log         Shows\u{200b} the log.
            git__\u{1b}[2J
        "]]
        .assert_eq(&to_table(Kind::Tool, &items, false));
        expect![[r"
            NAME             TITLE   HINTS       ARGUMENTS   DESCRIPTION
            git__log         Log     read-only   [n],path    Shows\u{200b} the log.
            git__\u{1b}[2J
        "]]
        .assert_eq(&to_table(Kind::Tool, &items, true));
    }

    #[test]
    fn prompts_and_resources_have_tables_of_their_own() {
        let prompt = [r#"{"name":"s__p","arguments":[{"name":"a","required":true},{"name":"b"}]}"#.to_owned()];
        expect![[r"
            NAME   ARGUMENTS   DESCRIPTION
            s__p   a,[b]
        "]]
        .assert_eq(&to_table(Kind::Prompt, &prompt, false));
        let resources = [
            r#"{"uri":"file:///a","name":"a","mimeType":"text/plain"}"#.to_owned(),
            r#"{"uriTemplate":"t://{id}","name":"t"}"#.to_owned(),
        ];
        expect![[r"
            URI         NAME   TYPE         DESCRIPTION
            file:///a   a      text/plain
            t://{id}    t
        "]]
        .assert_eq(&to_table(Kind::Resource, &resources, true));
    }

    #[test]
    fn a_name_says_its_server_and_a_long_line_is_cut() {
        assert_eq!(server_of("git__log__all"), Some("git"));
        assert_eq!(server_of("log"), None);
        assert_eq!(first_line(&"x".repeat(300), false).chars().count(), 100);
        assert_eq!(first_line(&"x".repeat(300), true).len(), 300);
    }
}
