//! A small platform that scenarios change, and look at as a whole.

use crate::support::engine::{TestBed, Which, eventually};
use crate::support::scene::{NOTHING, PATIENCE, object, sleeper};

/// The deployments, of two containers each.
pub(super) const DEPLOYMENTS: [&str; 4] = ["a", "b", "c", "d"];

/// Writes the manifests: a network, and deployments in it whose containers have the version in their environment.
pub(super) fn write_all(bed: &TestBed, version: u32) {
    for name in DEPLOYMENTS {
        let more = format!("replicas: 2\nnetworks: [net]\nenv: {{ VERSION: \"{version}\" }}");
        bed.write(&format!("{name}.yaml"), &sleeper(name, &more));
    }
    bed.write("net.yaml", &object("Network", "net", "spec: { internal: true }\n"));
}

/// Waits until all is as [`write_all`] asked for, and fails the test where there is more than that.
pub(super) fn check_all(bed: &TestBed, version: u32) {
    for name in DEPLOYMENTS {
        eventually(&format!("{name} is of version {version}, and ready"), PATIENCE, || {
            let ids = bed.ids(Which::All, name);
            let is_new = |id: &String| {
                let env = bed.inspect("container", id)["Config"]["Env"].to_string();
                env.contains(&format!("\"VERSION={version}\""))
            };
            let is_ready = bed.condition("Deployment", name, "Ready").is_true;
            (is_ready && ids.len() == 2 && bed.ids(Which::Running, name) == ids && ids.iter().all(is_new)).then_some(())
        });
    }
    let label = format!("label=evenkeel.dev/instance={}", bed.instance());
    assert_eq!(bed.docker(&["network", "ls", "--quiet", "--filter", &label]).lines().count(), 1);
    assert_eq!(bed.messages("InternalError"), NOTHING, "no panic");
}
