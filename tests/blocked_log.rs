//! A controller whose log nobody reads.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::engine::{eventually, free_port, program_path};
use super::support::http;

#[test]
fn a_controller_whose_log_nobody_reads_goes_on_and_ends_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let manifests = directory.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let mut child = Command::new(program_path())
        .args(["run", "--engine", "simulated", "--log-level", "trace", "--manifests"])
        .arg(&manifests)
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .args(["--listen", &address.to_string()])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // A pipe holds 64 KiB, and this one is never read.
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let volume = |name: &str| format!("apiVersion: evenkeel.dev/v1\nkind: Volume\nmetadata: {{ name: {name} }}\n");
    // Each says a line of some hundred bytes when it is made.
    for file in ["a", "b", "c", "d"] {
        let many: Vec<String> = (0..200).map(|number| volume(&format!("{file}-{number}"))).collect();
        fs::write(manifests.join(file).with_extension("yaml"), many.join("---\n")).unwrap();
    }
    eventually("all of them are there", Duration::from_mins(4), || {
        let answer = http::get(address, "/api/v1/objects").ok()?;
        (answer.body.matches("\"Converged\"").count() == 800).then_some(())
    });

    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = eventually("it ends when it is told to", Duration::from_mins(1), || child.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
}
