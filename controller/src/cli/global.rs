//! The flags that every command takes, and the configuration that they are a part of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use crate::config::{Config, Setting, Surroundings};

/// The flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Config file [default: /etc/evenkeel/config.yaml where it exists; `EVENKEEL_CONFIG`]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Engine: `unix://PATH`, `tcp://HOST:PORT` or `simulated` [default: `DOCKER_HOST`, else `unix:///var/run/docker.sock`]
    #[arg(long, global = true, value_name = "ADDRESS")]
    engine: Option<String>,
    /// Directory of the store, the token and the keys [default: /var/lib/evenkeel as root]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Name that tells controllers of one engine apart [default: default]
    #[arg(long, global = true, value_name = "NAME")]
    instance: Option<String>,
    /// Running controller to ask: `http://HOST:PORT` or `unix://PATH` [default: `http://127.0.0.1:7070`; `EVENKEEL_SERVER`]
    #[arg(long, global = true, value_name = "ADDRESS")]
    server: Option<String>,
    /// Form of log lines: text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log lines: off, error, warn, info, debug, trace, and target=level [default: info; `EVENKEEL_LOG`]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Say nothing but errors on stderr
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// No colours; `NO_COLOR` does the same
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl GlobalArgs {
    /// These flags without `--server`, for a command that means something else by it and asks no controller.
    pub(super) fn without_server(&self) -> Self {
        Self { server: None, ..self.clone() }
    }

    /// The configuration with these flags and those of a command over it.
    ///
    /// # Errors
    /// Every fault of the configuration.
    pub fn load_config(&self, command_flags: &[(Setting, Option<&str>)]) -> Result<Config, CliError> {
        let own = [
            (Setting::Engine, self.engine.as_deref()),
            (Setting::DataDir, self.data_dir.as_deref()),
            (Setting::Instance, self.instance.as_deref()),
            (Setting::Server, self.server.as_deref()),
            (Setting::LogFormat, self.log_format.as_deref()),
            (Setting::LogLevel, self.log_level.as_deref()),
        ];
        let set = own.iter().chain(command_flags).filter_map(|(setting, text)| Some((*setting, (*text)?.to_owned())));
        let flags: BTreeMap<Setting, String> = set.collect();
        Ok(Config::load(self.config.as_deref(), &flags, &Surroundings::of_this_process())?)
    }
}
