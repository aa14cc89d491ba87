//! What of a server is not approved, in short: names and numbers, and nothing that a server says.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::book::{Doubt, DoubtKind};

/// What of one server is not approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// How many definitions are new.
    pub new: usize,
    /// How many have changed.
    pub changed: usize,
    /// How many are not there any more.
    pub removed: usize,
    /// The names of all of them.
    pub names: BTreeSet<String>,
    /// Some are hidden until they are approved.
    pub is_hidden: bool,
    /// An instance waits for the approval, while another one serves.
    pub is_waiting: bool,
}

impl Review {
    /// A review of each server of which something is not approved, by its name.
    pub fn of_each(doubts: &[Doubt]) -> BTreeMap<String, Self> {
        let mut reviews: BTreeMap<String, Self> = BTreeMap::new();
        for doubt in doubts {
            let review = reviews.entry(doubt.server.clone()).or_default();
            match doubt.kind {
                DoubtKind::New(_) => review.new += 1,
                DoubtKind::Changed(_) => review.changed += 1,
                DoubtKind::Removed => review.removed += 1,
            }
            review.names.insert(doubt.tool.clone());
            review.is_hidden |= doubt.is_hidden && !doubt.is_waiting;
            review.is_waiting |= doubt.is_waiting;
        }
        reviews
    }
}
