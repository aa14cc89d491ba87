//! The commands, and how one is chosen, run and ended.

use std::future::Future;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::{
    audit, completion, config_show, demo, demo_mcp, describe, diagnostics, doctor, events, explain, get, logs, mcp,
    mcp_gateway, plan, prune, rollout, run, schema, validate,
};

/// Keeps a Docker host as its manifests say.
///
/// Exit codes: 0 ok, 1 differences or not ready, 2 usage or failure.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch manifests, keep the engine as they say, and serve the API
    Run(run::RunArgs),
    /// Check manifests without an engine: every fault at once
    Validate(validate::ValidateArgs),
    /// Show what would change and why, and change nothing
    Plan(plan::PlanArgs),
    /// Show objects
    Get(get::GetArgs),
    /// Show everything about one object
    Describe(describe::DescribeArgs),
    /// Show what happened
    Events(events::EventsArgs),
    /// Show what the containers of an object write
    Logs(logs::LogsArgs),
    /// Explain a kind or a field
    Explain(explain::ExplainArgs),
    /// Print the JSON Schema of a kind, or of every manifest
    Schema(schema::SchemaArgs),
    /// Check the configuration, the engine and the host
    Doctor(doctor::DoctorArgs),
    /// Show what prune holds back, or let it go on
    Prune(prune::PruneArgs),
    /// Show how the rollout of an object goes, or try one again that has failed
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Use an MCP gateway: what its servers offer, calls, and a bridge for clients
    #[command(subcommand)]
    Mcp(mcp::McpCommand),
    /// Be an MCP gateway that is a process of its own, as the controller says
    Gateway(mcp_gateway::GatewayArgs),
    /// Look after the audits of MCP gateways
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a shell's completion script
    Completion(completion::CompletionArgs),
    /// Print the version
    Version,
    /// Bring up a small platform to look at, or remove it
    #[command(hide = true)]
    Demo(demo::DemoArgs),
    /// The demo's web server
    #[command(hide = true)]
    DemoWeb(demo::WebArgs),
    /// The demo's worker
    #[command(hide = true)]
    DemoWorker(demo::WorkerArgs),
    /// The demo's MCP server
    #[command(hide = true)]
    DemoMcp(demo_mcp::McpArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting, its value and where it came from
    Show(config_show::ConfigShowArgs),
}

/// The whole program: parses the process's arguments, runs the command and tells how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return end_without_command(&error),
    };
    let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut console = Console::of_this_process(cli.global.quiet, !cli.global.no_color && !has_no_color);
    let status = match run_command(&cli, &mut console) {
        Ok(status) => status,
        // Whoever read stdout has seen enough.
        Err(error) if error.is_broken_pipe() => ExitStatus::Success,
        Err(error) => {
            report(&error, &mut console);
            ExitStatus::Failure
        }
    };
    ExitCode::from(status.code())
}

/// `--help`, `--version`, and arguments that are none.
fn end_without_command(error: &clap::Error) -> ExitCode {
    drop(error.print());
    let is_answer = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    ExitCode::from(if is_answer { ExitStatus::Success } else { ExitStatus::Failure }.code())
}

fn run_command(cli: &Cli, console: &mut Console) -> Result<ExitStatus, CliError> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => run::run(args, global, console),
        Command::Validate(args) => validate::run(args, console),
        Command::Plan(args) => block_on(plan::run(args, global, console)),
        Command::Get(args) => block_on(get::run(args, global, console)),
        Command::Describe(args) => block_on(describe::run(args, global, console)),
        Command::Events(args) => block_on(events::run(args, global, console)),
        Command::Logs(args) => block_on(logs::run(args, global, console)),
        Command::Explain(args) => explain::run(args, console),
        Command::Schema(args) => schema::run(args, console),
        Command::Doctor(args) => block_on(doctor::run(args, global, console)),
        Command::Prune(args) => block_on(prune::run(args, global, console)),
        Command::Rollout(command) => block_on(rollout::run(command, global, console)),
        Command::Mcp(mcp::McpCommand::Bridge(args)) => mcp::run_bridge(args, global),
        Command::Mcp(command) => block_on(mcp::run(command, global, console)),
        Command::Gateway(args) => mcp_gateway::run(args, global, console),
        Command::Audit(command) => audit::run(command, console),
        Command::Config(ConfigCommand::Show(args)) => config_show::run(args, global, console),
        Command::Completion(args) => completion::run(args, console),
        Command::Demo(args) => demo::run(args, global, console),
        Command::DemoWeb(args) => block_on(demo::run_web(args)),
        Command::DemoWorker(args) => block_on(demo::run_worker(args)),
        Command::DemoMcp(args) => block_on(demo_mcp::run(args)),
        Command::Version => {
            console.data(concat!("evenkeel ", env!("CARGO_PKG_VERSION")))?;
            Ok(ExitStatus::Success)
        }
    }
}

/// Runs a command that waits for others; one thread is enough for it.
fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(work)
}

/// Says why the command failed, and what to do.
fn report(error: &CliError, console: &mut Console) {
    if let CliError::Config(errors) = error {
        for fault in errors.to_diagnostics() {
            let text = diagnostics::render(&fault, console.use_color());
            console.raw_complaint(&text);
        }
        return;
    }
    console.complain(&format!("error: {}", error.chain()));
    let hint = error.hint();
    if !hint.is_empty() {
        console.complain(&format!("hint: {hint}"));
    }
}
