//! `evenkeel prune`: what prune holds back, and the word that lets it go on.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use crate::http::api::{ControllerView, PruneConfirmation};
use crate::http::token::Token;

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Remove what is held under this token; without it, show what is held
    #[arg(long, value_name = "TOKEN")]
    confirm: Option<String>,
}

pub(super) async fn run(args: &PruneArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let config = global.load_config(&[])?;
    let client = Client::new(config.server.clone());
    let Some(confirmation) = &args.confirm else {
        return show(&client, console).await;
    };
    let token = find_token(&config.data_dir)?;
    let body = serde_json::to_string(&PruneConfirmation { token: confirmation.clone() }).unwrap_or_default();
    let answer: Value = client.post("/api/v1/prune-confirmations", &token, body).await?;
    console.data(&list_lines(answer.get("keys").and_then(Value::as_array).map_or(&[], Vec::as_slice)))?;
    console.talk("confirmed: these are being removed");
    Ok(ExitStatus::Success)
}

fn list_lines(keys: &[Value]) -> String {
    keys.iter().filter_map(Value::as_str).map(|key| format!("{key}\n")).collect::<Vec<_>>().concat()
}

async fn show(client: &Client, console: &mut Console) -> Result<ExitStatus, CliError> {
    let view: ControllerView = client.get("/api/v1/controller").await?;
    let Some(held) = view.prune_held else {
        console.talk("nothing is held");
        return Ok(ExitStatus::Success);
    };
    let keys: Vec<String> = held.keys.iter().map(|key| format!("{key}\n")).collect();
    console.data(&keys.concat())?;
    console.talk(&format!("held: {}", held.reason));
    console.talk(&format!("to remove these: evenkeel prune --confirm {}", held.token));
    Ok(ExitStatus::Differences)
}

/// The token that a change needs: `EVENKEEL_TOKEN`, or that of the controller's directory.
pub(super) fn find_token(data_dir: &std::path::Path) -> Result<Token, CliError> {
    match std::env::var("EVENKEEL_TOKEN") {
        Ok(text) if !text.trim().is_empty() => Ok(Token::new(text.trim())),
        Ok(_) | Err(_) => read_token(data_dir),
    }
}

fn read_token(data_dir: &std::path::Path) -> Result<Token, CliError> {
    let context = || format!("no token of the controller in `{}`", data_dir.display());
    match Token::read(data_dir) {
        Ok(Some(token)) => Ok(token),
        Ok(None) => {
            Err(CliError::usage(context(), "name the controller's directory with `--data-dir`, or set EVENKEEL_TOKEN"))
        }
        Err(error) => Err(CliError::Failed { context: context(), source: error.into(), hint: String::new() }),
    }
}
