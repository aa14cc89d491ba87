//! `evenkeel gateway`: an MCP gateway as a process of its own.

use std::path::{Path, PathBuf};

use clap::Args;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::offline::told_to_stop;
use crate::mcp::process::{ProcessConfig, run as serve};
use crate::telemetry::start_logging;

#[derive(Debug, Args)]
pub(super) struct GatewayArgs {
    /// Socket where the controller waits for it: `DATA_DIR/mcp/NAMESPACE_NAME/gateway.sock`
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Directory of what servers list, what is approved of it, and the audit [default: that of the socket]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Serves until a signal says to end.
pub(super) fn run(args: &GatewayArgs, global: &GlobalArgs, console: &Console) -> Result<ExitStatus, CliError> {
    let state_dir = args.state_dir.clone().or_else(|| args.socket.parent().map(Path::to_owned));
    let config = ProcessConfig { socket: args.socket.clone(), state_dir: state_dir.unwrap_or_default() };
    let settings = global.load_config(&[])?;
    let _last_lines = start_logging(settings.log_format, &settings.log_level, console.use_color())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(serve(config, told_to_stop()));
    Ok(ExitStatus::Success)
}
