//! `evenkeel mcp tools`, `prompts` and `resources`.

use clap::Args;

use super::access::AccessArgs;
use super::client::McpClient;
use super::item::{ItemFormat, Kind, name_of, print, server_of};
use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only what this server offers
    #[arg(value_name = "SERVER")]
    of_server: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = ItemFormat::Table)]
    output: ItemFormat,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) async fn run(
    kind: Kind,
    args: &ListArgs,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let client = McpClient::connect(args.access.resolve(global)?).await?;
    let items = match &args.of_server {
        None => all_of(&client, kind).await?,
        Some(server) => items_of_server(&client, kind, server).await?,
    };
    print(kind, &items, args.output, console)?;
    Ok(ExitStatus::Success)
}

/// Every item of a kind, each as JSON text.
pub(super) async fn all_of(client: &McpClient, kind: Kind) -> Result<Vec<String>, CliError> {
    let mut items = Vec::new();
    for (method, field) in kind.lists() {
        items.extend(client.list_all(method, field).await?);
    }
    Ok(items)
}

/// What one server offers, under the names that it is called by. Names have their server before them, addresses of resources have not:
/// for those the server's own endpoint is asked, which also tells a server that offers nothing from one that is not there.
async fn items_of_server(client: &McpClient, kind: Kind, server: &str) -> Result<Vec<String>, CliError> {
    let alone = all_of(&client.of_server(server).await?, kind).await?;
    if kind == Kind::Resource {
        return Ok(alone);
    }
    let mut items = all_of(client, kind).await?;
    items.retain(|item| server_of(&name_of(item)) == Some(server));
    // A gateway that calls tools by their own names has no prefixes to go by.
    Ok(if items.is_empty() { alone } else { items })
}
