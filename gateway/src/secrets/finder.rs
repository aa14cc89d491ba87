//! Several texts looked for at once: however many they are, a text is read through once.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// Finds any of several texts in another one.
#[derive(Default)]
pub(super) struct Finder {
    needles: Vec<String>,
    /// Absent where there is nothing to find, and where there is more than it can hold.
    automaton: Option<AhoCorasick>,
}

impl Finder {
    /// Finds these. None of them is empty.
    pub(super) fn new<'needles>(needles: impl IntoIterator<Item = &'needles str>) -> Self {
        let mut needles: Vec<String> = needles.into_iter().map(str::to_owned).collect();
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let mut builder = AhoCorasick::builder();
        // The fastest kind takes a megabyte for a hundred needles.
        builder.match_kind(MatchKind::LeftmostLongest).kind(Some(AhoCorasickKind::ContiguousNFA));
        let automaton = if needles.is_empty() { None } else { builder.build(&needles).ok() };
        Self { needles, automaton }
    }

    /// Whether there is nothing to find.
    pub(super) const fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// Whether one of them is in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        match &self.automaton {
            Some(automaton) => automaton.is_match(text),
            None => self.needles.iter().any(|needle| text.contains(needle)),
        }
    }

    /// A text with something else in the place of each: of two that overlap the one that begins first, or else the longer one, is replaced whole.
    pub(super) fn replace<'t>(&self, text: Cow<'t, str>, instead: &str) -> Cow<'t, str> {
        if !self.is_in(&text) {
            return text;
        }
        Cow::Owned(match &self.automaton {
            Some(automaton) => {
                let mut replaced = String::with_capacity(text.len());
                automaton.replace_all_with(&text, &mut replaced, |_, _, replaced| {
                    replaced.push_str(instead);
                    true
                });
                replaced
            }
            None => self.needles.iter().fold(text.into_owned(), |text, needle| text.replace(needle, instead)),
        })
    }
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
        let slow = Finder { needles: quick.needles.clone(), automaton: None };
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
    fn what_is_looked_for_is_not_shown() {
        assert_eq!(format!("{:?}", Finder::new(["the first"])), "Finder { needles: 1, .. }");
    }
}
