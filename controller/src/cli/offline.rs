//! The one place where the command line meets the parts of the program that are built elsewhere.

use std::path::{Path, PathBuf};

use crds_schema::{Diagnostic, Kind, ObjectKey};
use planner::Plan;
use serde_json::Value;

use super::console::{Console, ExitStatus};
use super::error::CliError;
use crate::config::Config;

/// What a check of manifests found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checked {
    /// How many files were read.
    pub files: usize,
    /// The sound objects.
    pub objects: Vec<ObjectKey>,
    /// What is wrong, by file and line.
    pub diagnostics: Vec<Diagnostic>,
}

/// What would change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanReport {
    /// Whether the engine is the simulated one.
    pub is_simulated: bool,
    /// The plan of every object, the settled ones too, in the order of the keys.
    pub plans: Vec<(ObjectKey, Plan)>,
    /// What is wrong with the manifests.
    pub diagnostics: Vec<Diagnostic>,
}

/// Runs the controller until it is told to end or, with `once`, has converged. Logging has been set up.
///
/// # Errors
/// When it cannot start.
pub async fn run_controller(config: Config, console: &Console) -> Result<ExitStatus, CliError> {
    drop(config);
    let _ = console;
    std::future::ready(Err(CliError::NotWired("run"))).await
}

/// Reads and checks manifests of files and directories, without an engine.
///
/// # Errors
/// When a path cannot be read.
pub fn check_manifests(paths: &[PathBuf]) -> Result<Checked, CliError> {
    let _ = paths;
    Err(CliError::NotWired("validate"))
}

/// Plans every object of a directory against the engine, and changes nothing.
///
/// # Errors
/// When the directory cannot be read or the engine does not answer.
pub async fn plan_directory(config: &Config, directory: &Path) -> Result<PlanReport, CliError> {
    let _ = (config, directory);
    std::future::ready(Err(CliError::NotWired("plan"))).await
}

/// The manual of a kind, or of a field of it such as `deployment.ports.publish`.
///
/// # Errors
/// When there is no such kind or field.
pub fn explain(subject: &str) -> Result<String, CliError> {
    let _ = subject;
    Err(CliError::NotWired("explain"))
}

/// The JSON Schema of a kind's manifest, or of every kind's.
///
/// # Errors
/// Never today.
pub fn schema(kind: Option<Kind>) -> Result<Value, CliError> {
    // The manifest's schema, with apiVersion, kind and metadata, belongs here; the spec's is a stand-in.
    match kind {
        Some(kind) => Ok(kind.spec_schema().to_value()),
        None => Ok(Kind::ALL.iter().map(|kind| (kind.as_str().to_owned(), kind.spec_schema().to_value())).collect()),
    }
}
