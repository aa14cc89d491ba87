//! The chains that the files of audits make, which are taken in by the number of their first line. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use gateway::audit::{Piece, Place, parse_backup_name};

/// What the file is called that a gateway in a process of its own writes to.
const OF_PROCESS: &str = "audit.jsonl";

/// The chains so far.
#[derive(Debug)]
pub(super) struct Chains {
    known: Vec<Chain>,
    /// All files are to be one.
    is_one: bool,
    /// Files that gateways in processes of their own write to.
    currents: BTreeSet<PathBuf>,
    gaps: Vec<Gap>,
}

/// Files of which each goes on from the one before it.
#[derive(Debug)]
struct Chain {
    /// Whose audit it is, by the names of its files; none where they do not say.
    gateway: Option<String>,
    oldest: String,
    begins_at: Place,
    newest: String,
    /// The last line; none where it is not known, as after a fault.
    last: Option<(u64, String)>,
    removed: Vec<(u64, String)>,
}

impl Chain {
    /// Whether it says itself that the file was removed that ended before this place.
    fn has_removed(&self, place: &Place) -> bool {
        self.removed.iter().any(|last| place.follows(last))
    }
}

/// How a file stands to those before it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joint {
    chain: usize,
    /// The line that it must go on from; none where there is none, or where it is missing.
    pub(super) after: Option<(u64, String)>,
}

/// Records that are missing between two files.
#[derive(Debug)]
struct Gap {
    chain: usize,
    numbers: RangeInclusive<u64>,
    /// The file before them.
    after: String,
    /// The file after them, and the place of its first line.
    before: String,
    place: Place,
}

impl Chains {
    /// None yet. `files`: all that will be taken in. `is_one`: they are to be one chain.
    pub(super) fn new<'files>(files: impl IntoIterator<Item = &'files Path>, is_one: bool) -> Self {
        let currents = files.into_iter().filter(|file| file.file_name().is_some_and(|name| name == OF_PROCESS));
        Self { known: Vec::new(), is_one, currents: currents.map(Path::to_owned).collect(), gaps: Vec::new() }
    }

    /// Takes in a file whose first line has this place.
    pub(super) fn join(&mut self, file: &Path, place: &Place) -> Joint {
        let (name, gateway) = (file.display().to_string(), self.gateway_of(file));
        let Some(index) = self.chain_of(gateway.as_deref(), place) else {
            let (oldest, newest) = (name.clone(), name);
            let chain = Chain { gateway, oldest, begins_at: place.clone(), newest, last: None, removed: Vec::new() };
            self.known.push(chain);
            return Joint { chain: self.known.len() - 1, after: None };
        };
        let chain = &mut self.known[index];
        let last = chain.last.take();
        let before = std::mem::replace(&mut chain.newest, name.clone());
        chain.gateway = gateway;
        let missing = last.as_ref().map(|(number, _)| number.saturating_add(1)..=place.sequence.saturating_sub(1));
        match missing.filter(|missing| !missing.is_empty()) {
            Some(numbers) => {
                let (after, before) = (before, name);
                self.gaps.push(Gap { chain: index, numbers, after, before, place: place.clone() });
                Joint { chain: index, after: None }
            }
            None => Joint { chain: index, after: last },
        }
    }

    fn chain_of(&self, gateway: Option<&str>, place: &Place) -> Option<usize> {
        let newest = |is_meant: &dyn Fn(&Chain) -> bool| self.known.iter().rposition(is_meant);
        if self.is_one {
            return newest(&|_| true);
        }
        let goes_on = newest(&|chain| chain.last.as_ref().is_some_and(|last| place.follows(last)));
        if goes_on.is_some() || place.is_beginning() {
            return goes_on;
        }
        // Something is missing before it, unless it is the oldest of its gateway. Of which it is, the name alone can say.
        newest(&|chain| chain.gateway.as_deref() == gateway)
            .or_else(|| newest(&|chain| gateway.is_none() || chain.gateway.is_none()))
    }

    /// A file has been read, and is whole.
    pub(super) fn take(&mut self, joint: &Joint, piece: Piece) {
        let chain = &mut self.known[joint.chain];
        chain.last = piece.last;
        chain.removed.extend(piece.removed);
    }

    /// The hash of the last line, where all files are one chain.
    pub(super) fn last_hash(&self) -> Option<&str> {
        let last = self.known.last()?.last.as_ref();
        last.map(|(_, hash)| hash.as_str())
    }

    /// What is missing between files: the file after it, what is to be said, and whether the gateway itself removed it.
    pub(super) fn gaps(&self) -> Vec<(&str, String, bool)> {
        let tell = |gap: &Gap| {
            let (records, are) = match (gap.numbers.start(), gap.numbers.end()) {
                (first, last) if first == last => (format!("record {first}"), "is"),
                (first, last) => (format!("records {first} to {last}"), "are"),
            };
            let missing = format!("{records} {are} missing between {} and this file", gap.after);
            if self.known[gap.chain].has_removed(&gap.place) {
                (format!("{missing}: the gateway removed its files, and wrote that down"), true)
            } else {
                (missing, false)
            }
        };
        let told = self.gaps.iter().map(|gap| (gap, tell(gap)));
        told.map(|(gap, (said, is_explained))| (gap.before.as_str(), said, is_explained)).collect()
    }

    /// The chains that do not begin with the first record: their oldest files, and what is to be said.
    pub(super) fn late_beginnings(&self) -> Vec<(&str, String)> {
        let late = self.known.iter().filter(|chain| !chain.begins_at.is_beginning());
        let say = |chain: &Chain| {
            let number = chain.begins_at.sequence;
            if chain.has_removed(&chain.begins_at) {
                format!("begins with record {number}: the gateway removed those before it, and wrote that down")
            } else {
                format!("begins with record {number}: those before it are not here")
            }
        };
        late.map(|chain| (chain.oldest.as_str(), say(chain))).collect()
    }
}

impl Chains {
    /// Whose audit a file is, where its name says so: as a part of the controller a gateway has a name of its own, as a process a directory, in
    /// which is the file that it writes to. Where that is not, its older files may have been moved there.
    fn gateway_of(&self, file: &Path) -> Option<String> {
        let name = file.file_name()?.to_str()?;
        let current = parse_backup_name(name).map_or_else(|| name.to_owned(), |(current, _)| current);
        if current == OF_PROCESS {
            let path = file.with_file_name(current);
            return self.currents.contains(&path).then(|| path.display().to_string());
        }
        current.ends_with(".audit.jsonl").then_some(current)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gateway::audit::{Piece, Place};

    use super::Chains;

    /// Takes in files of ten records each, as name, number of the first record, and whose chain it is of. Returns what is said of each.
    fn joined(is_one: bool, files: &[(&str, u64, &str)]) -> Vec<String> {
        let mut chains = Chains::new(files.iter().map(|(name, ..)| Path::new(*name)), is_one);
        let mut said = Vec::new();
        for (name, first, chain) in files {
            let previous = if *first == 1 { "0".repeat(64) } else { format!("{chain}{}", first - 1) };
            let joint = chains.join(Path::new(name), &Place { sequence: *first, previous });
            let gap = chains.gaps.iter().find(|gap| gap.place.sequence == *first);
            let gap = gap.map(|gap| format!(" lacks {:?} after {}", gap.numbers, gap.after));
            let after = joint.after.as_ref().map(|(_, hash)| format!(" after {hash}"));
            said.push(format!("{}{}{}", joint.chain, after.unwrap_or_default(), gap.unwrap_or_default()));
            let last = first + 9;
            let piece =
                Piece { count: 10, first: None, last: Some((last, format!("{chain}{last}"))), removed: Vec::new() };
            chains.take(&joint, piece);
        }
        said.extend(chains.late_beginnings().into_iter().map(|(oldest, said)| format!("{oldest} {said}")));
        said
    }

    /// The name of an older file.
    fn older(gateway: &str, first: u64) -> String {
        format!("{gateway}.audit-{first:020}.jsonl")
    }

    #[test]
    fn files_go_on_from_each_other_by_their_hashes_wherever_they_are() {
        let (moved, kept) = (format!("archive/{}", older("default_hub", 1)), older("mcp/default_hub", 11));
        let files =
            [(moved.as_str(), 1, "a"), (&kept, 11, "a"), ("copy", 21, "a"), ("mcp/default_hub.audit.jsonl", 31, "a")];
        assert_eq!(joined(false, &files), ["0", "0 after a10", "0 after a20", "0 after a30"]);
    }

    #[test]
    fn gateways_are_told_apart_by_the_names_of_their_files() {
        let others = older("mcp/lab_hub", 21);
        let files = [
            ("mcp/default_hub.audit.jsonl", 11, "a"),
            (&others, 21, "b"),
            ("mcp/lab_hub.audit.jsonl", 31, "b"),
            ("mcp/a_hub/audit.jsonl", 41, "c"),
            ("mcp/b_hub/audit.jsonl", 51, "d"),
        ];
        let said = joined(false, &files);
        assert_eq!(said[..5], ["0", "1", "1 after b30", "2", "3"]);
        assert_eq!(said.len(), 9, "{said:?}");
        assert_eq!(said[6], format!("{others} begins with record 21: those before it are not here"));
        assert!(joined(true, &files)[1].starts_with("0 "), "all are to be one");
    }

    #[test]
    fn what_the_gateway_removed_between_files_and_wrote_down_is_no_fault() {
        for removed in [vec![], vec![(20, "a20".to_owned())], vec![(19, "a19".to_owned())]] {
            let is_explained = removed.iter().any(|(number, _)| *number == 20);
            let (moved, kept) = (older("archive/hub", 1), "mcp/hub.audit.jsonl");
            let mut chains = Chains::new([Path::new(&moved), Path::new(kept)], false);
            let begin = chains.join(Path::new(&moved), &Place { sequence: 1, previous: "0".repeat(64) });
            let piece =
                |last: u64, removed| Piece { count: 10, first: None, last: Some((last, format!("a{last}"))), removed };
            chains.take(&begin, piece(10, Vec::new()));
            let rest = chains.join(Path::new(kept), &Place { sequence: 21, previous: "a20".to_owned() });
            chains.take(&rest, piece(30, removed));
            let gaps = chains.gaps();
            assert!(gaps.len() == 1 && gaps[0].0 == kept && gaps[0].2 == is_explained, "{gaps:?}");
            let said = format!("records 11 to 20 are missing between {moved} and this file");
            assert!(gaps[0].1.starts_with(&said), "{gaps:?}");
        }
    }

    #[test]
    fn what_is_missing_between_files_is_said_by_its_numbers() {
        let (first, third) = (older("archive/default_hub", 1), older("mcp/default_hub", 21));
        let lacks = format!("0 lacks 11..=20 after {first}");
        assert_eq!(joined(false, &[(&first, 1, "a"), (&third, 21, "a")]), ["0", &lacks]);
        // Names that say nothing are no reason to take what is left for something else.
        for (before, after) in [("old", "new"), ("old", "default_hub.audit.jsonl"), ("default_hub.audit.jsonl", "new")]
        {
            let lacks = format!("0 lacks 11..=20 after {before}");
            assert_eq!(joined(false, &[(before, 1, "a"), (after, 21, "a")]), ["0", &lacks]);
        }
        // Of a gateway that is a process the older files may be somewhere else.
        let lacks = "0 lacks 11..=20 after archive/audit-00000000000000000001.jsonl";
        let files = [("archive/audit-00000000000000000001.jsonl", 1, "a"), ("state/audit.jsonl", 21, "a")];
        assert_eq!(joined(false, &files), ["0", lacks]);
        // Numbers that are there twice do not fit.
        assert_eq!(joined(false, &[("old", 1, "a"), ("new", 6, "a")]), ["0", "0 after a10"]);
    }
}
