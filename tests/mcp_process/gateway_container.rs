//! `evenkeel gateway` in a container that has nothing but the way to the controller.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::gateway_process::GatewayProcess;
use crate::support::engine::{TestBed, program_path, run_to_end, text_of};

/// The container of the gateway `hub`, which is removed with its image when this is dropped.
pub(super) struct GatewayContainer<'bed> {
    bed: &'bed TestBed,
    name: String,
}

impl<'bed> GatewayContainer<'bed> {
    /// Starts it as docs/mcp.md says, and takes all rights from it.
    pub(super) fn start(bed: &'bed TestBed) -> Self {
        let container = Self { bed, name: format!("{}-gateway", bed.instance()) };
        let image = container.image();
        import_program(bed, &image);
        let directory = GatewayProcess::directory(bed);
        let owner = fs::metadata(&directory).unwrap();
        let (user, volume) = (format!("{}:{}", owner.uid(), owner.gid()), format!("{}:/hub", directory.display()));
        let hardened = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
        let given = ["--network", "host", "--user", &user, "--volume", &volume];
        let run = ["run", "--detach", "--name", &container.name];
        let command = [image.as_str(), "gateway", "--socket", "/hub/gateway.sock"];
        bed.docker(&[&run[..], &hardened, &given, &command].concat());
        container
    }

    fn image(&self) -> String {
        format!("evenkeel.test/{}:1", self.name)
    }

    /// What the Engine says of it.
    pub(super) fn inspect(&self) -> Value {
        self.bed.inspect("container", &self.name)
    }

    /// Ends it with SIGTERM, and returns the code that it exited with.
    pub(super) fn stop(&self) -> Value {
        self.bed.docker(&["stop", &self.name]);
        self.inspect()["State"]["ExitCode"].clone()
    }
}

impl Drop for GatewayContainer<'_> {
    fn drop(&mut self) {
        let engine = self.bed.engine();
        if std::thread::panicking() {
            let log = text_of(&engine.docker(&["logs", &self.name]));
            drop(std::io::Write::write_all(&mut std::io::stderr(), format!("--- gateway\n{log}\n").as_bytes()));
        }
        // It may never have been there.
        drop(engine.docker(&["rm", "--force", &self.name]));
        drop(engine.docker(&["image", "rm", &self.image()]));
    }
}

/// An image that holds the program and the libraries that this build of it is linked with, of which a release has none.
fn import_program(bed: &TestBed, image: &str) {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    let program = program_path();
    // Most of a program that is to be debugged is of no use here.
    run_to_end(Command::new("strip").arg("-o").arg(root.join("evenkeel")).arg(&program));
    let linked = Command::new("ldd").arg(&program).output().unwrap();
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(library, place).unwrap();
    }
    let archive = directory.path().join("image.tar");
    run_to_end(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."));
    bed.docker(&["import", "--change", "ENTRYPOINT [\"/evenkeel\"]", &archive.display().to_string(), image]);
}
