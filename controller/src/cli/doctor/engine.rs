//! Whether the engine answers, what it is, what it cannot limit, and whether its clock is ours.

use serde::Deserialize;

use super::Check;
use crate::cli::client::{Client, ClientError};
use crate::cli::output::now_ms;
use crate::config::{Config, EngineAddress, ServerAddress};

/// The oldest API that has all that is called: the one of Docker 20.10.
const OLDEST_API: (u32, u32) = (1, 41);

/// A clock that is further off makes ages and timeouts wrong.
const MAX_SKEW_MS: i64 = 5_000;

/// Before any release of ours, a clock was not set.
const EARLIEST_MS: i64 = 1_735_689_600_000;

/// What `GET /version` tells.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineVersion {
    version: String,
    api_version: String,
}

/// What `GET /info` tells, as far as it matters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EngineFacts {
    memory_limit: bool,
    swap_limit: bool,
    pids_limit: bool,
    cpu_cfs_quota: bool,
    cgroup_version: String,
    cgroup_driver: String,
    system_time: String,
    warnings: Option<Vec<String>>,
}

/// The checks of the engine and of the clock.
pub(super) async fn check(config: &Config) -> Vec<Check> {
    let server = match &config.engine {
        EngineAddress::Simulated => return vec![Check::ok("engine", "simulated: nothing runs"), check_clock("")],
        EngineAddress::Unix(path) => ServerAddress::Unix(path.clone()),
        EngineAddress::Tcp(authority) => ServerAddress::Http(authority.clone()),
    };
    let client = Client::new(server);
    let version: EngineVersion = match client.get("/version").await {
        Ok(version) => version,
        Err(error) => return vec![unreachable_engine(config, &error), check_clock("")],
    };
    let mut checks = vec![check_version(&version)];
    match client.get::<EngineFacts>("/info").await {
        Ok(facts) => {
            checks.push(check_limits(&facts));
            checks.push(check_clock(&facts.system_time));
        }
        Err(error) => checks.push(Check::warn("limits", error.to_string(), "let `GET /info` through to the engine")),
    }
    checks
}

fn unreachable_engine(config: &Config, error: &ClientError) -> Check {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let remedy = if source.contains("ermission denied") {
        "run as root or as a member of the socket's group"
    } else {
        "start Docker (`systemctl start docker`), or name the engine with `--engine` or DOCKER_HOST"
    };
    let reason = if source.is_empty() { error.to_string() } else { source };
    Check::fail("engine", format!("{} does not answer: {reason}", config.engine), remedy)
}

fn check_version(version: &EngineVersion) -> Check {
    let found = format!("Docker {}, API {}", version.version, version.api_version);
    let api =
        version.api_version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match api {
        Some(api) if api >= OLDEST_API => Check::ok("engine", found),
        Some(_) => Check::fail("engine", found, "update Docker to 20.10 or later"),
        None => Check::fail("engine", format!("not a Docker engine: {found}"), "name the engine with `--engine`"),
    }
}

fn check_limits(facts: &EngineFacts) -> Check {
    let known = [
        (facts.memory_limit, "memory"),
        (facts.swap_limit, "swap"),
        (facts.pids_limit, "pids"),
        (facts.cpu_cfs_quota, "cpu"),
    ];
    let missing: Vec<&str> = known.into_iter().filter(|(is_there, _)| !is_there).map(|(_, name)| name).collect();
    let cgroup = format!("cgroup v{} ({})", facts.cgroup_version, facts.cgroup_driver);
    let warnings = facts.warnings.as_deref().unwrap_or_default();
    if !missing.is_empty() {
        let found = format!("{cgroup}; no limit is enforced on: {}", missing.join(", "));
        return Check::warn(
            "limits",
            found,
            "enable the cgroup controllers of these on the host, or leave these limits out",
        );
    }
    if let Some(warning) = warnings.first() {
        return Check::warn("limits", format!("{cgroup}; the engine warns: {warning}"), "see `docker info`");
    }
    Check::ok("limits", format!("{cgroup}; memory, swap, pids and cpu limits work"))
}

fn check_clock(engine_time: &str) -> Check {
    let now = now_ms();
    if now < EARLIEST_MS {
        return Check::fail("clock", "the host's clock was never set", "enable NTP (`timedatectl set-ntp true`)");
    }
    let Ok(engine_now) = engine_time.parse::<jiff::Timestamp>() else {
        return Check::ok("clock", "set");
    };
    let skew_ms = engine_now.as_millisecond().saturating_sub(now).saturating_abs();
    if skew_ms > MAX_SKEW_MS {
        let found = format!("the engine's clock and ours are {} s apart", skew_ms / 1_000);
        return Check::warn("clock", found, "enable NTP on both hosts");
    }
    Check::ok("clock", "set, and the same as the engine's")
}

#[cfg(test)]
mod tests {
    use super::{EngineFacts, EngineVersion, check_clock, check_limits, check_version};
    use crate::cli::doctor::Verdict;

    #[test]
    fn an_engine_is_judged_by_its_api() {
        let judge = |api: &str| check_version(&EngineVersion { version: "1".into(), api_version: api.into() }).verdict;
        assert_eq!(
            [judge("1.41"), judge("1.51"), judge("1.40"), judge("")],
            [Verdict::Ok, Verdict::Ok, Verdict::Fail, Verdict::Fail]
        );
    }

    #[test]
    fn limits_that_are_not_enforced_are_named() {
        let facts =
            EngineFacts { memory_limit: true, pids_limit: true, cgroup_version: "1".into(), ..EngineFacts::default() };
        assert!(check_limits(&facts).found.ends_with("no limit is enforced on: swap, cpu"));
    }

    #[test]
    fn a_clock_far_from_the_engines_is_told() {
        assert_eq!(check_clock("").verdict, Verdict::Ok);
        assert_eq!(check_clock("2025-01-01T00:00:00.000000001Z").verdict, Verdict::Warn);
    }
}
