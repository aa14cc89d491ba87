//! The language of sequences.
//!
//! ```text
//! == a container is started twice        a sequence and what it shows
//! network n [subnet=… gateway=…]         create; its subnet is a /24 of the sequence's own unless named
//! volume v [driver=… label.k=v]
//! create a image=loop net=n alias=web    options: name net alias ip vol=v:/data bind tmpfs restart mem swap cpus pids port=p1:80
//! start a                                … env label cmd user signal hostname readonly capdrop
//! ~start a                               the same, without a look at the container afterwards
//! await a exited                         until it is in that state, or healthy, unhealthy, restarted
//! ```

use std::collections::BTreeMap;

use super::outside::OutsideAction;

/// One sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// What it shows, in words.
    pub name: String,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// One step: a line of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The line.
    pub text: String,
    /// Whether the transcript tells what the container is afterwards.
    pub is_observed: bool,
    /// What to do.
    pub verb: Verb,
    /// On what: the script's name for it.
    pub subject: String,
    /// The other thing, such as the network of a connect or the state of an await; empty if none.
    pub object: String,
    /// `key=value`, each key with all its values.
    pub options: BTreeMap<String, Vec<String>>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `create_network`.
    Network,
    /// `create_volume`.
    Volume,
    /// `create_container`.
    Create,
    /// `start_container`.
    Start,
    /// `stop_container`, with a grace of 1 s or the object in seconds.
    Stop,
    /// `remove_container`.
    Remove,
    /// `unpause_container`.
    Unpause,
    /// `rename_container`.
    Rename,
    /// `update_container`.
    Update,
    /// `connect_network`.
    Connect,
    /// `disconnect_network`.
    Disconnect,
    /// `remove_network`.
    RemoveNetwork,
    /// `remove_volume`.
    RemoveVolume,
    /// `pull_image`.
    Pull,
    /// `inspect_image`, told in full.
    Image,
    /// `network_members`.
    Members,
    /// `find_port_holder`.
    Holder,
    /// `tail_logs`.
    Logs,
    /// `inspect_container`, told in full.
    Show,
    /// The network as the list tells it.
    ShowNetwork,
    /// The volume as the list tells it.
    ShowVolume,
    /// Wait until the container is so.
    Await,
    /// Wait some milliseconds.
    Sleep,
    /// Somebody else acts.
    Outside(OutsideAction),
}

/// A script that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read line {line} of the script: {reason}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// Reads the sequences of a script. Lines that begin with `#` are comments.
///
/// # Errors
/// At the first line that is no step.
pub fn parse_sequences(script: &str) -> Result<Vec<Sequence>, ScriptError> {
    let mut sequences: Vec<Sequence> = Vec::new();
    for (index, line) in script.lines().enumerate() {
        let line = line.trim();
        let fail = |reason: &str| ScriptError { line: index + 1, reason: format!("{reason}: `{line}`") };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("==") {
            sequences.push(Sequence { name: name.trim().to_owned(), steps: Vec::new() });
            continue;
        }
        let step = parse_step(line).ok_or_else(|| fail("no such step"))?;
        sequences.last_mut().ok_or_else(|| fail("a step before the first sequence"))?.steps.push(step);
    }
    Ok(sequences)
}

fn parse_step(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let verb = parse_verb(first.trim_start_matches('~'))?;
    let mut operands = Vec::new();
    let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => options.entry(key.to_owned()).or_default().push(value.to_owned()),
            None => operands.push(word.to_owned()),
        }
    }
    let mut operands = operands.into_iter();
    Some(Step {
        text: line.to_owned(),
        is_observed: !first.starts_with('~'),
        verb,
        subject: operands.next()?,
        object: operands.next().unwrap_or_default(),
        options,
    })
}

fn parse_verb(word: &str) -> Option<Verb> {
    Some(match word {
        "network" => Verb::Network,
        "volume" => Verb::Volume,
        "create" => Verb::Create,
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "remove" => Verb::Remove,
        "unpause" => Verb::Unpause,
        "rename" => Verb::Rename,
        "update" => Verb::Update,
        "connect" => Verb::Connect,
        "disconnect" => Verb::Disconnect,
        "remove-network" => Verb::RemoveNetwork,
        "remove-volume" => Verb::RemoveVolume,
        "pull" => Verb::Pull,
        "image" => Verb::Image,
        "members" => Verb::Members,
        "holder" => Verb::Holder,
        "logs" => Verb::Logs,
        "show" => Verb::Show,
        "show-network" => Verb::ShowNetwork,
        "show-volume" => Verb::ShowVolume,
        "await" => Verb::Await,
        "sleep" => Verb::Sleep,
        "crash" => Verb::Outside(OutsideAction::Crash),
        "docker-kill" => Verb::Outside(OutsideAction::Kill),
        "docker-pause" => Verb::Outside(OutsideAction::Pause),
        "docker-rm-f" => Verb::Outside(OutsideAction::ForceRemove),
        "docker-stop" => Verb::Outside(OutsideAction::Stop),
        "docker-start" => Verb::Outside(OutsideAction::Start),
        _ => return None,
    })
}

impl Step {
    /// The value of an option; the last one where there are several.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.get(key).and_then(|values| values.last()).map(String::as_str)
    }

    /// All values of an option.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.options.get(key).into_iter().flatten().map(String::as_str)
    }
}
