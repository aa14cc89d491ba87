//! `evenkeel mcp logs`: what a server writes beside the protocol.

use clap::Args;
use crds_schema::Kind;

use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::get::parse_key;
use crate::cli::global::GlobalArgs;
use crate::cli::logs::{LogPart, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    /// The server, as NAMESPACE/SERVER outside of `default`
    #[arg(value_name = "SERVER")]
    of_server: String,
    #[command(flatten)]
    part: LogPart,
}

pub(super) async fn run(args: &LogsArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let (namespace, server) = args.of_server.split_once('/').unwrap_or(("default", args.of_server.as_str()));
    let key = parse_key(Kind::McpServer.as_str(), Some(server), Some(namespace))?;
    show(&key, args.part, global, console).await
}
