//! What a sequence leaves behind: lines in which ids, names, ports and addresses are the script's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use planner::observed::{ContainerDetail, Health, Limits, MountKind};
use tokio::task::JoinHandle;

use crate::engine::{EngineError, EngineEvent, EventSubject};

/// The names of a sequence on one Engine.
#[derive(Debug)]
pub(super) struct Names {
    /// What every name in the Engine begins with.
    prefix: String,
    /// The first port of the host that the sequence may use.
    first_port: u16,
    /// The third byte of its first subnet.
    first_subnet: usize,
    /// Full id to the script's name.
    ids: BTreeMap<String, String>,
}

/// How many ports, and subnets, a sequence may use.
pub(super) const PORTS: u16 = 3;
/// See [`PORTS`].
pub(super) const SUBNETS: usize = 2;

impl Names {
    pub(super) fn new(prefix: &str, index: usize) -> Self {
        let offset = u16::try_from(index).unwrap_or(0) * PORTS;
        Self {
            prefix: format!("{prefix}-{index}-"),
            first_port: 28_100 + offset,
            first_subnet: index * SUBNETS,
            ids: BTreeMap::new(),
        }
    }

    /// The name in the Engine.
    pub(super) fn engine_name(&self, symbol: &str) -> String {
        format!("{}{symbol}", self.prefix)
    }

    /// `p1` is the first port of the sequence; a number is itself.
    pub(super) fn port(&self, symbol: &str) -> u16 {
        let number = symbol.strip_prefix('p').and_then(|number| number.parse::<u16>().ok());
        number.map_or_else(|| symbol.parse().unwrap_or(0), |number| self.first_port + number - 1)
    }

    /// The beginning of the addresses of a network of the sequence, from 0.
    pub(super) fn subnet(&self, ordinal: usize) -> String {
        format!("10.231.{}.", (self.first_subnet + ordinal) % 256)
    }

    pub(super) fn learn(&mut self, id: &str, symbol: &str) {
        self.ids.insert(id.to_owned(), symbol.to_owned());
    }

    pub(super) fn symbol_of(&self, id: &str) -> Option<&str> {
        self.ids.get(id).map(String::as_str)
    }

    /// The full id that a name of the script stands for; the name in the Engine where there is none.
    pub(super) fn id_of(&self, symbol: &str) -> String {
        let found = self.ids.iter().find(|(_, known)| *known == symbol);
        found.map_or_else(|| self.engine_name(symbol), |(id, _)| id.clone())
    }

    /// A text of the Engine in the script's names.
    pub(super) fn tidy(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, symbol) in &self.ids {
            text = text.replace(id.as_str(), &format!("<id of {symbol}>"));
            if let Some(short) = id.get(..12) {
                text = text.replace(short, &format!("<short id of {symbol}>"));
            }
        }
        text = text.replace(&self.prefix, "");
        for number in 0..PORTS {
            text = text.replace(&(self.first_port + number).to_string(), &format!("<p{}>", number + 1));
        }
        for ordinal in 0..SUBNETS {
            text = text.replace(&self.subnet(ordinal), &format!("<subnet {ordinal}>."));
        }
        hide_ids(&text)
    }

    /// One line about a container.
    pub(super) fn summarise(&self, symbol: &str, found: Option<&ContainerDetail>) -> String {
        let Some(container) = found else { return format!("  {symbol}: absent") };
        let status = &container.status;
        let mut line = format!("  {symbol}: {}", status.state.as_str());
        if container.name != self.engine_name(symbol) {
            line += &format!(" name={}", self.tidy(&container.name));
        }
        if status.exit_code != 0 {
            line += &format!(" exit={}", status.exit_code);
        }
        if status.oom_killed {
            line += " oom";
        }
        if status.health != Health::None {
            line += &format!(" health={:?}", status.health).to_lowercase();
        }
        if !status.error.is_empty() {
            line += &format!(" error=`{}`", self.tidy(&status.error));
        }
        for (network, endpoint) in &container.endpoints {
            let mut facts = Vec::new();
            match self.symbol_of(&endpoint.network_id) {
                Some(_) => {}
                None if endpoint.network_id.is_empty() => facts.push("no id".to_owned()),
                None => facts.push("other id".to_owned()),
            }
            let mut aliases = endpoint.aliases.clone();
            aliases.sort();
            facts.extend(aliases.iter().map(|alias| format!("alias {}", self.tidy(alias))));
            facts.extend(endpoint.fixed_ipv4.map(|fixed| format!("fixed {}", self.tidy(&fixed.to_string()))));
            if endpoint.address.is_none() {
                facts.push("no address".to_owned());
            }
            line += &format!(" {}({})", self.tidy(network), facts.join(", "));
        }
        line + &limits(&container.limits)
    }

    /// Everything that a container was created with.
    pub(super) fn describe(&self, container: &ContainerDetail) -> String {
        let config = &container.config;
        let mut labels = config.labels.clone();
        labels.retain(|key, _| key != super::runner::LABEL);
        let mounts = config.mounts.iter().map(|mount| {
            let kind = match &mount.kind {
                MountKind::Volume(name) => format!("volume {}", self.tidy(name)),
                MountKind::Bind(path) => format!("host {path}"),
                MountKind::Tmpfs(bytes) => format!("tmpfs {bytes}"),
            };
            format!("{} = {kind}{}", mount.destination, if mount.read_only { ", read-only" } else { "" })
        });
        let mounts: Vec<String> = mounts.collect();
        let hostname = if config.network_mode == "host" { "of the host" } else { &config.hostname };
        [
            format!("    image {} entrypoint {:?} cmd {:?}", config.image, config.entrypoint, config.cmd),
            format!("    user `{}` directory `{}` env {:?}", config.user, config.working_dir, config.env),
            format!("    labels {labels:?} hostname {hostname}"),
            format!("    exposed {:?} published {:?}", config.exposed_ports, config.port_bindings),
            format!("    mounts {mounts:?}"),
            format!("    network mode {} ipc {} pid `{}`", config.network_mode, config.ipc_mode, config.pid_mode),
            format!("    shm {} log {} signal `{}`", config.shm_bytes, config.log_driver, config.stop_signal),
            format!("    init {} read-only {} drop {:?}", config.init, config.read_only_root, config.cap_drop),
        ]
        .map(|line| self.tidy(&line))
        .join("\n")
    }
}

/// A pair of events that repeats the pair before it is left out: how often a crash loop goes round depends on time alone.
fn without_repeats(words: &[String]) -> Vec<&str> {
    let mut told: Vec<&str> = Vec::new();
    for word in words {
        told.push(word);
        if let [.., first, second, third, fourth] = told.as_slice()
            && (first, second) == (third, fourth)
            && first != second
        {
            told.truncate(told.len() - 2);
        }
    }
    told
}

fn limits(limits: &Limits) -> String {
    let numbers =
        [("cpus", limits.nano_cpus), ("memory", limits.memory), ("swap", limits.memory_swap), ("pids", limits.pids)];
    let told = numbers.iter().filter(|(_, value)| *value != 0).map(|(name, value)| format!(" {name}={value}"));
    let mut line: String = told.collect();
    if limits.restart != "no" {
        line += &format!(" restart={}", limits.restart);
    }
    line
}

/// Replaces what is left of ids: 64 hex digits in a row.
fn hide_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_hexdigit() {
            digits.push(character);
            continue;
        }
        shown += if digits.len() == 64 { "<id>" } else { &digits };
        digits.clear();
        shown.push(character);
    }
    shown.pop();
    shown
}

/// Listens to an Engine's events until it is asked for them.
#[derive(Debug)]
pub(super) struct EventRecorder {
    heard: Arc<Mutex<Vec<EngineEvent>>>,
    task: JoinHandle<()>,
}

impl EventRecorder {
    pub(super) fn listen(mut events: BoxStream<'static, Result<EngineEvent, EngineError>>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let Ok(event) = event {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        Self { heard, task }
    }

    /// The events of the sequence's own things, one line a thing. The checks of health are left out: their number depends on
    /// time alone.
    pub(super) fn finish(self, names: &Names) -> String {
        self.task.abort();
        let mut lines: BTreeMap<(EventSubject, String), Vec<String>> = BTreeMap::new();
        for event in self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let action = names.tidy(&event.action);
            let (thing, word) = match event.subject {
                EventSubject::Container => {
                    let Some(symbol) = names.symbol_of(&event.id) else { continue };
                    if event.action.starts_with("exec_") {
                        continue;
                    }
                    let code = event.exit_code.map(|code| format!("({code})")).unwrap_or_default();
                    (symbol.to_owned(), format!("{action}{code}"))
                }
                EventSubject::Network => {
                    let Some(symbol) = names.symbol_of(&event.id) else { continue };
                    let actor = names.symbol_of(&event.actor).map(|actor| format!("({actor})")).unwrap_or_default();
                    (symbol.to_owned(), format!("{action}{actor}"))
                }
                EventSubject::Volume => {
                    // Anonymous volumes of sequences that run at the same time cannot be told from ours.
                    let Some(symbol) = event.id.strip_prefix(&names.prefix) else { continue };
                    (symbol.to_owned(), action)
                }
                EventSubject::Image => continue,
            };
            lines.entry((event.subject, thing)).or_default().push(word);
        }
        let line = |((_, thing), words): (&(EventSubject, String), &Vec<String>)| {
            format!("events of {thing}: {}\n", without_repeats(words).join(", "))
        };
        lines.iter().map(line).collect()
    }
}
