//! `evenkeel mcp sessions`: who is connected under one's own token.

use clap::Args;
use serde_json::Value;

use super::access::AccessArgs;
use super::client::McpClient;
use super::item::ItemFormat;
use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;
use crate::cli::output::{format_age, to_json_text, to_yaml_text};
use crate::cli::sanitise::{one_line, sanitise_json};
use crate::cli::table::Table;

#[derive(Debug, Args)]
pub(in crate::cli) struct SessionsArgs {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = ItemFormat::Table)]
    output: ItemFormat,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) async fn run(
    args: &SessionsArgs,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let client = McpClient::connect(args.access.resolve(global)?).await?;
    let told: Value = serde_json::from_str(&client.get("/sessions").await?).unwrap_or_default();
    let sessions = told["sessions"].as_array().map(Vec::as_slice).unwrap_or_default();
    match args.output {
        ItemFormat::Table | ItemFormat::Wide if sessions.is_empty() => console.talk("no sessions"),
        ItemFormat::Table | ItemFormat::Wide => console.data(&to_table(sessions))?,
        ItemFormat::Json => console.raw_data(&sanitise_json(&to_json_text(&told)))?,
        ItemFormat::Yaml => console.data(&to_yaml_text(&told)?)?,
    }
    Ok(ExitStatus::Success)
}

fn to_table(sessions: &[Value]) -> String {
    let headings = ["SESSION", "CLIENT", "PROTOCOL", "SERVER", "CALLS", "IDLE", "AGE"].map(str::to_owned).to_vec();
    let text = |value: &Value| one_line(value.as_str().unwrap_or("-"));
    let time = |value: &Value| format_age(value.as_i64().unwrap_or(0).saturating_mul(1_000));
    let to_row = |session: &Value| {
        let client = &session["client"];
        vec![
            text(&session["session"]),
            format!("{} {}", text(&client["name"]), text(&client["version"])),
            text(&session["protocolVersion"]),
            session["server"].as_str().map_or_else(|| "*".to_owned(), one_line),
            session["underWay"].to_string(),
            time(&session["idleSeconds"]),
            time(&session["ageSeconds"]),
        ]
    };
    Table::new(headings).render(&sessions.iter().map(to_row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::to_table;

    #[test]
    fn a_session_is_a_line_and_nothing_in_it_drives_the_terminal() {
        let session = json!({ "session": "0123456789abcdef", "client": { "name": "evil\u{1b}[2J", "version": "1.0" },
            "protocolVersion": "2025-11-25", "server": null, "ageSeconds": 3_725, "idleSeconds": 2, "underWay": 1 });
        expect![[r"
            SESSION            CLIENT              PROTOCOL     SERVER   CALLS   IDLE   AGE
            0123456789abcdef   evil\u{1b}[2J 1.0   2025-11-25   *        1       2s     1h2m
        "]]
        .assert_eq(&to_table(&[session]));
    }
}
