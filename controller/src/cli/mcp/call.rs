//! `evenkeel mcp call`: one call of a tool.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gateway::header_param::{find, value_of};
use gateway::upstream::exchange::{Answer, Exchange, Next, Note};
use gateway::wire::object::RawObject;
use serde_json::{Value, json};

use super::access::AccessArgs;
use super::arguments::{from_json, from_pairs, parse_pair, read_file};
use super::client::{Beside, McpClient};
use super::inspect::find_tool;
use super::item::to_value;
use super::raw_json::lay_out;
use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;

#[derive(Debug, Args)]
pub(in crate::cli) struct CallArgs {
    /// The tool, as `evenkeel mcp tools` shows it
    #[arg(value_name = "TOOL")]
    tool: String,
    /// Arguments; a value that is JSON is taken as JSON, unless the tool wants text there
    #[arg(value_name = "KEY=VALUE", value_parser = parse_pair)]
    pairs: Vec<(String, String)>,
    /// All arguments as one JSON object
    #[arg(long, value_name = "OBJECT", conflicts_with_all = ["pairs", "file"])]
    json: Option<String>,
    /// The same from a file, or from standard input when it is `-`
    #[arg(long, value_name = "FILE", conflicts_with = "pairs")]
    file: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = ResultFormat::Text)]
    output: ResultFormat,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResultFormat {
    /// What the tool says, as text
    Text,
    /// The result as it came
    Json,
}

pub(super) async fn run(args: &CallArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let written = match (&args.json, &args.file) {
        (Some(text), _) => Some(from_json(text, "`--json`")?),
        (None, Some(file)) => Some(from_json(&read_file(file)?, &format!("`{}`", file.display()))?),
        (None, None) => None,
    };
    let client = McpClient::connect(args.access.resolve(global)?).await?;
    let tool = find_tool(&client, &args.tool).await?;
    let schema = to_value(&tool).get("inputSchema").cloned().unwrap_or_default();
    let arguments = match written {
        Some(arguments) => arguments,
        None => from_pairs(&args.pairs, &schema)?,
    };
    let headers = find(&schema).unwrap_or_default();
    let headers = headers.iter().filter_map(|(path, word)| {
        let value = value_of(&arguments, path)?;
        Some((format!("mcp-param-{}", word.to_ascii_lowercase()), gateway::header::encode(&value)))
    });
    let headers: Vec<(String, String)> = headers.collect();
    let wants_progress = std::io::stderr().is_terminal() && !console.is_quiet();
    let beside = Beside { name: Some(&args.tool), headers: &headers, wants_progress };
    let params = json!({ "name": args.tool, "arguments": arguments }).to_string();
    let exchange = client.send("tools/call", &params, beside).await;
    let answer = match exchange {
        Exchange::Done(answer) => answer,
        Exchange::Open(mut open) => loop {
            match open.next().await {
                Next::Note(note) => tell(&note, console),
                Next::Answer(answer) => break answer,
            }
        },
    };
    let answer: Answer = answer.map_err(|error| client.no_answer("tools/call", error))?;
    print(&client.result_of("tools/call", answer)?, args.output, console)
}

/// Says how far it is.
fn tell(note: &Note, console: &mut Console) {
    let Note::Notification { method, params: Some(params) } = note else { return };
    if method != "notifications/progress" {
        return;
    }
    let fields = RawObject::parse(params).unwrap_or_default();
    let done = fields.get("progress").unwrap_or_default();
    let total = fields.get("total").map_or_else(String::new, |total| format!("/{total}"));
    let message = fields.get_str("message").map_or_else(String::new, |message| format!(" {message}"));
    console.talk(&format!("progress: {done}{total}{message}"));
}

fn print(result: &str, format: ResultFormat, console: &mut Console) -> Result<ExitStatus, CliError> {
    let value = to_value(result);
    match format {
        ResultFormat::Json => console.raw_data(&lay_out(result))?,
        ResultFormat::Text if value.get("resultType").and_then(Value::as_str) == Some("input_required") => {
            return Err(CliError::usage(
                "the tool asks for more before it answers",
                "call it from a client that can be asked; `-o json` shows what it asks",
            ));
        }
        ResultFormat::Text => console.data(&to_text(&value))?,
    }
    if value.get("isError").and_then(Value::as_bool) == Some(true) {
        console.talk("the tool says that it failed");
        return Ok(ExitStatus::Differences);
    }
    Ok(ExitStatus::Success)
}

/// What a result says: its texts, and a word for whatever is none.
fn to_text(result: &Value) -> String {
    let blocks = result.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if blocks.is_empty() {
        return result.get("structuredContent").map_or_else(String::new, |value| lay_out(&value.to_string()));
    }
    blocks.iter().map(block_text).collect::<Vec<_>>().join("\n")
}

fn block_text(block: &Value) -> String {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let kind = text(block, "type").unwrap_or_default();
    let resource = block.get("resource").unwrap_or(&Value::Null);
    match kind.as_str() {
        "text" => text(block, "text").unwrap_or_default(),
        "resource" if resource.get("text").is_some() => text(resource, "text").unwrap_or_default(),
        "resource" => format!("[resource {}]", text(resource, "uri").unwrap_or_default()),
        "resource_link" => format!("[resource {}]", text(block, "uri").unwrap_or_default()),
        kind => {
            let length = text(block, "data").unwrap_or_default().len() / 4 * 3;
            format!("[{kind} {}, about {length} bytes]", text(block, "mimeType").unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_text;

    #[test]
    fn a_result_is_printed_as_what_it_says() {
        let content = json!([
            { "type": "text", "text": "one\ntwo" },
            { "type": "image", "mimeType": "image/png", "data": "AAAAAAAA" },
            { "type": "resource", "resource": { "uri": "a://b", "text": "three" } },
            { "type": "resource_link", "uri": "a://c" },
        ]);
        let text = to_text(&json!({ "content": content }));
        assert_eq!(text, "one\ntwo\n[image image/png, about 6 bytes]\nthree\n[resource a://c]");
        assert_eq!(to_text(&json!({ "content": [], "structuredContent": { "n": 1 } })), "{\n  \"n\": 1\n}\n");
        assert_eq!(to_text(&json!({})), "");
    }
}
