//! `evenkeel run`: the controller.

use clap::Args;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::offline;
use crate::config::{Config, Setting};
use crate::telemetry::start_logging;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Directory of manifests
    #[arg(short, long, value_name = "DIR")]
    manifests: Option<String>,
    /// Converge and exit: 0 converged, 1 not, 2 bad input
    #[arg(long)]
    once: bool,
    /// How long --once tries [default: 5m]
    #[arg(long, value_name = "DURATION")]
    once_timeout: Option<String>,
    /// Where the API is served: `ADDRESS:PORT` or `unix://PATH` [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Whether other hosts may reach the API: true or false [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    allow_remote: Option<String>,
    /// How often everything is listed again [default: 30s]
    #[arg(long, value_name = "DURATION")]
    resync: Option<String>,
    /// Share of the objects that prune removes without asking [default: 30%]
    #[arg(long, value_name = "PERCENT")]
    prune_limit: Option<String>,
    /// How long a removed object stays before prune takes it [default: 10s]
    #[arg(long, value_name = "DURATION")]
    prune_delay: Option<String>,
    /// How many containers are started at once [default: 4]
    #[arg(long, value_name = "NUMBER")]
    start_concurrency: Option<String>,
    /// What a commit of the store outlives: power or process [default: power]
    #[arg(long, value_name = "WHAT")]
    durability: Option<String>,
    /// How progress is shown with --once: auto, plain or off [default: auto]
    #[arg(long, value_name = "HOW")]
    progress: Option<String>,
    /// Take the engine over from a controller that may still live
    #[arg(long)]
    take_over: bool,
}

impl RunArgs {
    fn load_config(&self, global: &GlobalArgs) -> Result<Config, CliError> {
        global.load_config(&[
            (Setting::Manifests, self.manifests.as_deref()),
            (Setting::Once, self.once.then_some("true")),
            (Setting::OnceTimeout, self.once_timeout.as_deref()),
            (Setting::Listen, self.listen.as_deref()),
            (Setting::AllowRemote, self.allow_remote.as_deref()),
            (Setting::Resync, self.resync.as_deref()),
            (Setting::PruneLimit, self.prune_limit.as_deref()),
            (Setting::PruneDelay, self.prune_delay.as_deref()),
            (Setting::StartConcurrency, self.start_concurrency.as_deref()),
            (Setting::Durability, self.durability.as_deref()),
            (Setting::Progress, self.progress.as_deref()),
        ])
    }
}

pub(super) fn run(args: &RunArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let config = args.load_config(global)?;
    if config.manifests.is_none() {
        return Err(CliError::usage("no manifests", "name their directory with `--manifests DIR`"));
    }
    let _last_lines = start_logging(config.log_format, &config.log_level, console.use_color())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(offline::run_controller(config, args.take_over, console))
}
