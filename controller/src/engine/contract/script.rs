//! The language of sequences.
//!
//! ```text
//! == a container is started twice        a sequence and what it shows
//! network n [subnet=… gateway=…]         create; its subnet is a /24 of the sequence's own unless named
//! volume v [driver=… label.k=v]
//! create a image=loop net=n alias=web    options: name net alias ip vol=v:/data bind tmpfs restart mem swap cpus pids port=p1:80
//! start a                                … env label cmd user signal hostname readonly capdrop
//! ~start a                               the same, without a look at the container afterwards
//! talk a hello                           attaches, says a line, hears one, and leaves; `then=kill` has it killed before
//! list a                                 as the list tells it; `show a` as inspect does
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
    /// Makes or removes a network or a volume.
    Keep(Keep),
    /// Asks about something else than one container.
    Ask(Ask),
    /// Does something with a container.
    Handle(Handle),
    /// Waits until the container is so.
    Await,
    /// Waits some milliseconds.
    Sleep,
    /// Somebody else acts.
    Outside(OutsideAction),
}

/// What is done with networks and volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// `create_network`.
    Network,
    /// `create_volume`.
    Volume,
    /// `remove_network`.
    RemoveNetwork,
    /// `remove_volume`.
    RemoveVolume,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `pull_image`.
    Pull,
    /// `inspect_image`, told in full.
    Image,
    /// `network_members`.
    Members,
    /// `find_port_holder`.
    Holder,
    /// `tail_logs`, two lines.
    Logs,
    /// The network as the list tells it.
    Network,
    /// The volume as the list tells it.
    Volume,
}

/// What is done with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handle {
    /// `create_container`.
    Create,
    /// `start_container`.
    Start,
    /// `stop_container`, with a grace of 10 s or the object in seconds.
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
    /// `attach_container`, and a line each way.
    Talk,
    /// `inspect_container`, told in full.
    Show,
    /// The container as `list_containers` tells it.
    List,
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
        "network" => Verb::Keep(Keep::Network),
        "volume" => Verb::Keep(Keep::Volume),
        "create" => Verb::Handle(Handle::Create),
        "start" => Verb::Handle(Handle::Start),
        "stop" => Verb::Handle(Handle::Stop),
        "remove" => Verb::Handle(Handle::Remove),
        "unpause" => Verb::Handle(Handle::Unpause),
        "rename" => Verb::Handle(Handle::Rename),
        "update" => Verb::Handle(Handle::Update),
        "connect" => Verb::Handle(Handle::Connect),
        "disconnect" => Verb::Handle(Handle::Disconnect),
        "remove-network" => Verb::Keep(Keep::RemoveNetwork),
        "remove-volume" => Verb::Keep(Keep::RemoveVolume),
        "pull" => Verb::Ask(Ask::Pull),
        "image" => Verb::Ask(Ask::Image),
        "members" => Verb::Ask(Ask::Members),
        "holder" => Verb::Ask(Ask::Holder),
        "logs" => Verb::Ask(Ask::Logs),
        "talk" => Verb::Handle(Handle::Talk),
        "list" => Verb::Handle(Handle::List),
        "show" => Verb::Handle(Handle::Show),
        "show-network" => Verb::Ask(Ask::Network),
        "show-volume" => Verb::Ask(Ask::Volume),
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
