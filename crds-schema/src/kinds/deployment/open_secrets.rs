//! Warnings for secrets of containers that stand in the manifest itself, and so in git and in everything that shows objects or containers.

use super::spec::Deployment;
use crate::diagnostic::Diagnostic;
use crate::grammar::echo;
use crate::open_secret::{passwords_in, secrets_of};
use crate::source_map::key_path;

/// How a secret gets into a container.
const MOUNT: &str = "mount it from a file: `mounts: [{ secretFile: ./FILE, path: /run/secrets/FILE }]`";

/// A warning for each of them. None holds any of the value.
pub(super) fn warn_of_open_secrets(deployment: &Deployment, faults: &mut Vec<Diagnostic>) {
    let mut warn = |what: &str, hint: &str, field: String| {
        let message = format!("{what}, and whoever reads the manifest or inspects the container knows it");
        faults.push(Diagnostic::warning("E0250", message).hint(hint).at(field));
    };
    for (name, value) in &deployment.env {
        let secrets = secrets_of(name, value);
        if secrets.is_empty() {
            continue;
        }
        let holds = if secrets.contains(value) { "looks like a secret" } else { "holds a password" };
        let what = format!("the value of `{}` {holds}", echo(name));
        let hint =
            format!("{MOUNT}, and write that path to `{}_FILE` where the program knows such a variable", echo(name));
        warn(&what, &hint, key_path("spec.env", name));
    }
    for (field, words) in [("command", &deployment.command), ("args", &deployment.args)] {
        for (index, word) in words.iter().flatten().enumerate() {
            if !passwords_in(word).is_empty() {
                let hint = format!("{MOUNT}, and have the program read it there");
                warn("the argument holds a password", &hint, format!("spec.{field}[{index}]"));
            }
        }
    }
}
