//! `evenkeel mcp bridge`: an MCP server on standard input and output.

use std::path::PathBuf;

use clap::Args;
use gateway::bridge::{BridgeConfig, BridgeError, PATIENCE, run as relay};
use tokio::signal::unix::{SignalKind, signal};

use super::access::AccessArgs;
use crate::cli::console::ExitStatus;
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;
use crate::telemetry::start_logging;

#[derive(Debug, Args)]
pub(in crate::cli) struct BridgeArgs {
    /// Only this server, under its own names
    // It has the id of the global flag, which asks for a controller that is not asked here: so it stands in its place.
    #[arg(long = "server", id = "server", value_name = "NAME")]
    of_server: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Relays until the client closes its side, or a signal says to end.
pub(in crate::cli) fn run(args: &BridgeArgs, global: &GlobalArgs) -> Result<ExitStatus, CliError> {
    let global = global.without_server();
    let mut access = args.access.resolve(&global)?;
    if let Some(name) = &args.of_server {
        access.address = access
            .address
            .of_server(name)
            .map_err(|error| CliError::usage(format!("`{name}` is {error}"), "`evenkeel mcp ls` shows the servers"))?;
    }
    let config = global.load_config(&[])?;
    let logging = start_logging(config.log_format, &config.log_level, false);
    let _last_lines = logging.map_err(|error| failed(error.into()))?;
    let config = BridgeConfig {
        address: access.address,
        token: access.token.map(|token| token.reveal().to_owned()),
        cache_dir: cache_dir(|name| std::env::var(name).ok()),
        patience: PATIENCE,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
        let stop = async move {
            tokio::select! {
                // Either ends the bridge, so that nothing is lost by dropping the other.
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        relay(config, tokio::io::stdin(), tokio::io::stdout(), stop).await.or_else(|error| match error {
            // A client that reads no more has ended.
            BridgeError::Output(source) if source.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            error @ (BridgeError::Output(_) | BridgeError::Input(_) | BridgeError::Token) => Err(failed(error.into())),
        })
    });
    // The thread that reads standard input is stuck in its read for as long as nothing is written there.
    runtime.shutdown_background();
    ended.map(|()| ExitStatus::Success)
}

fn failed(source: Box<dyn std::error::Error + Send + Sync>) -> CliError {
    CliError::Failed { context: "cannot bridge".into(), source, hint: String::new() }
}

/// Where a user's programs keep what they can do without; nowhere for who has no home.
fn cache_dir(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let is_absolute = |path: &PathBuf| path.is_absolute();
    let own = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(is_absolute);
    let home = || variable("HOME").map(PathBuf::from).filter(is_absolute).map(|home| home.join(".cache"));
    own.or_else(home).map(|directory| directory.join("evenkeel"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::cache_dir;

    #[test]
    fn the_cache_is_where_the_user_keeps_such_things() {
        let with = |pairs: &'static [(&str, &str)]| {
            cache_dir(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")]), Some(PathBuf::from("/c/evenkeel")));
        assert_eq!(with(&[("XDG_CACHE_HOME", "c"), ("HOME", "/h")]), Some(PathBuf::from("/h/.cache/evenkeel")));
        assert_eq!(with(&[("HOME", "")]), None);
    }
}
