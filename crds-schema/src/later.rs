//! What `docs/kinds/` will describe one day but this release does not know: it gets an answer of its own, not "unknown field".

/// Kinds that a later release brings.
pub(crate) const LATER_KINDS: [&str; 7] =
    ["Job", "CronJob", "ConfigMap", "Secret", "Policy", "GitRepository", "McpClient"];

/// Fields that a later release brings: kind, path of the field with `[]` for entries of a list and `.*` for those of a map,
/// and what to do until then.
const LATER_FIELDS: [(&str, &str, &str); 20] = [
    ("Deployment", "spec.envFrom", "write the variables under `env`"),
    ("Deployment", "spec.env.*", "write the value as a quoted string"),
    ("Deployment", "spec.startup", "use the image's HEALTHCHECK"),
    ("Deployment", "spec.readiness", "use the image's HEALTHCHECK"),
    ("Deployment", "spec.liveness", "use the image's HEALTHCHECK"),
    ("Deployment", "spec.strategy", "leave it out: the order of an update is derived"),
    ("Deployment", "spec.revisionHistoryLimit", "leave it out"),
    ("Deployment", "spec.mounts[].config", "mount a `host` path"),
    ("Deployment", "spec.mounts[].secret", "mount a `host` path"),
    ("Deployment", "spec.stop.drain", "leave it out"),
    ("Deployment", "spec.dependsOn[].restartOn", "leave it out"),
    ("Deployment", "spec.dependsOn[].condition=Completed", "use `Exists` or `Ready`"),
    ("McpServer", "spec.envFrom", "write the variables under `env`"),
    ("McpServer", "spec.env.*", "write the value as a quoted string"),
    ("McpServer", "spec.remote.headers.*", "write the value as a quoted string"),
    ("McpServer", "spec.mounts[].config", "mount a `host` path"),
    ("McpServer", "spec.mounts[].secret", "mount a `host` path"),
    ("McpServer", "spec.stop.drain", "leave it out"),
    ("McpServer", "spec.dependsOn[].restartOn", "leave it out"),
    ("McpServer", "spec.dependsOn[].condition=Completed", "use `Exists` or `Ready`"),
];

/// Whether a later release brings the kind.
pub(crate) fn is_later_kind(kind: &str) -> bool {
    LATER_KINDS.contains(&kind)
}

/// What to do instead of a field that a later release brings; `None` for any other field. `path` is that of one object, such as
/// `spec.mounts[3].config`; a value of an enumeration is asked for as `path=Value`.
pub(crate) fn later_field(kind: &str, path: &str) -> Option<&'static str> {
    let general = generalise(path);
    let find = |wanted: &str| {
        let found = LATER_FIELDS.iter().find(|(of, known, _)| *of == kind && *known == wanted);
        found.map(|(_, _, instead)| *instead)
    };
    find(&general).or_else(|| {
        let (map, _) = general.split_once("[\"").or_else(|| general.rsplit_once('.'))?;
        find(&format!("{map}.*"))
    })
}

/// `spec.mounts[3].config` as `spec.mounts[].config`.
fn generalise(path: &str) -> String {
    let mut general = String::with_capacity(path.len());
    let mut is_index = false;
    for character in path.chars() {
        match character {
            '[' => {
                is_index = true;
                general.push('[');
            }
            ']' => {
                is_index = false;
                general.push(']');
            }
            digit if is_index && digit.is_ascii_digit() => {}
            other => general.push(other),
        }
    }
    general
}

#[cfg(test)]
mod tests {
    use super::{is_later_kind, later_field};

    #[test]
    fn what_comes_later_is_known_by_its_general_path() {
        assert!(later_field("Deployment", "spec.mounts[12].config").is_some());
        assert!(later_field("Deployment", "spec.env.TOKEN").is_some());
        assert!(later_field("Deployment", "spec.env[\"a.b\"]").is_some());
        assert!(later_field("Deployment", "spec.imagee").is_none());
        assert!(later_field("Network", "spec.strategy").is_none());
        assert!(is_later_kind("Job") && !is_later_kind("Deployment"));
    }
}
