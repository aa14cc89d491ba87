//! What the manifests of a soak ask for at the moment: thirteen objects, a file each.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::engine::{BUSYBOX, EngineAddress, TestBed, import_busybox_as};
use crate::support::scene::object;

/// The same as the ordinary image, but another one.
const OTHER: &str = "evenkeel.test/soak:1";
/// Two images with a check that succeeds.
const CHECKED: [&str; 2] = ["evenkeel.test/soak-checked:1", "evenkeel.test/soak-checked:2"];
const CHECK: &str = "HEALTHCHECK --interval=2s --timeout=10s CMD [\"/bin/true\"]";
/// What most of the containers run.
const SLEEP: &str = "[/bin/sleep, \"604800\"]";
/// The networks and volumes that stay, and those that go with their deployment.
const NETWORKS: [&str; 3] = ["front", "back", "side"];
const VOLUMES: [&str; 2] = ["ledger", "drafts"];
/// What every file holds that is broken.
pub(super) const BROKEN: &str = "apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: { name: [half\n";

/// What does not change of a deployment.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) networks: &'static [&'static str],
    pub(super) volume: Option<&'static str>,
    images: [&'static str; 2],
    /// The fewest and the most replicas that are asked for.
    pub(super) replicas: (usize, usize),
    /// Whether it is taken out of the manifests at times, with the network or volume that only it uses.
    pub(super) comes_and_goes: bool,
    command: &'static str,
    /// Further lines of its spec; `$port` is a port of the host.
    more: &'static str,
}

const PLAIN: Shape = Shape {
    name: "",
    networks: &[],
    volume: None,
    images: [BUSYBOX, OTHER],
    replicas: (1, 1),
    comes_and_goes: false,
    command: SLEEP,
    more: "stop: { signal: SIGKILL }",
};

/// The deployments: with and without volume, network, port, dependency and check; replaced stop-first and start-first.
pub(super) const SHAPES: [Shape; 8] = [
    Shape { name: "clerk", networks: &["back"], volume: Some("ledger"), ..PLAIN },
    Shape { name: "writer", volume: Some("drafts"), comes_and_goes: true, ..PLAIN },
    Shape { name: "web", networks: &["back", "front"], replicas: (2, 3), ..PLAIN },
    Shape {
        name: "api",
        networks: &["back"],
        replicas: (1, 3),
        more: "init: true\nstop: { signal: SIGTERM, grace: 2s }",
        ..PLAIN
    },
    Shape {
        name: "site",
        networks: &["front"],
        command: "[/bin/httpd, \"-f\", \"-p\", \"8080\", \"-h\", /www]",
        more: "stop: { signal: SIGKILL }\nports: [{ port: 8080, publish: $port }]",
        ..PLAIN
    },
    Shape {
        name: "follower",
        networks: &["back"],
        more: "stop: { signal: SIGKILL }\ndependsOn: [{ kind: Deployment, name: clerk }]",
        ..PLAIN
    },
    Shape { name: "checked", networks: &["front"], images: CHECKED, ..PLAIN },
    Shape { name: "guest", networks: &["side"], comes_and_goes: true, ..PLAIN },
];

impl Shape {
    /// The image that it is to run.
    pub(super) fn image(&self, choice: Choice) -> &'static str {
        self.images[usize::from(choice.has_second_image)]
    }
}

/// What changes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// A number that every container has in its environment.
    pub(super) version: u32,
    /// A second variable, which is there or not.
    pub(super) note: Option<u32>,
    pub(super) replicas: usize,
    pub(super) has_second_image: bool,
    pub(super) memory_mib: u64,
    pub(super) is_there: bool,
}

/// What the manifests ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) choices: BTreeMap<&'static str, Choice>,
    /// The port of the host that the site is reached by.
    pub(super) port: u16,
    /// What the files hold, as far as it is what is wanted.
    files: BTreeMap<String, String>,
}

impl Wanted {
    /// Everything, in its first version.
    pub(super) fn new(bed: &TestBed, port: u16) -> Self {
        make_images(bed.engine());
        let choice = |shape: &Shape| {
            let (replicas, _) = shape.replicas;
            Choice { version: 1, note: None, replicas, has_second_image: false, memory_mib: 64, is_there: true }
        };
        Self { choices: SHAPES.iter().map(|shape| (shape.name, choice(shape))).collect(), port, files: BTreeMap::new() }
    }

    /// The deployments that are wanted now.
    pub(super) fn deployments(&self) -> impl Iterator<Item = (&'static Shape, Choice)> {
        SHAPES.iter().map(|shape| (shape, self.choices[shape.name])).filter(|(_, choice)| choice.is_there)
    }

    /// The networks that are wanted now.
    pub(super) fn networks(&self) -> BTreeSet<&'static str> {
        NETWORKS.into_iter().filter(|name| *name != "side" || self.choices["guest"].is_there).collect()
    }

    /// How many objects the manifests hold.
    pub(super) fn objects(&self) -> usize {
        self.texts().values().flatten().count()
    }

    /// Brings every file to what is wanted; one that holds it already is left alone.
    pub(super) fn write(&mut self, bed: &TestBed) {
        for (file, text) in self.texts() {
            if self.files.get(&file) == text.as_ref() && bed.manifests().join(&file).exists() == text.is_some() {
                continue;
            }
            if let Some(text) = text {
                bed.write(&file, &text);
                self.files.insert(file, text);
            } else {
                bed.remove(&file);
                self.files.remove(&file);
            }
        }
    }

    /// The manifest of a deployment; nothing while it is not wanted.
    pub(super) fn text_of(&self, name: &str) -> Option<String> {
        self.texts().remove(&format!("{name}.yaml")).flatten()
    }

    /// Takes note that a file does not hold what is wanted.
    pub(super) fn is_spoiled(&mut self, name: &str) {
        self.files.insert(format!("{name}.yaml"), "spoiled".to_owned());
    }

    fn texts(&self) -> BTreeMap<String, Option<String>> {
        let deployments = SHAPES.iter().map(|shape| (shape.name, self.deployment(shape, self.choices[shape.name])));
        let network = |name: &'static str| {
            let spec = if name == "back" { "spec: { internal: true }\n" } else { "spec: {}\n" };
            (name, self.networks().contains(name).then(|| object("Network", name, spec)))
        };
        let volume = |name: &'static str| {
            let is_there = name != "drafts" || self.choices["writer"].is_there;
            (name, is_there.then(|| object("Volume", name, "spec: {}\n")))
        };
        let all = deployments.chain(NETWORKS.into_iter().map(network)).chain(VOLUMES.into_iter().map(volume));
        all.map(|(name, text)| (format!("{name}.yaml"), text)).collect()
    }

    fn deployment(&self, shape: &Shape, choice: Choice) -> Option<String> {
        if !choice.is_there {
            return None;
        }
        let note = choice.note.map(|note| format!(", NOTE: \"{note}\"")).unwrap_or_default();
        let mut lines = vec![
            format!("image: {}", shape.image(choice)),
            format!("command: {}", shape.command),
            format!("replicas: {}", choice.replicas),
            format!("env: {{ VERSION: \"{}\"{note} }}", choice.version),
            format!("resources: {{ memory: {}MiB }}", choice.memory_mib),
        ];
        if !shape.networks.is_empty() {
            lines.push(format!("networks: [{}]", shape.networks.join(", ")));
        }
        if let Some(volume) = shape.volume {
            lines.push(format!("mounts: [{{ volume: {volume}, path: /data }}]"));
        }
        lines.extend(shape.more.replace("$port", &self.port.to_string()).lines().map(str::to_owned));
        let spec: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
        Some(object("Deployment", shape.name, &format!("spec:\n{}\n", spec.join("\n"))))
    }
}

fn make_images(engine: &EngineAddress) {
    import_busybox_as(engine, OTHER, &["ENV SOAK=1"]);
    import_busybox_as(engine, CHECKED[0], &[CHECK]);
    import_busybox_as(engine, CHECKED[1], &[CHECK, "ENV SOAK=1"]);
}
