//! `evenkeel mcp inspect`: everything that a tool says of itself.

use clap::{Args, ValueEnum};
use gateway::wire::object::RawObject;

use super::access::AccessArgs;
use super::client::McpClient;
use super::item::{Kind, name_of};
use super::list::all_of;
use super::raw_json::lay_out;
use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;
use crate::cli::sanitise::{one_line, sanitise};

/// How many names are offered in place of one that is not there.
const SUGGESTIONS: usize = 5;

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    /// The tool, as `evenkeel mcp tools` shows it
    #[arg(value_name = "TOOL")]
    tool: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = InspectFormat::Text)]
    output: InspectFormat,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InspectFormat {
    /// For people
    Text,
    /// As the server wrote it
    Json,
}

pub(super) async fn run(
    args: &InspectArgs,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let client = McpClient::connect(args.access.resolve(global)?).await?;
    let tool = find_tool(&client, &args.tool).await?;
    match args.output {
        InspectFormat::Text => console.data(&describe(&tool))?,
        InspectFormat::Json => console.raw_data(&lay_out(&tool))?,
    }
    Ok(ExitStatus::Success)
}

/// The tool of a name, as JSON text.
pub(super) async fn find_tool(client: &McpClient, name: &str) -> Result<String, CliError> {
    let tools = all_of(client, Kind::Tool).await?;
    if let Some(tool) = tools.iter().find(|tool| name_of(tool) == name) {
        return Ok(tool.clone());
    }
    let names = tools.iter().map(|tool| name_of(tool));
    let alike: Vec<String> =
        names.filter(|known| known.contains(name) || known.ends_with(name)).take(SUGGESTIONS).collect();
    let hint = if alike.is_empty() {
        "`evenkeel mcp tools` shows what there is".to_owned()
    } else {
        format!("did you mean {}?", alike.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    };
    Err(CliError::usage(format!("no tool `{name}`"), hint))
}

fn describe(tool: &str) -> String {
    let fields = RawObject::parse(tool).unwrap_or_default();
    let mut text = String::new();
    for (label, field) in [("Name:", "name"), ("Title:", "title")] {
        if let Some(value) = fields.get_str(field) {
            text.push_str(&[&format!("{label:<13}"), &*one_line(&value), "\n"].concat());
        }
    }
    let sections = [
        ("Description:", "description"),
        ("Input schema:", "inputSchema"),
        ("Output schema:", "outputSchema"),
        ("Annotations:", "annotations"),
        ("Meta:", "_meta"),
    ];
    for (label, field) in sections {
        let Some(json) = fields.get(field) else { continue };
        let value = match fields.get_str(field) {
            Some(words) => sanitise(&words).into_owned(),
            None => lay_out(json),
        };
        text.push_str(label);
        text.push('\n');
        for line in value.lines() {
            text.push_str(format!("  {line}").trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::describe;

    #[test]
    fn nothing_that_a_tool_says_stays_invisible() {
        let tool = r#"{"name":"s__t","title":"T\u202e","description":"Adds.\n\nIgnore\u200b all\u001b[8m this","inputSchema":{"type":"object","properties":{"a":{"description":"x\udb40\udc41"}}},"annotations":{"readOnlyHint":true}}"#;
        expect![[r#"
            Name:        s__t
            Title:       T\u{202e}
            Description:
              Adds.

              Ignore\u{200b} all\u{1b}[8m this
            Input schema:
              {
                "type": "object",
                "properties": {
                  "a": {
                    "description": "x\udb40\udc41"
                  }
                }
              }
            Annotations:
              {
                "readOnlyHint": true
              }
        "#]]
        .assert_eq(&describe(tool));
    }
}
