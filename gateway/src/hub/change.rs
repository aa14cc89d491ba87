//! Changes of what servers list: which there are, and how they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::{Contribution, ListKind};
use crate::subscription::Watched;
use crate::wire::object::quote;
use crate::wire::reply::notification;

/// What those who listen are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A list has changed.
    List(ListKind),
    /// Resources were updated: all that are told of at once are one change, so that a renewal of many leaves nobody behind.
    Resources(Arc<BTreeSet<Watched>>),
}

/// The notification of a change of a list; changes of templates are told as those of resources.
pub fn change_method(kind: ListKind) -> Option<&'static str> {
    match kind {
        ListKind::Tools => Some("notifications/tools/list_changed"),
        ListKind::Prompts => Some("notifications/prompts/list_changed"),
        ListKind::Resources => Some("notifications/resources/list_changed"),
        ListKind::Templates => None,
    }
}

/// What a session is told of a resource that was updated.
pub(super) fn updated(uri: &str) -> String {
    notification("notifications/resources/updated", Some(&format!("{{\"uri\":{}}}", quote(uri))))
}

/// The lists that are not what they were.
pub(super) fn changed_lists(
    before: &BTreeMap<Arc<str>, Contribution>,
    after: &BTreeMap<Arc<str>, Contribution>,
) -> BTreeSet<ListKind> {
    let names: BTreeSet<&Arc<str>> = before.keys().chain(after.keys()).collect();
    let mut changed = BTreeSet::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let (Some(old), Some(new)) = (old, new) else {
            changed.extend([ListKind::Tools, ListKind::Prompts, ListKind::Resources]);
            continue;
        };
        let is_shown_alike = old.config.allow == new.config.allow
            && old.config.deny == new.config.deny
            && old.config.rename == new.config.rename
            && old.hidden == new.hidden;
        if old.listing.tools != new.listing.tools || !is_shown_alike {
            changed.insert(ListKind::Tools);
        }
        if old.listing.prompts != new.listing.prompts || old.hidden != new.hidden {
            changed.insert(ListKind::Prompts);
        }
        if old.listing.resources != new.listing.resources
            || old.listing.templates != new.listing.templates
            || old.listing.instructions != new.listing.instructions
            || old.listing.capabilities != new.listing.capabilities
        {
            changed.insert(ListKind::Resources);
        }
    }
    changed
}
