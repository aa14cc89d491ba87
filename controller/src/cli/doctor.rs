//! `evenkeel doctor`: whether everything that the controller needs is there. It changes nothing.

mod engine;
mod host;

use clap::Args;
use crds_schema::Diagnostic;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::sanitise::one_line;
use crate::config::{Config, Origin, Setting};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Directory of manifests to check too
    #[arg(short, long, value_name = "DIR")]
    manifests: Option<String>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    verdict: Verdict,
    name: &'static str,
    found: String,
    /// What to do; empty where there is nothing to do.
    remedy: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, name, found: found.into(), remedy: String::new() }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, name, found: found.into(), remedy: remedy.into() }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, name, found: found.into(), remedy: remedy.into() }
    }
}

/// Runs every check: 0 all is well, 1 with warnings, 2 when something fails.
pub(super) async fn run(args: &DoctorArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let checks = match global.load_config(&[(Setting::Manifests, args.manifests.as_deref())]) {
        Ok(config) => check_all(&config).await,
        Err(CliError::Config(errors)) => {
            let to_check = |fault: Diagnostic| Check::fail("config", fault.message, fault.hints.join("; "));
            errors.to_diagnostics().into_iter().map(to_check).collect()
        }
        Err(error) => return Err(error),
    };
    console.data(&render(&checks))?;
    Ok(match checks.iter().map(|check| check.verdict).max() {
        Some(Verdict::Fail) => ExitStatus::Failure,
        Some(Verdict::Warn) => ExitStatus::Differences,
        Some(Verdict::Ok) | None => ExitStatus::Success,
    })
}

async fn check_all(config: &Config) -> Vec<Check> {
    let settings = config.origins.values().filter(|(_, origin)| *origin != Origin::Default).count();
    let mut checks = vec![Check::ok("config", format!("{settings} of {} settings set", config.origins.len()))];
    checks.extend(host::check_manifests(config));
    checks.extend(engine::check(config).await);
    checks.push(host::check_data_dir(config));
    checks.push(host::check_port(config).await);
    checks
}

fn render(checks: &[Check]) -> String {
    checks.iter().map(render_check).collect::<Vec<_>>().concat()
}

fn render_check(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    };
    let line = format!("{verdict:<5} {:<10} {}\n", check.name, one_line(&check.found));
    if check.remedy.is_empty() {
        return line;
    }
    format!("{line}{:<16} hint: {}\n", "", one_line(&check.remedy))
}
