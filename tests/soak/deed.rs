//! Deeds: what the meddler can do, how often it does what, and how often it did.

use std::collections::BTreeMap;

/// One thing that the meddler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// `docker kill`, which also cancels the Engine's restarts.
    Kill,
    /// `kill -9` of the container's first process, as the kernel does when memory runs out.
    KillProcess,
    Remove,
    Stop,
    Pause,
    Rename,
    /// A memory limit that nobody asked for.
    Limit,
    /// The restart policy taken away.
    Disarm,
    Disconnect,
    /// Into a network of somebody else.
    Connect,
    /// A network removed, once every container has been thrown out of it.
    RemoveNetwork,
    /// A manifest that asks for something else.
    Edit(Edit),
    /// A file that is no YAML until it is written again.
    BreakFile,
    /// A file written in place in two halves, as some editors do.
    HalfWriteFile,
    KillController,
    EndController,
    FreezeController,
}

/// What becomes different in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edit {
    Version,
    Environment,
    Image,
    Limit,
    Replicas,
    /// An object taken out of the manifests, or brought back.
    ComeOrGo,
}

/// How often each is chosen, against the others.
pub(super) const WEIGHTS: [(Deed, u32); 22] = [
    (Deed::Kill, 8),
    (Deed::KillProcess, 8),
    (Deed::Remove, 8),
    (Deed::Stop, 6),
    (Deed::Pause, 6),
    (Deed::Rename, 4),
    (Deed::Limit, 4),
    (Deed::Disarm, 3),
    (Deed::Disconnect, 7),
    (Deed::Connect, 4),
    (Deed::RemoveNetwork, 4),
    (Deed::Edit(Edit::Version), 5),
    (Deed::Edit(Edit::Environment), 3),
    (Deed::Edit(Edit::Image), 3),
    (Deed::Edit(Edit::Limit), 3),
    (Deed::Edit(Edit::Replicas), 5),
    (Deed::Edit(Edit::ComeOrGo), 4),
    (Deed::BreakFile, 2),
    (Deed::HalfWriteFile, 3),
    (Deed::KillController, 5),
    (Deed::EndController, 2),
    (Deed::FreezeController, 3),
];

impl Deed {
    /// How a report names it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Kill => "docker kill",
            Self::KillProcess => "kill -9 of the process",
            Self::Remove => "docker rm --force",
            Self::Stop => "docker stop",
            Self::Pause => "docker pause",
            Self::Rename => "docker rename",
            Self::Limit => "docker update --memory",
            Self::Disarm => "docker update --restart no",
            Self::Disconnect => "network disconnect",
            Self::Connect => "network connect, foreign",
            Self::RemoveNetwork => "network rm",
            Self::Edit(Edit::Version) => "manifest: version",
            Self::Edit(Edit::Environment) => "manifest: env",
            Self::Edit(Edit::Image) => "manifest: image",
            Self::Edit(Edit::Limit) => "manifest: memory",
            Self::Edit(Edit::Replicas) => "manifest: replicas",
            Self::Edit(Edit::ComeOrGo) => "manifest: removed or back",
            Self::BreakFile => "manifest: broken",
            Self::HalfWriteFile => "manifest: half-written",
            Self::KillController => "controller SIGKILL",
            Self::EndController => "controller SIGTERM",
            Self::FreezeController => "controller SIGSTOP",
        }
    }

    /// Whether it ends the controller's process.
    pub(super) fn ends_controller(self) -> bool {
        matches!(self, Self::KillController | Self::EndController)
    }
}

/// How often a deed was done, and how often it could not be: the Engine refused it, or there was nothing to do it to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) done: u32,
    pub(super) refused: u32,
}

/// The counts of all deeds.
#[derive(Debug, Default)]
pub(super) struct Tally(pub(super) BTreeMap<Deed, Count>);

impl Tally {
    pub(super) fn add(&mut self, deed: Deed, is_done: bool) {
        let count = self.0.entry(deed).or_default();
        if is_done {
            count.done += 1;
        } else {
            count.refused += 1;
        }
    }

    pub(super) fn done(&self) -> u32 {
        self.0.values().map(|count| count.done).sum()
    }

    pub(super) fn done_of(&self, deed: Deed) -> u32 {
        self.0.get(&deed).copied().unwrap_or_default().done
    }

    /// The deeds that were never done.
    pub(super) fn never_done(&self) -> Vec<String> {
        let deeds = WEIGHTS.into_iter().map(|(deed, _)| deed).filter(|deed| self.done_of(*deed) == 0);
        deeds.map(|deed| deed.label().to_owned()).collect()
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        let counts = self.0.iter().map(|(deed, count)| format!("{}: {}", deed.label(), count.done));
        counts.collect::<Vec<_>>().join(", ")
    }
}
