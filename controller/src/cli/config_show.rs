//! `evenkeel config show`: every setting, its value and where it came from.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::output::to_json_text;
use super::table::Table;
use crate::config::{Config, Setting};

#[derive(Debug, Args)]
pub(super) struct ConfigShowArgs {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = ConfigFormat::Table)]
    output: ConfigFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConfigFormat {
    Table,
    Json,
}

pub(super) fn run(args: &ConfigShowArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let config = global.load_config(&[])?;
    match args.output {
        ConfigFormat::Table => console.data(&to_table(&config))?,
        ConfigFormat::Json => console.data(&to_json_text(&to_json(&config)))?,
    }
    Ok(ExitStatus::Success)
}

fn rows(config: &Config) -> impl Iterator<Item = (Setting, &str, String)> {
    config.origins.iter().map(|(setting, (text, origin))| (*setting, text.as_str(), origin.to_string()))
}

fn to_table(config: &Config) -> String {
    let headings = ["SETTING", "VALUE", "FROM", "VARIABLE"].map(str::to_owned);
    let to_row = |(setting, text, origin): (Setting, &str, String)| {
        vec![setting.key().to_owned(), text.to_owned(), origin, setting.variable().to_owned()]
    };
    Table::new(headings.to_vec()).render(&rows(config).map(to_row).collect::<Vec<_>>())
}

fn to_json(config: &Config) -> Value {
    let to_entry = |(setting, text, origin): (Setting, &str, String)| {
        (setting.key().to_owned(), json!({ "value": text, "from": origin }))
    };
    rows(config).map(to_entry).collect()
}
