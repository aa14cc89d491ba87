//! `evenkeel plan`: what would change and why. It changes nothing.

use std::path::PathBuf;

use clap::Args;
use crds_schema::{ObjectKey, Severity};
use planner::Plan;
use planner::plan::{FieldChange, Outcome};
use serde_json::{Value, json};

use super::client::{Client, ClientError};
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::offline::{PlanReport, plan_directory};
use super::output::to_json_text;
use super::validate::FaultFormat;
use super::{diagnostics, sanitise};
use crate::config::{Config, Setting};
use crate::http::api::List;
use crate::status::ObjectRecord;

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Directory of manifests
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = FaultFormat::Text)]
    output: FaultFormat,
}

pub(super) async fn run(args: &PlanArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let directory = args.directory.display().to_string();
    let config = global.load_config(&[(Setting::Manifests, Some(&directory))])?;
    let rolled_back = ask_rolled_back(&config).await;
    let report = plan_directory(&config, &args.directory, rolled_back.as_deref().unwrap_or_default()).await?;
    if report.is_simulated {
        console.talk("simulated engine");
    }
    for fault in &report.diagnostics {
        let text = diagnostics::render(fault, console.use_color());
        console.raw_complaint(&text);
    }
    if let Err(error) = &rolled_back {
        console.talk(&format!("{error}: a spec that it may have rolled back is planned as if it were new"));
    }
    for (key, why) in &report.rolled_back {
        console.talk(&format!("{key}: {why}"));
    }
    match args.output {
        FaultFormat::Text => console.data(&to_text(&report))?,
        FaultFormat::Json => console.raw_data(&sanitise::sanitise_json(&to_json_text(&to_json(&report))))?,
    }
    if report.plans.iter().all(|(_, plan)| plan.steps.is_empty()) {
        console.talk("nothing to change");
    }
    Ok(exit_status(&report))
}

/// The objects of which a controller has something else in force than their manifests say. Where nobody answers there is a plan all the
/// same: it needs no controller.
async fn ask_rolled_back(config: &Config) -> Result<Vec<ObjectRecord>, ClientError> {
    let objects: List<ObjectRecord> = Client::new(config.server.clone()).get("/api/v1/objects").await?;
    Ok(objects.items.into_iter().filter(|record| record.rolled_back.is_some()).collect())
}

fn exit_status(report: &PlanReport) -> ExitStatus {
    if report.diagnostics.iter().any(|fault| fault.severity == Severity::Error) {
        return ExitStatus::Failure;
    }
    let has_changes = !report.rolled_back.is_empty() || report.plans.iter().any(|(_, plan)| !plan.steps.is_empty());
    if has_changes { ExitStatus::Differences } else { ExitStatus::Success }
}

/// The text of every plan that is not settled, under its object's name.
fn to_text(report: &PlanReport) -> String {
    let to_block = |(key, plan): &(ObjectKey, Plan)| (!plan.is_settled()).then(|| format!("{key}\n{plan}"));
    report.plans.iter().filter_map(to_block).collect::<Vec<_>>().join("\n")
}

fn to_json(report: &PlanReport) -> Value {
    let plans: Vec<Value> = report.plans.iter().map(|(key, plan)| plan_to_json(key, plan)).collect();
    let rolled_back: Vec<Value> =
        report.rolled_back.iter().map(|(key, why)| json!({ "object": key.to_string(), "message": why })).collect();
    let (diagnostics, is_simulated) = (&report.diagnostics, report.is_simulated);
    json!({ "plans": plans, "rolledBack": rolled_back, "diagnostics": diagnostics, "simulated": is_simulated })
}

fn plan_to_json(key: &ObjectKey, plan: &Plan) -> Value {
    let field = |change: &FieldChange| json!({ "field": change.field, "old": change.old, "new": change.new });
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|step| {
            json!({
                "id": step.id,
                "after": step.after,
                "subject": step.action.subject(),
                "action": step.action.verb(),
                "cause": step.cause.to_string(),
            })
        })
        .collect();
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| json!({ "subject": change.subject, "outcome": outcome_word(&change.outcome), "fields": change.fields.iter().map(field).collect::<Vec<_>>() }))
        .collect();
    let waiting: Vec<String> = plan.waiting.iter().map(ToString::to_string).collect();
    json!({ "object": key.to_string(), "steps": steps, "changes": changes, "waiting": waiting, "wakeMs": plan.wake_ms })
}

const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::LiveUpdate => "liveUpdate",
        Outcome::ReplaceStartFirst => "replaceStartFirst",
        Outcome::ReplaceStopFirst(_) => "replaceStopFirst",
        Outcome::Refused => "refused",
    }
}
