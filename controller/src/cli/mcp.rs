//! `evenkeel mcp`: a gateway from the side of its clients.

mod access;
mod approve;
mod arguments;
mod bridge;
mod call;
mod client;
mod inspect;
mod item;
mod list;
mod logs;
mod raw_json;
mod servers;
mod sessions;

pub(super) use self::bridge::run as run_bridge;

use clap::Subcommand;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;

#[derive(Debug, Subcommand)]
pub(super) enum McpCommand {
    /// Show the servers behind the gateway, and how much each offers
    Ls(servers::LsArgs),
    /// Show the tools
    Tools(list::ListArgs),
    /// Show the prompts
    Prompts(list::ListArgs),
    /// Show the resources, and the templates of resources
    Resources(list::ListArgs),
    /// Call a tool and print what it says
    ///
    /// Exit codes: 0 done, 1 the tool says that it failed, 2 usage, or no answer.
    Call(call::CallArgs),
    /// Show everything that a tool says of itself, with what is invisible in it
    Inspect(inspect::InspectArgs),
    /// Show the tools, prompts and instructions that are not approved, and what has changed of them; with a server's name, approve them
    ///
    /// Exit codes: 0 all is approved, 1 something is not, 2 usage or failure.
    Approve(approve::ApproveArgs),
    /// Show the sessions that the gateway has under one's own token
    Sessions(sessions::SessionsArgs),
    /// Show what a server writes beside the protocol: over standard input and output to its standard error, else to both
    Logs(logs::LogsArgs),
    /// Be an MCP server on standard input and output, for clients that speak nothing else, and relay to the gateway
    Bridge(bridge::BridgeArgs),
}

/// Runs a command that asks the gateway once and prints what it answers.
pub(super) async fn run(
    command: &McpCommand,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    match command {
        McpCommand::Ls(args) => servers::run(args, global, console).await,
        McpCommand::Tools(args) => list::run(item::Kind::Tool, args, global, console).await,
        McpCommand::Prompts(args) => list::run(item::Kind::Prompt, args, global, console).await,
        McpCommand::Resources(args) => list::run(item::Kind::Resource, args, global, console).await,
        McpCommand::Call(args) => call::run(args, global, console).await,
        McpCommand::Inspect(args) => inspect::run(args, global, console).await,
        McpCommand::Sessions(args) => sessions::run(args, global, console).await,
        McpCommand::Approve(args) => approve::run(args, global, console).await,
        McpCommand::Logs(args) => logs::run(args, global, console).await,
        // It lasts, and has a runtime of its own.
        McpCommand::Bridge(args) => run_bridge(args, global),
    }
}
