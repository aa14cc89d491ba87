//! `evenkeel validate`: every fault of every file, without an engine.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use crds_schema::Severity;
use serde_json::json;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::offline::{Checked, check_manifests};
use super::output::to_json_text;
use super::{diagnostics, sanitise};

#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// Files and directories
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = FaultFormat::Text)]
    output: FaultFormat,
}

/// How faults and plans are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FaultFormat {
    Text,
    Json,
}

pub(super) fn run(args: &ValidateArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let checked = check_manifests(&args.paths)?;
    let (errors, warnings) = diagnostics::count(&checked.diagnostics);
    match args.output {
        FaultFormat::Text => {
            for fault in &checked.diagnostics {
                let text = diagnostics::render(fault, console.use_color());
                console.raw_data(&format!("{text}\n\n"))?;
            }
            console.talk(&summary(&checked, errors, warnings));
        }
        FaultFormat::Json => {
            let objects: Vec<String> = checked.objects.iter().map(ToString::to_string).collect();
            let report = json!({ "files": checked.files, "objects": objects, "diagnostics": checked.diagnostics });
            console.raw_data(&sanitise::sanitise_json(&to_json_text(&report)))?;
        }
    }
    let has_errors = checked.diagnostics.iter().any(|fault| fault.severity == Severity::Error);
    Ok(if has_errors { ExitStatus::Failure } else { ExitStatus::Success })
}

fn summary(checked: &Checked, errors: usize, warnings: usize) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let found = match (errors, warnings) {
        (0, 0) => "no faults".to_owned(),
        (errors, 0) => count(errors, "error"),
        (0, warnings) => count(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    };
    format!("{} in {}: {found}", count(checked.objects.len(), "sound object"), count(checked.files, "file"))
}
