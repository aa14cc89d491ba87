//! `evenkeel rollout`: how the rollout of an object goes, and another try of one that has failed.

use std::time::Duration;

use clap::{Args, Subcommand};
use crds_schema::ObjectKey;
use serde_json::Value;
use tokio::time::timeout;

use super::client::{Client, ClientError};
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::get::ObjectArgs;
use super::global::GlobalArgs;
use super::prune::find_token;
use crate::http::api::{ObjectLine, RolloutRetry};
use crate::status::ObjectRecord;

#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Wait until the rollout of an object is complete or has failed, and say which
    Status(StatusArgs),
    /// Try a spec again whose rollout has failed
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    object: ObjectArgs,
    /// How long to wait at most; 0 to say how it is now
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    object: ObjectArgs,
}

pub(super) async fn run(
    command: &RolloutCommand,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    match command {
        RolloutCommand::Status(args) => show_status(args, global, console).await,
        RolloutCommand::Retry(args) => retry(args, global, console).await,
    }
}

async fn retry(args: &RetryArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let object = args.object.key()?;
    let config = global.load_config(&[])?;
    let token = find_token(&config.data_dir)?;
    let body = serde_json::to_string(&RolloutRetry { object: object.clone() }).unwrap_or_default();
    let _answer: Value = Client::new(config.server).post("/api/v1/rollout-retries", &token, body).await?;
    console.data(&format!("{object}\n"))?;
    console.talk("its spec is tried again");
    Ok(ExitStatus::Success)
}

async fn show_status(args: &StatusArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let key = args.object.key()?;
    let client = Client::new(global.load_config(&[])?.server);
    let path = key.full_name();
    let mut record: ObjectRecord = client.get(&format!("/api/v1/objects/{path}")).await?;
    // Whoever wants no more than to know how it is does not wait.
    let waiting = timeout(Duration::from_secs(args.timeout), follow(&client, &key, &mut record, console));
    match waiting.await {
        Ok(outcome) => outcome?,
        Err(_late) if args.timeout > 0 => console.talk(&format!("not over within {} s", args.timeout)),
        Err(_late) => {}
    }
    let (text, status) = match judge(&record) {
        Progress::Complete => (format!("{key}: complete\n"), ExitStatus::Success),
        Progress::Failed(why) => (format!("{key}: failed: {why}\n"), ExitStatus::Differences),
        Progress::Open(why) => (format!("{key}: not complete: {why}\n"), ExitStatus::Differences),
    };
    console.data(&text)?;
    Ok(status)
}

/// Follows an object until its rollout is over, or it is gone, and tells what it waits for.
async fn follow(
    client: &Client,
    key: &ObjectKey,
    record: &mut ObjectRecord,
    console: &mut Console,
) -> Result<(), ClientError> {
    let query = format!("kind={}&namespace={}&name={}&watch=1", key.kind, key.namespace, key.name);
    let mut lines = client.watch(&format!("/api/v1/objects?{query}")).await?;
    let mut told = String::new();
    loop {
        let Progress::Open(why) = judge(record) else { return Ok(()) };
        if why != told {
            console.talk(&why);
            told = why;
        }
        match lines.next().await? {
            Some(ObjectLine::Put { object }) => *record = object,
            Some(ObjectLine::Synced) => {}
            Some(ObjectLine::Gone { .. }) | None => return Ok(()),
        }
    }
}

/// How a rollout goes.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Complete,
    Failed(String),
    /// With what is told of it.
    Open(String),
}

fn judge(record: &ObjectRecord) -> Progress {
    if !record.is_looked_at() {
        return Progress::Open("it has not been looked at yet".to_owned());
    }
    if let Some(why) = record.failed_rollout() {
        return Progress::Failed(why.to_owned());
    }
    if record.status.is_ready() {
        return Progress::Complete;
    }
    let ready = record.status.condition(crds_schema::ConditionType::Ready);
    Progress::Open(ready.map(|ready| format!("{}: {}", ready.reason, ready.message)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Progress, judge};
    use crate::cli::output::tests::record;
    use crate::status::RolledBack;

    #[test]
    fn a_rollout_is_judged_by_what_is_told_of_the_newest_spec() {
        let mut web = record("Deployment/web", "Converged", &[]);
        web.status.observed_generation = web.status.generation;
        assert_eq!(judge(&web), Progress::Complete);
        web.status.generation += 1;
        assert_eq!(judge(&web), Progress::Open("it has not been looked at yet".to_owned()));
        web.status.observed_generation = web.status.generation;
        let message = "the update was rolled back".to_owned();
        web.rolled_back = Some(RolledBack { manifest: serde_json::json!({}), message: message.clone(), since_ms: 0 });
        assert_eq!(judge(&web), Progress::Failed(message));
        let waiting = record("Deployment/web", "Waiting", &[]);
        let waiting = crate::status::ObjectRecord {
            status: crate::status::ObjectStatus { observed_generation: 1, ..waiting.status.clone() },
            ..waiting
        };
        assert!(matches!(judge(&waiting), Progress::Open(why) if why.starts_with("Waiting: ")));
    }
}
