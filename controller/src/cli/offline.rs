//! The one place where the command line meets the parts of the program that are built elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crds_schema::crosscheck::UNDEFINED_REFERENCE;
use crds_schema::yaml::Loader;
use crds_schema::{AnyObject, Diagnostic, Kind, ObjectKey, Severity};
use planner::inventory::ProbeOutcome;
use planner::world::Removal;
use planner::{Plan, World};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::console::{Console, ExitStatus};
use super::diagnostics;
use super::error::CliError;
use super::progress::{final_table, show_progress};
use crate::app::{App, AppError, StartOptions, connect};
use crate::clock::Clock;
use crate::config::Config;
use crate::core::Core;
use crate::desired::{DesiredState, Merged, object_from_json};
use crate::identity;
use crate::metrics::Metrics;
use crate::once::Outcome;
use crate::reflector::Reflector;
use crate::source::Reading;
use crate::source::Source as _;
use crate::source::directory::Directory;
use crate::status::ObjectRecord;
use crate::store::Store;

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
    /// What a controller does not try again, and why; what is in force is planned in its place.
    pub rolled_back: Vec<(ObjectKey, String)>,
    /// The plan of every object, the settled ones too, in the order of the keys.
    pub plans: Vec<(ObjectKey, Plan)>,
    /// What is wrong with the manifests.
    pub diagnostics: Vec<Diagnostic>,
}

/// Runs the controller until it is told to end or, with `once`, has converged. Logging has been set up.
///
/// # Errors
/// When it cannot start.
pub async fn run_controller(config: Config, take_over: bool, console: &mut Console) -> Result<ExitStatus, CliError> {
    let (is_once, mode) = (config.once, config.progress);
    let start = StartOptions { is_serving: !is_once, take_over };
    let app = App::open(config, start).await.map_err(cannot_run)?;
    let board = app.board();
    if let Some(address) = app.address() {
        tracing::info!(address = %address, "serving the API");
    }
    if !is_once {
        let outcome = app.run(told_to_stop()).await.map_err(cannot_run)?;
        return Ok(exit_status(outcome));
    }
    let (is_over, over) = watch::channel(false);
    let shown = tokio::spawn(show_progress(Arc::clone(&board), mode, over));
    let outcome = app.run(told_to_stop()).await.map_err(cannot_run)?;
    is_over.send_replace(true);
    drop(shown.await);
    for fault in &board.controller().diagnostics {
        console.raw_complaint(&diagnostics::render(fault, console.use_color()));
    }
    for object in board.objects() {
        if let Some(why) = object.failed_rollout() {
            console.complain(&format!("{}: {why}", object.key));
        }
    }
    console.data(&final_table(&board, Clock::of_the_host().now_ms()))?;
    Ok(exit_status(outcome))
}

fn exit_status(outcome: Outcome) -> ExitStatus {
    match outcome {
        Outcome::Converged => ExitStatus::Success,
        Outcome::NotConverged => ExitStatus::Differences,
        Outcome::BadInput => ExitStatus::Failure,
    }
}

fn cannot_run(error: AppError) -> CliError {
    let hint = error.hint().unwrap_or_default();
    CliError::Failed { context: "cannot run".into(), source: Box::new(error), hint }
}

/// Ends with SIGTERM or SIGINT.
pub async fn told_to_stop() {
    let mut terminated = match signal(SignalKind::terminate()) {
        Ok(terminated) => terminated,
        Err(error) => {
            tracing::warn!(error = %error, "SIGTERM cannot be heard");
            return std::future::pending().await;
        }
    };
    // Either is only heard; nothing is lost when the other wins.
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Reads and checks manifests of files and directories, without an engine.
///
/// # Errors
/// When a path cannot be read.
pub fn check_manifests(paths: &[PathBuf]) -> Result<Checked, CliError> {
    let mut files = Vec::new();
    for path in paths {
        let reading = Directory::new(path.clone()).read_path();
        if let Some(problem) = reading.problem {
            return Err(CliError::usage(problem, "name a file or a directory that can be read"));
        }
        files.extend(reading.files);
    }
    let merged = merge(&Reading { files, problem: None });
    Ok(Checked {
        files: merged.0,
        objects: merged.1.wanted.keys().cloned().collect(),
        diagnostics: merged.1.diagnostics.into_iter().map(undefined_is_an_error).collect(),
    })
}

fn merge(reading: &Reading) -> (usize, Merged) {
    let merged = DesiredState::default().merge(&Loader::new(), reading, |_| Vec::new());
    (reading.files.len(), merged)
}

/// While a controller waits for what is not defined yet, a check of all manifests knows that it is not.
fn undefined_is_an_error(mut diagnostic: Diagnostic) -> Diagnostic {
    if diagnostic.code == UNDEFINED_REFERENCE {
        diagnostic.severity = Severity::Error;
    }
    diagnostic
}

/// Plans every object of a directory against the engine, and changes nothing: neither there nor in the data directory. `rolled_back` are
/// those of a controller that runs of which it has something else in force.
///
/// # Errors
/// When the directory cannot be read or the engine does not answer.
pub async fn plan_directory(
    config: &Config,
    directory: &Path,
    rolled_back: &[ObjectRecord],
) -> Result<PlanReport, CliError> {
    let reading = Directory::new(directory.to_owned()).read().await;
    if let Some(problem) = reading.problem {
        return Err(CliError::usage(problem, "name a directory that can be read"));
    }
    let merged = DesiredState::default().merge(&Loader::new(), &reading, |_| Vec::new());
    let failed = |error: crate::engine::EngineError| cannot_plan(AppError::Engine(error));
    let engine = connect(&config.engine).map_err(failed)?;
    let info = engine.info().await.map_err(failed)?;
    let identity =
        identity::read(&config.data_dir, &config.instance).map_err(|error| cannot_plan(AppError::Identity(error)))?;
    let store = Store::in_memory().map_err(|error| cannot_plan(AppError::Store(error)))?;
    let board = Arc::new(crate::board::Board::default());
    let clock = Clock::of_the_host();
    let core = Core::new(World::new(identity), engine, store, board, Metrics::default(), clock, 0);
    let mut report = PlanReport { is_simulated: info.is_simulated, ..PlanReport::default() };
    for object in merged.wanted.values() {
        let Some((in_force, why)) = in_force(object, rolled_back) else {
            core.world().set_desired(object);
            continue;
        };
        core.world().set_desired(&in_force);
        report.rolled_back.push((object.key(), why));
    }
    let core = Arc::new(core);
    Reflector::new(Arc::clone(&core), config.resync).relist().await.map_err(failed)?;
    let mut world = core.world();
    for orphan in world.orphans() {
        // What prune would do in the end, whatever holds it back for now.
        world.set_removal(&orphan, Removal::Approved { delete_volumes: false });
    }
    // Nobody probes for the sake of a plan, nor lets go of a container. What runs is taken to answer, and to be let go of, so that what would be
    // changed is shown, and all of it.
    let ids: Vec<String> = world.containers().map(|container| container.id.to_string()).collect();
    for id in ids {
        world.set_probe(&id, ProbeOutcome::Ready, clock.now_ms());
        world.set_let_go(&id, clock.now_ms());
    }
    let ready = world.all_keys();
    for key in &ready {
        let is_ready = planner::plan(&world, key, clock.now_ms()).is_settled();
        world.set_ready(key, is_ready);
    }
    let plans = world.all_keys().into_iter().map(|key| {
        let plan = planner::plan(&world, &key, clock.now_ms());
        (key, plan)
    });
    report.plans = plans.collect();
    report.diagnostics = merged.diagnostics;
    Ok(report)
}

/// What is in force of an object in place of its manifest, where that was rolled back, and why.
fn in_force(object: &AnyObject, rolled_back: &[ObjectRecord]) -> Option<(AnyObject, String)> {
    let key = object.key();
    let record = rolled_back.iter().find(|record| record.key == key)?;
    let rolled_back = record.rolled_back.as_ref()?;
    if record.manifest.get("spec") != object.to_json().get("spec") {
        // Another spec is tried.
        return None;
    }
    let in_force = object_from_json(&rolled_back.manifest, &object.source.file)?;
    Some((AnyObject { spec: in_force.spec, ..object.clone() }, rolled_back.message.clone()))
}

fn cannot_plan(error: AppError) -> CliError {
    let hint = error.hint().unwrap_or_default();
    CliError::Failed { context: "cannot plan".into(), source: Box::new(error), hint }
}

/// The manual of a kind, or of a field of it such as `deployment.ports.publish`.
///
/// # Errors
/// When there is no such kind or field.
pub fn explain(subject: &str) -> Result<String, CliError> {
    crds_schema::explain::explain(subject).map_err(|fault| CliError::usage(fault.message, fault.hints.join("; ")))
}

/// The JSON Schema of a kind's manifest, or of every kind's.
///
/// # Errors
/// Never today.
pub fn schema(kind: Option<Kind>) -> Result<Value, CliError> {
    Ok(kind.map_or_else(crds_schema::schema::combined_schema, crds_schema::schema::manifest_schema))
}
