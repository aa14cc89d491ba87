//! Manifests in a git repository.

use super::Covered::NotYet;
use super::{Fault, fault};

pub(super) const FAULTS: &[Fault] = &[
    fault("G01", "history is rewritten", NotYet("git source")),
    fault("G02", "the branch is deleted", NotYet("git source")),
    fault("G03", "the repository is empty", NotYet("git source")),
    fault("G04", "a commit deletes every manifest", NotYet("git source")),
    fault("G05", "the path is not in the commit", NotYet("git source")),
    fault("G06", "a fetch is killed half way", NotYet("git source")),
    fault("G07", "the network fails, or refuses, or drips", NotYet("git source")),
    fault("G08", "credentials in an address leak", NotYet("git source")),
    fault("G09", "an address smuggles a second credential", NotYet("git source")),
    fault("G10", "hooks and filters run code", NotYet("git source")),
    fault("G11", "submodules", NotYet("git source")),
    fault("G12", "links and names that lead out of the tree", NotYet("git source")),
    fault("G13", "a repository that is huge, or pretends not to be", NotYet("git source")),
    fault("G14", "commits from the future", NotYet("git source")),
    fault("G15", "a signature that is wanted and not there", NotYet("git source")),
    fault("G16", "a local path as an address", NotYet("git source")),
    fault("G17", "a directory and a repository define one object", NotYet("git source")),
];
