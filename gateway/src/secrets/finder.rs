//! Several texts looked for at once: however many they are, a text is read through once.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// Finds any of several texts in another one.
#[derive(Default)]
pub(super) struct Finder {
    needles: Vec<String>,
    /// What says whether there is any, and what finds all. Absent where there is nothing to find, and where there is more than they can hold.
    automata: Option<(AhoCorasick, AhoCorasick)>,
}

impl Finder {
    /// Finds these. None of them is empty.
    pub(super) fn new<'needles>(needles: impl IntoIterator<Item = &'needles str>) -> Self {
        let mut needles: Vec<String> = needles.into_iter().map(str::to_owned).collect();
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        // The fastest kind takes a megabyte for a hundred needles.
        let build = |kind| {
            let mut builder = AhoCorasick::builder();
            builder.match_kind(kind).kind(Some(AhoCorasickKind::ContiguousNFA)).build(&needles).ok()
        };
        let is_any = !needles.is_empty();
        // Of the kind that is quick to say no, and of the one that knows which overlap.
        let automata = is_any.then(|| build(MatchKind::LeftmostFirst).zip(build(MatchKind::Standard))).flatten();
        Self { needles, automata }
    }

    /// Whether there is nothing to find.
    pub(super) const fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Whether one of them is in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        match &self.automata {
            Some((scout, _)) => scout.is_match(text),
            None => self.needles.iter().any(|needle| text.contains(needle)),
        }
    }

    /// A text with something else in the place of each; those that overlap are replaced as one.
    pub(super) fn replace<'t>(&self, text: Cow<'t, str>, instead: &str) -> Cow<'t, str> {
        if !self.is_in(&text) {
            return text;
        }
        Cow::Owned(match &self.automata {
            Some((_, all)) => {
                let mut replaced = String::with_capacity(text.len());
                let mut end = 0;
                for found in joined(all.find_overlapping_iter(&*text).map(|found| found.range())) {
                    replaced.push_str(text.get(end..found.start).unwrap_or_default());
                    replaced.push_str(instead);
                    end = found.end;
                }
                replaced.push_str(text.get(end..).unwrap_or_default());
                replaced
            }
            None => self.needles.iter().fold(text.into_owned(), |text, needle| text.replace(needle, instead)),
        })
    }
}

/// Ranges that come in the order of their ends, those that overlap as one.
fn joined(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for mut range in ranges {
        while let Some(before) = joined.pop_if(|before| before.end > range.start) {
            range.start = range.start.min(before.start);
        }
        joined.push(range);
    }
    joined
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it finds is what nobody may be told.
        f.debug_struct("Finder").field("needles", &self.needles.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Finder;

    #[test]
    fn what_holds_another_one_is_replaced_whole_in_either_way() {
        let quick = Finder::new(["the first", "the first and second", "and third"]);
        let slow = Finder { needles: quick.needles.clone(), automata: None };
        for finder in [quick, slow] {
            for (text, expected) in [
                ("the first, and second", "-, and second"),
                ("the first and second, and third", "-, -"),
                ("the first and third", "- -"),
                ("nothing", "nothing"),
            ] {
                assert_eq!(finder.replace(text.into(), "-"), expected);
                assert_eq!(finder.is_in(text), text != expected);
            }
        }
        assert!(!Finder::new([]).is_in("") && Finder::default().is_empty());
    }

    #[test]
    fn of_those_that_overlap_nothing_is_left() {
        let finder = Finder::new(["abcdefghij", "hijKLMNOPQRS", "efg", "QRST"]);
        assert_eq!(finder.replace("abcdefghijKLMNOPQRST, efgefg".into(), "-"), "-, --");
    }

    #[test]
    fn what_is_looked_for_is_not_shown() {
        assert_eq!(format!("{:?}", Finder::new(["the first"])), "Finder { needles: 1, .. }");
    }
}
