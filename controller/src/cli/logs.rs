//! `evenkeel logs`: what the containers of an object write.
//!
//! The controller says which containers those are, and the Engine what they wrote: no log goes through the controller, whose API anybody
//! on this host may read.

use clap::Args;
use crds_schema::ObjectKey;
use crds_schema::units::HumanDuration;
use futures_util::stream::{BoxStream, StreamExt as _, select_all};

use super::client::Client;
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::get::{ObjectArgs, say_simulated};
use super::global::GlobalArgs;
use super::output::now_ms;
use crate::engine::docker::{DockerEngine, LogRequest};
use crate::engine::{Engine as _, EngineError};
use crate::http::api::{ControllerView, EngineName};
use crate::status::ObjectRecord;

/// What the subject of a container begins with.
const CONTAINER: &str = "container/";

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    #[command(flatten)]
    object: ObjectArgs,
    #[command(flatten)]
    part: LogPart,
}

/// Which part of a log.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct LogPart {
    /// Go on with what they write, until they end
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines of each container
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// Only what was written for so long, such as `10m`
    #[arg(long, value_name = "DURATION")]
    since: Option<HumanDuration>,
}

pub(super) async fn run(args: &LogsArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let key = args.object.key()?;
    show(&key, args.part, global, console).await
}

/// Prints what the containers of an object write; of those that speak over their standard output only what they write to standard error.
pub(super) async fn show(
    key: &ObjectKey,
    part: LogPart,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let config = global.load_config(&[])?;
    let client = Client::new(config.server);
    let object: ObjectRecord = client.get(&format!("/api/v1/objects/{}", key.full_name())).await?;
    let view: ControllerView = client.get("/api/v1/controller").await?;
    if view.engine == EngineName::Simulated {
        // Nothing runs, so that nothing is written.
        say_simulated(view.engine, console);
        return Ok(ExitStatus::Success);
    }
    let failed = |error: EngineError| CliError::Failed {
        context: format!("cannot read the logs of {key}"),
        source: Box::new(error),
        hint: "`--engine` or DOCKER_HOST names the engine that the controller keeps".into(),
    };
    let engine = DockerEngine::connect(&config.engine.to_string()).map_err(failed)?;
    let mut logs = Vec::new();
    for primitive in &object.status.primitives {
        let Some(name) = primitive.subject.strip_prefix(CONTAINER) else { continue };
        // One that has gone meanwhile has taken its log with it.
        let Some(container) = engine.inspect_container(&primitive.id).await.map_err(failed)? else { continue };
        let request = part.request(!container.config.open_stdin);
        logs.push((name.to_owned(), engine.read_logs(&primitive.id, request).await.map_err(failed)?));
    }
    if logs.is_empty() {
        let hint = format!("`evenkeel describe {}/{} -n {}` says why", key.kind, key.name, key.namespace);
        return Err(CliError::usage(format!("{key} has no container"), hint));
    }
    let mut lines = merge(logs, part.follow);
    while let Some(line) = lines.next().await {
        console.data(&format!("{}\n", line.map_err(failed)?))?;
    }
    Ok(ExitStatus::Success)
}

/// The lines of all logs, each with the name of its container where there are several: as they come, or one log after the other.
fn merge(
    logs: Vec<(String, BoxStream<'static, Result<String, EngineError>>)>,
    is_following: bool,
) -> BoxStream<'static, Result<String, EngineError>> {
    let is_one = logs.len() == 1;
    let logs = logs.into_iter().map(|(name, lines)| {
        let prefix = if is_one { String::new() } else { format!("[{name}] ") };
        lines.map(move |line| line.map(|line| format!("{prefix}{line}"))).boxed()
    });
    let logs: Vec<_> = logs.collect();
    if is_following { select_all(logs).boxed() } else { futures_util::stream::iter(logs).flatten().boxed() }
}

impl LogPart {
    fn request(self, has_stdout: bool) -> LogRequest {
        let since = self.since.map(|since| now_ms() / 1_000 - i64::try_from(since.0.as_secs()).unwrap_or(i64::MAX));
        LogRequest {
            has_stdout,
            tail: self.tail,
            since_secs: since.map(|secs| i32::try_from(secs.max(0)).unwrap_or(i32::MAX)),
            is_following: self.follow,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

    use super::merge;
    use crate::engine::EngineError;

    async fn merged(logs: &[(&str, &[&str])], is_following: bool) -> Vec<String> {
        let logs = logs.iter().map(|(name, lines)| {
            let lines: Vec<Result<String, EngineError>> = lines.iter().map(|line| Ok((*line).to_owned())).collect();
            ((*name).to_owned(), stream::iter(lines).boxed())
        });
        merge(logs.collect(), is_following).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn of_several_containers_each_line_says_whose_it_is() {
        let logs: [(&str, &[&str]); 2] = [("web-0", &["a", "b"]), ("web-1", &["c"])];
        assert_eq!(merged(&logs[..1], false).await, ["a", "b"]);
        let all = ["[web-0] a", "[web-0] b", "[web-1] c"];
        assert_eq!(merged(&logs, false).await, all);
        let mut followed = merged(&logs, true).await;
        followed.sort();
        assert_eq!(followed, all);
    }
}
