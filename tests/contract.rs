//! The contract of the Engine: the same sequences on the simulated one, on a real one, and in the committed transcripts.
//!
//! `EVENKEEL_TEST_ENGINE` names the real Engine, by default the one of the host; without one the comparison is skipped, and with
//! `CI=true` that is a failure. Engines newer than 20.10 are compared by kind and state alone, see `compare_newer`; what is known
//! to differ is printed. `UPDATE_EXPECT=1` writes the transcripts anew, from the simulated Engine.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use controller::engine::contract::{
    ArchiveFile, Outside, OutsideAction, SEQUENCE_FILES, Sequence, SimulatedOutside, Stage, archive_of, compare_newer,
    contract_images, differences, is_newer, parse_sequences, run_sequence,
};
use controller::engine::docker::DockerEngine;
use controller::engine::simulated::SimulatedEngine;
use controller::engine::{Engine, EngineError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::engine::engine_or_skip;

/// How often it is looked, each 20 ms, whether a program hears signals: what was paused before it did never will.
const READY_LOOKS: usize = 250;
/// How many sequences run on the real Engine at once.
const AT_ONCE: usize = 6;

#[test]
fn there_are_at_least_sixty_sequences_and_no_two_of_one_name() {
    let sequences = all_sequences();
    let mut names: Vec<&str> = sequences.iter().map(|(_, sequence)| sequence.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sequences.len());
    assert!(names.len() >= 60, "{}", names.len());
}

#[test]
fn the_simulated_engine_keeps_to_its_transcripts() {
    let transcripts = simulated_transcripts();
    for (file, _) in SEQUENCE_FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/contract/{file}.txt"));
        let of_file = transcripts.iter().filter(|(of, _)| of == file).map(|(_, transcript)| transcript.as_str());
        expect_test::expect_file![path].assert_eq(&of_file.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn the_simulated_and_the_real_engine_answer_alike() {
    let Some(address) = engine_or_skip("the contract on a real engine") else { return };
    let address = address.as_str();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engine = Arc::new(DockerEngine::connect(address).unwrap());
    let version = runtime.block_on(engine.info()).unwrap().api_version;
    let simulated: Vec<String> = simulated_transcripts().into_iter().map(|(_, transcript)| transcript).collect();
    let real = runtime.block_on(real_transcripts(engine, address, &simulated)).unwrap();
    let mut report = Vec::new();
    for (simulated, real) in simulated.iter().zip(&real) {
        let name = simulated.lines().next().unwrap_or_default();
        if is_newer(&version) {
            let compared = compare_newer(simulated, real);
            for line in compared.known {
                // To the stream itself: the harness swallows what a passing test prints.
                writeln!(std::io::stderr(), "known difference of API {version}: {line}").unwrap();
            }
            report.extend(compared.unexplained.iter().map(|line| format!("{name}\n{line}\n")));
        } else {
            report.extend(differences(simulated, real).map(|lines| format!("{name}\n{lines}\n")));
        }
    }
    for difference in &report {
        // At once: the harness tells why a test failed at the end of all, where a long log is cut.
        writeln!(std::io::stderr(), "the engines differ: {difference}").unwrap();
    }
    assert!(report.is_empty(), "the engines differ:\n{}", report.join("\n"));
}

/// All sequences in the order of the files, each with its file.
fn all_sequences() -> Vec<(&'static str, Sequence)> {
    let parse = |(file, text): &(&'static str, &str)| {
        let sequences = parse_sequences(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        sequences.into_iter().map(|sequence| (*file, sequence)).collect::<Vec<_>>()
    };
    SEQUENCE_FILES.iter().flat_map(parse).collect()
}

/// Every sequence on a simulated Engine of its own, with the clock that jumps to whatever is next.
fn simulated_transcripts() -> Vec<(&'static str, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut transcripts = Vec::new();
        for (index, (file, sequence)) in all_sequences().into_iter().enumerate() {
            let engine = SimulatedEngine::default();
            for image in contract_images() {
                image.make_simulated(&engine).await.unwrap();
            }
            engine.host_path_missing("/evenkeel/not/there");
            let outside = SimulatedOutside(engine.clone());
            let settle = Duration::from_millis(1);
            let stage = Stage { engine: &engine, outside: &outside, prefix: "contract", settle };
            transcripts.push((file, run_sequence(stage, &sequence, index, None).await.unwrap()));
        }
        transcripts
    })
}

/// Every sequence on the real Engine, some at once.
async fn real_transcripts(
    engine: Arc<DockerEngine>,
    address: &str,
    simulated: &[String],
) -> Result<Vec<String>, EngineError> {
    let root = busybox_root();
    for image in contract_images() {
        image.make(&*engine, root.clone()).await?;
    }
    let outside = Arc::new(DockerCli { address: address.to_owned() });
    let prefix: Arc<str> = format!("contract{}", std::process::id()).into();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for (index, ((_, sequence), expected)) in all_sequences().into_iter().zip(simulated.to_vec()).enumerate() {
        let (engine, outside, turns) = (Arc::clone(&engine), Arc::clone(&outside), Arc::clone(&turns));
        let prefix = Arc::clone(&prefix);
        runs.spawn(async move {
            let _turn = turns.acquire().await;
            let settle = Duration::from_millis(150);
            let stage = Stage { engine: &*engine, outside: &*outside, prefix: &prefix, settle };
            (index, run_sequence(stage, &sequence, index, Some(&expected)).await)
        });
    }
    let mut transcripts = runs.join_all().await;
    transcripts.sort_by_key(|(index, _)| *index);
    for image in contract_images() {
        outside.run(&["rmi", "-f", &image.reference()]).ok();
    }
    transcripts.into_iter().map(|(_, transcript)| transcript).collect()
}

/// The busybox of the host as a root file system.
fn busybox_root() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("the contract needs a static /bin/busybox");
    let mut files = vec![ArchiveFile::Directory("bin/"), ArchiveFile::Program("bin/busybox", &busybox)];
    let links = ["bin/sh", "bin/sleep", "bin/true", "bin/false"];
    files.extend(links.map(|link| ArchiveFile::Link(link, "busybox")));
    archive_of(&files)
}

/// Whether the container's program would hear its stop signal by now: all of ours that hear one set a trap, and have it in their
/// command. A paused one is as it was.
fn hears_signals(container_id: &str) -> bool {
    let Some(process) = first_process_of(container_id) else { return true };
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let (status, command) = (read("status"), read("cmdline"));
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap_or(0);
    // SIGTERM is number 15, and bit 14.
    caught & (1 << 14) != 0 || !command.contains("trap")
}

/// The process of a container that is number 1 in it, as this test sees it: the number that the Engine tells is that of its own
/// process namespace.
fn first_process_of(container_id: &str) -> Option<String> {
    let read = |process: &Path, file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
    let is_first = |process: &Path| {
        let status = read(process, "status");
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_whitespace().last() == Some("1") && read(process, "cgroup").contains(container_id)
    };
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let first = processes.into_iter().find(|process| is_first(process))?;
    first.file_name().map(|number| number.to_string_lossy().into_owned())
}

/// Somebody else on a real Engine: its command line.
struct DockerCli {
    address: String,
}

impl DockerCli {
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker").arg("-H").arg(&self.address).args(arguments).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains("Error")).unwrap_or_default();
        Err(line.trim_start_matches("Error response from daemon: ").to_owned())
    }
}

#[async_trait]
impl Outside for DockerCli {
    async fn act(&self, action: OutsideAction, container_id: &str) -> Result<(), String> {
        let acted = match action {
            OutsideAction::Crash => {
                let process = first_process_of(container_id).ok_or("the container has no process")?;
                let killed = Command::new("kill").args(["-9", &process]).output();
                killed.map(|_| String::new()).map_err(|error| error.to_string())
            }
            OutsideAction::Kill => self.run(&["kill", container_id]),
            OutsideAction::Pause => self.run(&["pause", container_id]),
            OutsideAction::ForceRemove => self.run(&["rm", "-f", "-v", container_id]),
            OutsideAction::Stop => self.run(&["stop", container_id]),
            OutsideAction::Start => self.run(&["start", container_id]),
        };
        acted.map(drop)
    }

    async fn ready(&self, container_id: &str) {
        for _ in 0..READY_LOOKS {
            if hears_signals(container_id) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
