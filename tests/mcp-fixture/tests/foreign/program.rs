//! The programs that the tests run, none of which outlives them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The fixture.
pub(crate) const FIXTURE: &str = env!("CARGO_BIN_EXE_mcp-fixture");

/// How a script ends where what it installs cannot be had.
pub(crate) const CANNOT_BE_HAD: i32 = 3;

/// The folder of all of this repository.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The bare hub. Cargo is asked for it each time: nothing else knows whether the one that is there is of this source.
pub(crate) fn hub() -> &'static Path {
    static HUB: OnceLock<PathBuf> = OnceLock::new();
    HUB.get_or_init(|| {
        let folder = Path::new(FIXTURE).parent().unwrap();
        let profile = folder.file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let mut cargo = Command::new(env!("CARGO"));
        // Of the workspace, not of the one package, and with a test: with other features than `cargo test` had, all would be built again.
        cargo.current_dir(workspace()).args(["build", "--workspace", "--locked", "--profile", profile]);
        let built = cargo.args(["--bin", "bare-hub", "--test", "foreign"]).output().unwrap();
        assert!(built.status.success(), "cannot build the bare hub: {}", text_of(&built));
        folder.join("bare-hub")
    })
}

/// The command line, if it has been built: by `cargo test --workspace` it has.
pub(crate) fn evenkeel() -> Option<PathBuf> {
    let program = Path::new(FIXTURE).with_file_name("evenkeel");
    program.exists().then_some(program)
}

/// A program in the folder of all, which gets the signal as soon as this test is gone.
pub(crate) fn tied(signal: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(workspace().join("scripts/tied.sh"));
    command.arg(signal).arg(program).current_dir(workspace()).stdin(Stdio::null());
    command
}

/// Runs a script that installs something. Says so and returns `false` where it cannot be had.
pub(crate) fn is_installed(test_name: &str, script: &str, arguments: &[&str]) -> bool {
    static TRIED: Mutex<BTreeMap<String, Result<(), String>>> = Mutex::new(BTreeMap::new());
    // Held while installing: what could not be had is not tried again by each test.
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = tried.entry(format!("{script} {arguments:?}")).or_insert_with(|| install(script, arguments));
    if let Err(why) = outcome {
        skip(test_name, why);
    }
    outcome.is_ok()
}

/// Installs; what it says last is why it cannot be had.
fn install(script: &str, arguments: &[&str]) -> Result<(), String> {
    let run = tied("TERM", script).args(arguments).output().unwrap();
    if run.status.code() == Some(CANNOT_BE_HAD) {
        return Err(text_of(&run).lines().last().unwrap_or(script).to_owned());
    }
    assert!(run.status.success(), "{script}: {}", text_of(&run));
    Ok(())
}

/// Says that a test was not run, on the stream itself: the test harness swallows what a passing test prints by macro.
pub(crate) fn skip(test_name: &str, why: &str) {
    let mut stream = std::io::stderr();
    writeln!(stream, "\nSKIPPED: {test_name}: {why}").unwrap();
}

/// Both streams of a finished command, for a message.
pub(crate) fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
