//! The faults, and what covers each.

mod containers;
mod daemon;
mod directory;
mod engine;
mod events;
mod git;
mod images;
mod networks;
mod process;
mod server;
mod store;
mod time;
mod volumes;
mod writers;

/// Something that goes wrong.
#[derive(Debug)]
pub(super) struct Fault {
    /// Its letter and number in the design.
    pub(super) id: &'static str,
    /// What goes wrong, in one line.
    pub(super) text: &'static str,
    /// What shows that it is dealt with.
    pub(super) covered: Covered,
}

/// What shows that a fault is dealt with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Covered {
    /// These tests, by path, such as `drift::containers::a_killed_container_comes_back`; `contract: ` and a title is a sequence
    /// that the real and the simulated Engine answer alike.
    By(&'static [&'static str]),
    /// Nothing: Evenkeel cannot do yet what it is a fault of.
    NotYet(&'static str),
}

/// Faults of one subject.
#[derive(Debug)]
pub(super) struct Section {
    /// The subject.
    pub(super) title: &'static str,
    /// In the order of their numbers.
    pub(super) faults: &'static [Fault],
}

/// Every fault, in the order of the design.
pub(super) const SECTIONS: &[Section] = &[
    Section { title: "Requests to the Engine, and its answers", faults: engine::FAULTS },
    Section { title: "The stream of events", faults: events::FAULTS },
    Section { title: "States of a container", faults: containers::FAULTS },
    Section { title: "Networks and ports", faults: networks::FAULTS },
    Section { title: "Volumes, mounts and disks", faults: volumes::FAULTS },
    Section { title: "Images and registries", faults: images::FAULTS },
    Section { title: "The daemon and the host", faults: daemon::FAULTS },
    Section { title: "Manifests in a directory", faults: directory::FAULTS },
    Section { title: "Manifests in a git repository", faults: git::FAULTS },
    Section { title: "The controller itself", faults: process::FAULTS },
    Section { title: "The store", faults: store::FAULTS },
    Section { title: "Time", faults: time::FAULTS },
    Section { title: "Other writers", faults: writers::FAULTS },
    Section { title: "The API and the gateway", faults: server::FAULTS },
];

const fn fault(id: &'static str, text: &'static str, covered: Covered) -> Fault {
    Fault { id, text, covered }
}
