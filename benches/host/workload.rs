//! What is run: containers that sleep, on one network, as manifests and as a Compose file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::engine::{BUSYBOX, TestBed};

/// Containers of a Deployment.
pub(crate) const REPLICAS: usize = 3;

/// Writes one network and as many Deployments as it takes for so many containers, a file each.
pub(crate) fn write_manifests(bed: &TestBed, containers: usize, state: &str) {
    bed.write("network.yaml", &network());
    for index in 0..containers / REPLICAS {
        bed.write(&format!("app-{index:04}.yaml"), &deployment(index, state));
    }
}

/// The network.
pub(crate) fn network() -> String {
    "apiVersion: evenkeel.dev/v1\nkind: Network\nmetadata:\n  name: bench\n  namespace: $ns\nspec: {}\n".to_owned()
}

/// One Deployment; `state` is `Running` or `Stopped`.
pub(crate) fn deployment(index: usize, state: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata:\n  name: app-{index:04}\n  namespace: $ns\n\
         spec:\n  replicas: {REPLICAS}\n  image: $image\n  pullPolicy: Never\n  state: {state}\n  \
         command: [\"/bin/sleep\", \"86400\"]\n  env:\n    GREETING: hello\n  networks:\n    bench: {{}}\n  stop:\n    grace: 1s\n"
    )
}

/// The same for Compose.
pub(crate) fn write_compose_file(directory: &Path, containers: usize) -> PathBuf {
    let mut text = "services:\n".to_owned();
    for index in 0..containers / REPLICAS {
        writeln!(
            text,
            "  app-{index:04}:\n    image: {BUSYBOX}\n    pull_policy: never\n    entrypoint: [\"/bin/sleep\", \"86400\"]\n    \
             environment:\n      GREETING: hello\n    networks: [bench]\n    stop_grace_period: 1s\n    \
             restart: unless-stopped\n    deploy:\n      replicas: {REPLICAS}"
        )
        .unwrap();
    }
    text.push_str("networks:\n  bench: {}\n");
    let path = directory.join("compose.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// Compose, where there is one: `EVENKEEL_BENCH_COMPOSE`, `docker-compose`, or the client's plugin.
pub(crate) fn find_compose() -> Option<(Vec<String>, String)> {
    let named = std::env::var("EVENKEEL_BENCH_COMPOSE").ok().filter(|path| !path.is_empty()).map(|path| vec![path]);
    let candidates =
        [named, Some(vec!["docker-compose".to_owned()]), Some(vec!["docker".to_owned(), "compose".to_owned()])];
    candidates.into_iter().flatten().find_map(|command| {
        let mut run = Command::new(&command[0]);
        run.args(&command[1..]).args(["version", "--short"]).stdin(Stdio::null()).stderr(Stdio::null());
        let output = run.output().ok().filter(|output| output.status.success())?;
        Some((command, String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    })
}
