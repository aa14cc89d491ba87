//! `evenkeel demo`: a small platform on this host, from this one binary: an image, a reconciled directory, and a controller that
//! stays.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;

use super::client::Client;
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::offline::run_controller;
use crate::app::{DEMO_IMAGE, connect};
use crate::config::{Config, EngineAddress, Setting};
use crate::engine::{Engine, EngineError};
use crate::lease::LEASE_IMAGE;
use crate::log_sink::LogDrain;
use crate::telemetry::start_logging;

/// The instance of the demo: nothing of any other is touched.
const INSTANCE: &str = "demo";
/// The path of the program inside the demo's image.
const PROGRAM_PATH: &str = "evenkeel";
/// The file that tells which process the demo left running.
const PID_FILE: &str = "demo.pid";
/// The file that this process's output goes to.
const LOG_FILE: &str = "demo.log";
/// The token of the demo's MCP gateway, in the data directory.
const TOKEN_FILE: &str = "mcp/default_hub.token";
/// A call of a tool, as an agent would make it.
const CALL: [&str; 5] = ["mcp", "call", "echo-modern__add", "a=1", "b=2"];
/// How long the controller that stays may take to answer.
const READY_TIME: Duration = Duration::from_secs(20);
/// The pause between two looks at it.
const LOOK_TIME: Duration = Duration::from_millis(100);
/// The grace of the demo's containers when it is removed, in seconds.
const GRACE_SECS: u32 = 5;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Directory of manifests
    #[arg(long, value_name = "DIR", default_value = "manifests/quickstart")]
    manifests: PathBuf,
    /// Remove every trace of the demo instead
    #[arg(long)]
    clean: bool,
    /// Where the controller that stays serves its API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: String,
}

pub(super) fn run(args: &DemoArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let data_dir = data_dir();
    let manifests = args.manifests.display().to_string();
    let config = global.load_config(&[
        (Setting::Manifests, Some(&manifests)),
        (Setting::DataDir, Some(&data_dir.display().to_string())),
        (Setting::Instance, Some(INSTANCE)),
        (Setting::Listen, Some(&args.listen)),
        (Setting::Once, Some("true")),
        (Setting::LogLevel, Some("warn")),
    ])?;
    let logging = start_logging(config.log_format, &config.log_level, console.use_color());
    let _last_lines = logging.map_err(|error| failed("log", error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    end_background(&data_dir);
    if args.clean {
        return runtime.block_on(clean(&config, console));
    }
    runtime.block_on(up(args, config, console))
}

/// Where the demo keeps its store: one a user, away from a real controller's.
fn data_dir() -> PathBuf {
    let owner = fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid());
    std::env::temp_dir().join(format!("evenkeel-demo-{owner}"))
}

async fn up(args: &DemoArgs, config: Config, console: &mut Console) -> Result<ExitStatus, CliError> {
    let engine = connect(&config.engine).map_err(|error| failed("reach the engine", error))?;
    let info = engine.info().await.map_err(|error| failed("reach the engine", error))?;
    if info.is_simulated {
        console.talk("demo: on the simulated engine, which this program brings along: no container is real");
    } else {
        console.talk(&format!("demo: engine {} (API {}) on {}", info.version, info.api_version, info.host_name));
    }
    console.talk(&format!("demo: packing this program into the image {DEMO_IMAGE}"));
    pack_image(&*engine, DEMO_IMAGE).await?;
    console.talk(&format!("demo: reconciling {}", args.manifests.display()));
    let (engine_address, data_dir) = (config.engine.to_string(), config.data_dir.clone());
    let status = run_controller(config, false, console).await?;
    if status != ExitStatus::Success {
        return Ok(status);
    }
    start_background(args, &engine_address, &data_dir)?;
    await_background(args, &data_dir).await?;
    let has_gateway = data_dir.join(TOKEN_FILE).exists();
    if has_gateway {
        call_a_tool(&data_dir, console).await?;
    }
    tell_what_next(args, has_gateway.then_some(&data_dir), console)?;
    Ok(ExitStatus::Success)
}

/// Makes the demo's image of this program, which is a static one, and nothing else. No registry is asked.
async fn pack_image(engine: &dyn Engine, image: &str) -> Result<(), CliError> {
    let program = std::env::current_exe().and_then(fs::read).map_err(|error| failed("read this program", error))?;
    let archive = tar_of_program(PROGRAM_PATH, &program);
    engine
        .import_image(image, archive, &[r#"ENTRYPOINT ["/evenkeel"]"#])
        .await
        .map_err(|error| failed("make the demo's image", error))
}

/// A tar archive (ustar, POSIX.1-1988) of one executable file.
fn tar_of_program(path: &str, content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut header = [0_u8; BLOCK];
    let mut put = |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, path.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    // The checksum is computed with its own field blank.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    archive
}

/// Starts the controller that stays: its own session, its output in a file.
fn start_background(args: &DemoArgs, engine: &str, data_dir: &Path) -> Result<(), CliError> {
    let program = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let log = fs::File::create(data_dir.join(LOG_FILE)).map_err(|error| failed("make the log", error))?;
    let errors = log.try_clone().map_err(|error| failed("make the log", error))?;
    let child = Command::new(program)
        .args(["--engine", engine, "--instance", INSTANCE, "--data-dir"])
        .arg(data_dir)
        .args(["run", "--listen", &args.listen, "--manifests"])
        .arg(&args.manifests)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Not in this terminal's group: its end, and Ctrl-C, do not end it.
        .process_group(0)
        .spawn()
        .map_err(|error| failed("start the controller", error))?;
    fs::write(data_dir.join(PID_FILE), child.id().to_string()).map_err(|error| failed("note the controller", error))
}

async fn await_background(args: &DemoArgs, data_dir: &Path) -> Result<(), CliError> {
    let server = format!("http://{}", args.listen);
    let server = server.parse().map_err(|error| failed("name the controller", error))?;
    let client = Client::new(server);
    let deadline = tokio::time::Instant::now() + READY_TIME;
    loop {
        match client.get::<serde_json::Value>("/api/v1/controller").await {
            Ok(_) => return Ok(()),
            Err(_) if tokio::time::Instant::now() < deadline => tokio::time::sleep(LOOK_TIME).await,
            Err(error) => {
                let log = fs::read_to_string(data_dir.join(LOG_FILE)).unwrap_or_default();
                let text = format!("{error}; its log: {}", log.trim());
                return Err(failed("reach the controller that stays", std::io::Error::other(text)));
            }
        }
    }
}

/// Shows that an agent's call comes through: to the gateway, into a container, and back.
async fn call_a_tool(data_dir: &Path, console: &mut Console) -> Result<(), CliError> {
    let program = std::env::current_exe().map_err(|error| failed("find this program", error))?;
    let deadline = tokio::time::Instant::now() + READY_TIME;
    loop {
        let mut command = Command::new(&program);
        command.arg("--data-dir").arg(data_dir).args(CALL).stdin(Stdio::null());
        let calling = tokio::task::spawn_blocking(move || command.output()).await;
        let output = calling.unwrap_or_else(|error| Err(error.into())).map_err(|error| failed("call a tool", error))?;
        if output.status.success() {
            let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            console.talk(&format!("demo: an agent's call, {}, is answered: {answer}", CALL[2..].join(" ")));
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failed("call a tool", std::io::Error::other(text)));
        }
        tokio::time::sleep(LOOK_TIME).await;
    }
}

/// `gateway` is the data directory where there is an MCP gateway.
fn tell_what_next(args: &DemoArgs, gateway: Option<&PathBuf>, console: &mut Console) -> Result<(), CliError> {
    let program = std::env::current_exe().map_or_else(|_| "evenkeel".into(), |path| path.display().to_string());
    let server =
        if args.listen == "127.0.0.1:7070" { String::new() } else { format!(" --server http://{}", args.listen) };
    console.data(&format!(
        "\nA controller keeps it so. Its status: http://{listen}/api/v1/objects\n\n\
         Try:\n  \
         docker rm -f $(docker ps -q --filter label=evenkeel.dev/name=web)   # and watch them come back:\n  \
         {program}{server} get -w\n  \
         {program}{server} events\n  \
         {program}{server} describe deployment web\n  \
         edit {manifests}/30-web.yaml                       # what changes is what it concerns\n  \
         make demo-clean                                    # removes every trace\n",
        listen = args.listen,
        manifests = args.manifests.display(),
    ))?;
    let Some(data_dir) = gateway else { return Ok(()) };
    console.data(&format!(
        "\nAgents go to http://127.0.0.1:3010/mcp with the token in {token}:\n  \
         export EVENKEEL_MCP_TOKEN_FILE={token}\n  \
         {program} mcp tools\n  \
         {program} {call}\n",
        token = data_dir.join(TOKEN_FILE).display(),
        call = CALL.join(" "),
    ))
}

/// Ends the controller that an earlier demo left running, if it is still that one.
fn end_background(data_dir: &Path) {
    let Ok(text) = fs::read_to_string(data_dir.join(PID_FILE)) else { return };
    let pid = text.trim().to_owned();
    let is_ours = |pid: &str| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("evenkeel") && line.contains(&*data_dir.to_string_lossy())
    };
    if pid.bytes().all(|byte| byte.is_ascii_digit()) && is_ours(&pid) {
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        if told.is_ok_and(|status| status.success()) {
            for _ in 0..100 {
                if !is_ours(&pid) {
                    break;
                }
                std::thread::sleep(LOOK_TIME);
            }
        }
    }
    drop(fs::remove_file(data_dir.join(PID_FILE)));
}

/// Removes what the demo made: containers, networks, volumes, images and the data directory.
async fn clean(config: &Config, console: &mut Console) -> Result<ExitStatus, CliError> {
    if config.engine != EngineAddress::Simulated {
        let engine = connect(&config.engine).map_err(|error| failed("reach the engine", error))?;
        remove_everything(&*engine).await.map_err(|error| failed("remove the demo", error))?;
    }
    if config.data_dir.exists() {
        fs::remove_dir_all(&config.data_dir).map_err(|error| failed("remove the demo's data", error))?;
    }
    console.talk("demo: nothing of it is left");
    Ok(ExitStatus::Success)
}

async fn remove_everything(engine: &dyn Engine) -> Result<(), EngineError> {
    let is_ours = |labels: &std::collections::BTreeMap<String, String>| {
        labels.get(planner::ownership::LABEL_INSTANCE).is_some_and(|instance| instance == INSTANCE)
    };
    for container in engine.list_containers(INSTANCE).await? {
        engine.stop_container(&container.id, GRACE_SECS).await?;
        engine.remove_container(&container.id).await?;
    }
    if let Some(lease) = engine.inspect_container(&format!("evenkeel-lease-{INSTANCE}")).await? {
        engine.remove_container(&lease.id).await?;
    }
    for network in engine.list_networks().await?.into_iter().filter(|network| is_ours(&network.labels)) {
        engine.remove_network(&network.id).await?;
    }
    for volume in engine.list_volumes().await?.into_iter().filter(|volume| is_ours(&volume.labels)) {
        engine.remove_volume(&volume.name).await?;
    }
    engine.remove_image(DEMO_IMAGE).await?;
    // Other controllers' leases may be made from it.
    match engine.remove_image(LEASE_IMAGE).await {
        Err(error) if error.status != Some(409) => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CliError {
    CliError::Failed { context: format!("cannot {what}"), source: source.into(), hint: String::new() }
}

/// Arguments of the demo's web server.
#[derive(Debug, Args)]
pub(super) struct WebArgs {
    /// Where it listens
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: std::net::SocketAddr,
}

/// Arguments of the demo's worker.
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// What it fetches
    #[arg(long)]
    url: String,
    /// How often
    #[arg(long, default_value = "2s")]
    every: crds_schema::units::HumanDuration,
    /// Where it writes
    #[arg(long)]
    data: PathBuf,
}

pub(super) async fn run_web(args: &WebArgs) -> Result<ExitStatus, CliError> {
    let _last_lines = start_program_log()?;
    super::demo_programs::run_web(args.listen).await.map_err(|error| failed("serve", error))?;
    Ok(ExitStatus::Success)
}

pub(super) async fn run_worker(args: &WorkerArgs) -> Result<ExitStatus, CliError> {
    let _last_lines = start_program_log()?;
    let work = super::demo_programs::run_worker(&args.url, args.every.0, &args.data);
    work.await.map_err(|error| failed("work", error))?;
    Ok(ExitStatus::Success)
}

fn start_program_log() -> Result<LogDrain, CliError> {
    let format = crate::config::LogFormat::Text;
    start_logging(format, &crate::telemetry::LogFilter::info(), false).map_err(|error| failed("log", error))
}

#[cfg(test)]
mod tests {
    use super::tar_of_program;

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let archive = tar_of_program("evenkeel", b"#!/bin/true\n");
        assert_eq!(archive.len() % 512, 0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        std::fs::write(&path, archive).unwrap();
        let listed = std::process::Command::new("tar").arg("-tvf").arg(&path).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.starts_with("-rwxr-xr-x 0/0") && listed.trim_end().ends_with("evenkeel"), "{listed}");
    }
}
