//! Newer Engines beside the transcripts, which are those of 20.10.
//!
//! Engines of API 1.44 and later word their errors anew, give some another status, and tell some events once, or in another
//! order. So what each step came to is compared by the kind of its error and by what the container then is, and the events of
//! a thing are compared as a set. What differs then is in [`KNOWN`], with its reason, or a breach of the contract.

use std::collections::{BTreeMap, BTreeSet};

/// What two transcripts of one sequence differ in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewerReport {
    /// Differences that are known, one line each, with the reason.
    pub known: Vec<String>,
    /// Differences that are not: what the transcript says, and what the Engine says.
    pub unexplained: Vec<String>,
}

/// Whether an Engine that speaks this version of the API, such as `1.51`, is compared as a newer one.
pub fn is_newer(api_version: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().ok();
    let version = api_version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    version.is_some_and(|version| version >= FIRST_NEWER)
}

/// Compares the transcript of a sequence with that of a newer Engine, step by step.
pub fn compare_newer(transcript: &str, newer: &str) -> NewerReport {
    let (ours, theirs) = (Told::parse(transcript), Told::parse(newer));
    let mut report = NewerReport::default();
    let count = ours.steps.len().max(theirs.steps.len());
    let step = |told: &Told, index: usize| told.steps.get(index).cloned().unwrap_or_default();
    for index in 0..count {
        let ((step, our), (their_step, their)) = (step(&ours, index), step(&theirs, index));
        if step == their_step {
            report.compare(&ours.sequence, &step, &our, &their);
        } else {
            report.unexplained.push(format!("step {index}: `{step}` beside `{their_step}`"));
        }
    }
    let things: BTreeSet<&String> = ours.events.keys().chain(theirs.events.keys()).collect();
    for thing in things {
        let events = |told: &Told| told.events.get(thing).cloned().unwrap_or_default();
        report.compare(&ours.sequence, thing, &events(&ours), &events(&theirs));
    }
    report
}

impl NewerReport {
    fn compare(&mut self, sequence: &str, step: &str, ours: &str, theirs: &str) {
        if ours == theirs {
            return;
        }
        match KNOWN.iter().find(|known| known.explains(sequence, step, ours, theirs)) {
            Some(known) => self.known.push(format!("{sequence}: {step}: {}", known.why)),
            None => self.unexplained.push(format!("{step}\n    transcript: {ours}\n    newer:      {theirs}")),
        }
    }
}

/// A transcript, without what is not compared.
#[derive(Debug, Default)]
struct Told {
    sequence: String,
    /// Each step and what it came to.
    steps: Vec<(String, String)>,
    /// `events of THING` and the events, each once, in the order of the alphabet.
    events: BTreeMap<String, String>,
}

impl Told {
    fn parse(transcript: &str) -> Self {
        let mut told = Self::default();
        for line in transcript.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                name.clone_into(&mut told.sequence);
            } else if let Some((thing, events)) = line.split_once(": ").filter(|_| line.starts_with("events of ")) {
                let events: BTreeSet<&str> = events.split(", ").collect();
                told.events.insert(thing.to_owned(), events.into_iter().collect::<Vec<_>>().join(", "));
            } else if !line.starts_with(' ') {
                told.steps.push((line.to_owned(), String::new()));
            } else if let Some((step, outcome)) = told.steps.last_mut() {
                let line = without_texts(line, step.starts_with("docker-") || step.starts_with("crash"));
                *outcome = if outcome.is_empty() { line } else { format!("{outcome} | {line}") };
            }
        }
        told
    }
}

/// A line of an outcome without the status and the text of an error.
fn without_texts(line: &str, is_by_others: bool) -> String {
    let (indent, line) = (line.len() - line.trim_start().len(), line.trim());
    // Two blanks: what a container is. Four: what the call told.
    if indent == 2 {
        return match (line.find(" error=`"), line.rfind('`')) {
            (Some(from), Some(to)) => format!("{} error{}", &line[..from], &line[to + 1..]),
            _ => line.to_owned(),
        };
    }
    if is_by_others {
        return "refused".to_owned();
    }
    let error = line.split_once(": ").and_then(|(head, _)| head.split_once(' ').filter(|_| is_status(head)));
    error.map_or_else(|| line.to_owned(), |(_, kind)| kind.trim_start_matches("answer ").to_owned())
}

fn is_status(head: &str) -> bool {
    head.starts_with("no answer ") || head.split(' ').next().is_some_and(|status| status.parse::<u16>().is_ok())
}

/// A difference that is known.
struct KnownDifference {
    /// In these sequences; in every one when empty.
    sequences: &'static [&'static str],
    /// At this step.
    step: &'static str,
    /// This part of what the transcript says; when empty, it says nothing.
    transcript: &'static str,
    /// Is this on a newer Engine.
    newer: &'static str,
    why: &'static str,
}

impl KnownDifference {
    fn explains(&self, sequence: &str, step: &str, ours: &str, theirs: &str) -> bool {
        let is_here = self.sequences.is_empty() || self.sequences.contains(&sequence);
        is_here && step == self.step && self.expect(ours).as_deref() == Some(theirs)
    }

    /// What a newer Engine says instead; `None` where the transcript does not say what this difference is about.
    fn expect(&self, ours: &str) -> Option<String> {
        if self.transcript.is_empty() {
            return ours.is_empty().then(|| self.newer.to_owned());
        }
        ours.contains(self.transcript).then(|| ours.replace(self.transcript, self.newer))
    }
}

const fn known(
    sequences: &'static [&'static str],
    step: &'static str,
    [transcript, newer]: [&'static str; 2],
    why: &'static str,
) -> KnownDifference {
    KnownDifference { sequences, step, transcript, newer, why }
}

/// The first version of the API that is compared so: from here on names of networks are unique.
const FIRST_NEWER: (u32, u32) = (1, 44);

const EVERY: &[&str] = &[];
const FAILED_STARTS: &[&str] = &[
    "a program that is not there",
    "a program that is not there is started twice",
    "always: a failed start is not repeated",
];
const SAME_NAMES: &[&str] = &["two networks of one name"];
const OUTSIDE: &[&str] = &["a fixed address outside the network"];
const NOT_OURS: &[&str] = &["a network without a subnet of ours takes no fixed address"];
const NO_ADDRESS: &[&str] = &["a fixed address that is taken", "no address is left"];
const MADE_ANEW: &[&str] = &["a container that never ran finds its network made anew"];
const TWICE: &[&str] = &["a created container is disconnected twice"];

const CALLED: &str = "the default network is called by its name; the planner takes both words for one";
const FAILED: &str = "the endpoint of a failed start is forgotten";
const UNIQUE: &str = "the names of networks are unique";
const EARLY: &str = "a fixed address is checked at the creation, not at the start";
const GIVEN_UP: &str = "an endpoint that got no address is given up, and that is told";
const BY_ID: &str = "the network of a container that never ran is looked for by its id, not by its name";
const NEVER_JOINED: &str = "what never joined a network does not leave it";

/// Every difference that is known: seen with Docker 28.5 (API 1.51), alike with the classic and the containerd image store.
const KNOWN: &[KnownDifference] = &[
    known(EVERY, "show a", ["network mode default", "network mode bridge"], CALLED),
    known(FAILED_STARTS, "start a", ["bridge(other id,", "bridge(no id,"], FAILED),
    known(FAILED_STARTS, "await a created", ["bridge(other id,", "bridge(no id,"], FAILED),
    known(SAME_NAMES, "network n'", ["", "NameConflict"], UNIQUE),
    known(SAME_NAMES, "events of n'", ["create", ""], UNIQUE),
    known(OUTSIDE, "create a net=n ip=10.9.9.9", ["a: created n(no id, fixed 10.9.9.9, no address)", "Invalid"], EARLY),
    known(
        OUTSIDE,
        "start a",
        ["Invalid | a: created exit=128 error n(no id, fixed 10.9.9.9, no address)", "NotFound"],
        EARLY,
    ),
    known(OUTSIDE, "events of a", ["create", ""], EARLY),
    known(
        NOT_OURS,
        "create a net=n ip=172.31.1.1",
        ["a: created n(no id, fixed 172.31.1.1, no address)", "Invalid"],
        EARLY,
    ),
    known(
        NOT_OURS,
        "start a",
        ["Invalid | a: created exit=128 error n(no id, fixed 172.31.1.1, no address)", "NotFound"],
        EARLY,
    ),
    known(NOT_OURS, "events of a", ["create", ""], EARLY),
    known(NO_ADDRESS, "events of n", ["connect(a), create", "connect(a), create, disconnect(b)"], GIVEN_UP),
    known(MADE_ANEW, "~start a", ["", "NotFound"], BY_ID),
    known(MADE_ANEW, "events of a", ["create, start", "create"], BY_ID),
    known(MADE_ANEW, "events of n'", ["connect(a), create", "create, disconnect(a)"], BY_ID),
    known(TWICE, "events of n", ["create, disconnect(a)", "create"], NEVER_JOINED),
];

#[cfg(test)]
mod tests {
    use super::{NewerReport, compare_newer, is_newer};

    #[track_caller]
    fn check(transcript: &str, newer: &str, known: usize, unexplained: usize) {
        let report = compare_newer(transcript, newer);
        assert_eq!((report.known.len(), report.unexplained.len()), (known, unexplained), "{report:?}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in [("1.41", false), ("1.43", false), ("1.44", true), ("1.100", true), ("x", false)] {
            assert_eq!(is_newer(version), expected, "{version}");
        }
    }

    #[test]
    fn texts_statuses_and_the_order_of_events_do_not_matter() {
        let old = "== s\nstart b\n    500 PortConflict: Bind: taken\n  b: created exit=128 error=`Bind: taken` n()\n\
                   docker-kill a\n    Cannot kill\nevents of a: kill, die(0), stop, kill\n";
        let new = "== s\nstart b\n    409 PortConflict: set up: taken\n  b: created exit=128 error=`set up` n()\n\
                   docker-kill a\n    cannot kill\nevents of a: kill, stop, die(0)\n";
        assert_eq!(compare_newer(old, new), NewerReport::default());
    }

    #[test]
    fn kinds_states_events_and_steps_do() {
        let old = "== s\nstart b\n    500 PortConflict: taken\n  b: created error=`taken` n()\nevents of b: create\n";
        check(old, &old.replace("PortConflict", "Internal"), 0, 1);
        check(old, &old.replace("created", "exited"), 0, 1);
        check(old, &old.replace(" error=`taken`", ""), 0, 1);
        check(old, &old.replace("events of b: create", "events of b: create, start"), 0, 1);
        check(old, &old.replace("events of b: create", ""), 0, 1);
        check(old, &old.replace("start b", "stop b"), 0, 1);
        check(old, &old.replace("    500 PortConflict: taken\n", ""), 0, 1);
    }

    #[test]
    fn a_known_difference_is_one_in_its_own_sequence_only() {
        let old = "== two networks of one name\nnetwork n'\nevents of n': create\n";
        let new = "== two networks of one name\nnetwork n'\n    409 NameConflict: network with name n already exists\n";
        check(old, new, 2, 0);
        check(&old.replace("two", "three"), &new.replace("two", "three"), 0, 2);
        check(old, &new.replace("NameConflict", "Internal"), 1, 1);
    }
}
