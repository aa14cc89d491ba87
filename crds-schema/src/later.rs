//! Fields and kinds that are not there and that somebody will write: those that `docs/kinds/` will describe one day, and those that a kind
//! does without. Each gets an answer of its own.

/// Kinds that a later release brings.
pub(crate) const LATER_KINDS: [&str; 7] =
    ["Job", "CronJob", "ConfigMap", "Secret", "Policy", "GitRepository", "McpClient"];

const VARIABLES: &str = "write the variables under `env`; a secret goes into a file: `mounts: [{ secretFile: ./FILE, path: /run/secrets/FILE }]`";
const QUOTED: &str = "write the value as a quoted string; a secret goes into a file: `mounts: [{ secretFile: ./FILE, path: /run/secrets/FILE }]`";
const ORDER_IS_DERIVED: &str = "leave it out: the order of an update is derived";
const ONE_AT_A_TIME: &str =
    "leave it out: containers are replaced one at a time, and none that serves stops for another before that one does";
const MOUNTED: &str = "write it into a file, and mount that: `secretFile: ./FILE`";

/// Fields that a later release brings: kind, path of the field with `[]` for entries of a list and `.*` for those of a map,
/// and what to do until then.
const LATER_FIELDS: [(&str, &str, &str); 29] = [
    ("Deployment", "spec.envFrom", VARIABLES),
    ("Deployment", "spec.env.*", QUOTED),
    ("Deployment", "spec.startup", "use the image's HEALTHCHECK"),
    ("Deployment", "spec.readiness", "use the image's HEALTHCHECK"),
    ("Deployment", "spec.liveness", "use the image's HEALTHCHECK"),
    ("Deployment", "spec.strategy.type", ORDER_IS_DERIVED),
    ("Deployment", "spec.strategy.maxSurge", ONE_AT_A_TIME),
    ("Deployment", "spec.strategy.maxUnavailable", ONE_AT_A_TIME),
    ("Deployment", "spec.strategy.minReady", "leave it out: it is 5s"),
    ("Deployment", "spec.revisionHistoryLimit", "leave it out"),
    ("Deployment", "spec.mounts[].config", "mount a `host` path"),
    ("Deployment", "spec.mounts[].secret", MOUNTED),
    ("Deployment", "spec.stop.drain", "leave it out"),
    ("Deployment", "spec.dependsOn[].restartOn", "leave it out"),
    ("Deployment", "spec.dependsOn[].condition=Completed", "use `Exists` or `Ready`"),
    ("McpServer", "spec.envFrom", VARIABLES),
    ("McpServer", "spec.env.*", QUOTED),
    (
        "McpServer",
        "spec.remote.headers.*",
        "write the value as a quoted string; a secret goes into a file: `headerFiles: [{ name: NAME, file: ./FILE }]`",
    ),
    ("McpServer", "spec.remote.headerFiles[].secret", "write it into a file, and name that: `file: ./FILE`"),
    ("McpServer", "spec.mounts[].config", "mount a `host` path"),
    ("McpServer", "spec.mounts[].secret", MOUNTED),
    ("McpServer", "spec.stop.drain", "leave it out"),
    ("McpServer", "spec.strategy.type", ORDER_IS_DERIVED),
    ("McpServer", "spec.strategy.maxSurge", ONE_AT_A_TIME),
    ("McpServer", "spec.strategy.maxUnavailable", ONE_AT_A_TIME),
    ("McpServer", "spec.strategy.minReady", "leave it out: it is 5s"),
    ("McpServer", "spec.dependsOn[].restartOn", "leave it out"),
    ("McpServer", "spec.dependsOn[].condition=Completed", "use `Exists` or `Ready`"),
    ("McpGateway", "spec.tokens[].secret", "write the token into a file, and name that: `file: ./laptop.token`"),
];

/// Fields that a kind does not have and never will, though one that is much like it has: kind, path, and what does what they are for.
const ABSENT_FIELDS: [(&str, &str, &str); 8] = [
    ("McpServer", "spec.replicas", "write `instances: { min: 2 }`"),
    (
        "McpServer",
        "spec.ports",
        "remove it: a gateway reaches a server in its network and nobody else needs to; with `transport: http` write `port: 8080`",
    ),
    (
        "McpServer",
        "spec.containerName",
        "remove it: an update runs the new container beside the old one, and two cannot have one name",
    ),
    ("McpServer", "spec.restart", "remove it: what ends is started again, and what shall not run is `state: Stopped`"),
    ("McpServer", "spec.healthCheck", ASKED_ITSELF),
    ("McpServer", "spec.startup", ASKED_ITSELF),
    ("McpServer", "spec.readiness", ASKED_ITSELF),
    ("McpServer", "spec.liveness", ASKED_ITSELF),
];

/// Why a server needs no check of its health.
const ASKED_ITSELF: &str = "remove it: the server itself is asked, in its protocol, and is ready when it answers";

/// What does what a field would be for that the kind does not have; `None` for any other field.
pub(crate) fn instead_of_absent_field(kind: &str, path: &str) -> Option<&'static str> {
    ABSENT_FIELDS.iter().find(|(of, absent, _)| *of == kind && *absent == path).map(|(_, _, instead)| *instead)
}

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
        assert!(later_field("Deployment", "spec.strategy.minReady").is_some());
        assert!(later_field("Network", "spec.strategy.minReady").is_none());
        assert!(is_later_kind("Job") && !is_later_kind("Deployment"));
    }
}
