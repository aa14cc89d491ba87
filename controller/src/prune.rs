//! Prune: what becomes of objects that are no longer in the manifests. Pure: a decision from facts.
//!
//! Every guard errs on the side of keeping: what is kept by mistake costs a confirmation, what is removed by mistake costs data.

use std::collections::BTreeMap;

use crds_schema::ObjectKey;
use planner::world::Removal;

use crate::board::PruneHeld;

/// The facts that prune decides by.
#[derive(Debug, Clone)]
pub struct PruneFacts<'facts> {
    /// Objects that were there, or own something in the Engine, and are not wanted.
    pub missing: BTreeMap<ObjectKey, Candidate>,
    /// How many objects are wanted.
    pub wanted: usize,
    /// The share of all objects, in percent, that may go without asking. One always may.
    pub limit_percent: u8,
    /// How long an object must have been missing.
    pub delay_ms: i64,
    /// Now.
    pub now_ms: i64,
    /// Whether the source could be read, and said anything.
    pub source: SourceState<'facts>,
    /// Nothing goes in this pass: the store is new or was lost, so that what is missing may only be forgotten.
    pub is_restricted: bool,
    /// The token that a user has confirmed.
    pub confirmed: Option<&'facts str>,
}

/// An object that may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// It said that it is never to be pruned.
    pub is_protected: bool,
    /// It said that its volume goes with it.
    pub delete_volumes: bool,
    /// Since when it has been missing.
    pub since_ms: i64,
    /// Its removal has begun.
    pub is_begun: bool,
    /// It is in the manifests, but at fault.
    pub is_refused: bool,
}

/// What the source of the manifests said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState<'facts> {
    /// Manifests.
    Read,
    /// Manifests, but not what this file of them says: what is missing elsewhere may have moved to it.
    Incomplete(&'facts str),
    /// Nothing at all: no file.
    Empty,
    /// It could not be read, for this reason.
    Unavailable(&'facts str),
}

/// What prune decides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PruneDecision {
    /// What becomes of each missing object.
    pub removals: BTreeMap<ObjectKey, Removal>,
    /// What waits for a user's word.
    pub held: Option<PruneHeld>,
    /// When to decide again.
    pub next_ms: Option<i64>,
}

/// Decides what becomes of the objects that are missing.
pub fn decide(facts: &PruneFacts<'_>) -> PruneDecision {
    let mut decision = PruneDecision::default();
    let mut open: Vec<(&ObjectKey, &Candidate)> = Vec::new();
    for (key, candidate) in &facts.missing {
        if candidate.is_begun {
            let removal = Removal::Approved { delete_volumes: candidate.delete_volumes };
            decision.removals.insert(key.clone(), removal);
        } else if candidate.is_protected {
            let reason = "it is protected by the annotation evenkeel.dev/protect".to_owned();
            decision.removals.insert(key.clone(), Removal::Held(reason));
        } else if candidate.is_refused {
            let reason = "it is in the manifests, but clashes with another object".to_owned();
            decision.removals.insert(key.clone(), Removal::Held(reason));
        } else {
            open.push((key, candidate));
        }
    }
    if open.is_empty() {
        return decision;
    }
    let token = token_of(open.iter().map(|(key, _)| *key));
    let is_confirmed = facts.confirmed == Some(token.as_str());
    let hold = hold_reason(facts, open.len());
    match hold {
        Some(Hold { reason, is_confirmable }) if !(is_confirmable && is_confirmed) => {
            let text = if is_confirmable {
                format!("{reason}; confirm with `evenkeel prune --confirm {token}`")
            } else {
                reason.clone()
            };
            for (key, _) in &open {
                decision.removals.insert((*key).clone(), Removal::Held(text.clone()));
            }
            if is_confirmable {
                let keys = open.iter().map(|(key, _)| (*key).clone()).collect();
                decision.held = Some(PruneHeld { keys, token, reason });
            }
        }
        Some(_) | None => {
            for (key, candidate) in open {
                let due_ms = candidate.since_ms.saturating_add(facts.delay_ms);
                let removal = if due_ms <= facts.now_ms {
                    Removal::Approved { delete_volumes: candidate.delete_volumes }
                } else {
                    decision.next_ms = Some(decision.next_ms.map_or(due_ms, |next| next.min(due_ms)));
                    Removal::Tombstone(due_ms)
                };
                decision.removals.insert(key.clone(), removal);
            }
        }
    }
    decision
}

struct Hold {
    reason: String,
    is_confirmable: bool,
}

fn hold_reason(facts: &PruneFacts<'_>, missing: usize) -> Option<Hold> {
    if let SourceState::Unavailable(problem) = facts.source {
        return Some(Hold { reason: problem.to_owned(), is_confirmable: false });
    }
    if facts.is_restricted {
        let reason = "nothing is removed in the first pass after the store was new or lost".to_owned();
        return Some(Hold { reason, is_confirmable: false });
    }
    let total = facts.wanted + missing;
    let percent = missing.saturating_mul(100) / total.max(1);
    if facts.source == SourceState::Empty {
        let reason = format!("E0237: the manifest directory is empty, which would remove all {missing} objects");
        return Some(Hold { reason, is_confirmable: true });
    }
    if let SourceState::Incomplete(file) = facts.source {
        let reason = format!("`{file}` is at fault, and may hold what is missing");
        return Some(Hold { reason, is_confirmable: true });
    }
    if missing > 1 && percent > usize::from(facts.limit_percent) {
        let limit = facts.limit_percent;
        let reason = format!("E0237: {missing} of {total} objects would be removed, more than {limit} %");
        return Some(Hold { reason, is_confirmable: true });
    }
    None
}

/// A short word for a set of objects: another set has another one.
fn token_of<'keys>(keys: impl Iterator<Item = &'keys ObjectKey>) -> String {
    let text: Vec<String> = keys.map(ToString::to_string).collect();
    let hash = planner::hash::hash_template(&text.join("\n"));
    planner::hash::short_hash(&hash).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use planner::world::Removal;

    use super::{Candidate, PruneFacts, SourceState, decide};

    const MISSING: Candidate =
        Candidate { is_protected: false, delete_volumes: false, since_ms: 0, is_begun: false, is_refused: false };

    fn facts(missing: &[(&str, Candidate)], wanted: usize) -> PruneFacts<'static> {
        let missing: BTreeMap<_, _> =
            missing.iter().map(|(key, candidate)| (key.parse().unwrap(), *candidate)).collect();
        PruneFacts {
            missing,
            wanted,
            limit_percent: 30,
            delay_ms: 10_000,
            now_ms: 20_000,
            source: SourceState::Read,
            is_restricted: false,
            confirmed: None,
        }
    }

    fn removal(facts: &PruneFacts<'_>, key: &str) -> Removal {
        decide(facts).removals[&key.parse().unwrap()].clone()
    }

    #[test]
    fn one_object_goes_after_its_time_and_not_before() {
        let old = facts(&[("Deployment/web", MISSING)], 2);
        assert_eq!(removal(&old, "Deployment/web"), Removal::Approved { delete_volumes: false });
        let young = facts(&[("Deployment/web", Candidate { since_ms: 15_000, ..MISSING })], 2);
        assert_eq!(removal(&young, "Deployment/web"), Removal::Tombstone(25_000));
        assert_eq!(decide(&young).next_ms, Some(25_000));
    }

    #[test]
    fn more_than_the_share_is_held_until_its_own_token_is_confirmed() {
        let mut many = facts(&[("Deployment/a", MISSING), ("Deployment/b", MISSING)], 2);
        let held = decide(&many).held.unwrap();
        assert!(matches!(removal(&many, "Deployment/a"), Removal::Held(_)));
        many.confirmed = Some("00000000");
        assert!(matches!(removal(&many, "Deployment/a"), Removal::Held(_)));
        many.confirmed = Some(&held.token);
        assert_eq!(removal(&many, "Deployment/a"), Removal::Approved { delete_volumes: false });
    }

    #[test]
    fn nothing_goes_while_a_file_that_may_hold_it_is_at_fault() {
        let broken =
            PruneFacts { source: SourceState::Incomplete("app.yaml"), ..facts(&[("Deployment/a", MISSING)], 9) };
        let Removal::Held(reason) = removal(&broken, "Deployment/a") else { panic!("{:?}", decide(&broken)) };
        assert!(reason.starts_with("`app.yaml` is at fault"), "{reason}");
        let token = decide(&broken).held.unwrap().token;
        let confirmed = PruneFacts { confirmed: Some(&token), ..broken };
        assert_eq!(removal(&confirmed, "Deployment/a"), Removal::Approved { delete_volumes: false });
    }

    #[test]
    fn what_is_in_the_manifests_but_refused_stays() {
        let facts = facts(&[("Deployment/a", Candidate { is_refused: true, ..MISSING }), ("Volume/b", MISSING)], 5);
        assert!(matches!(removal(&facts, "Deployment/a"), Removal::Held(_)));
        assert!(matches!(removal(&facts, "Volume/b"), Removal::Approved { .. }));
    }

    #[test]
    fn an_empty_directory_removes_nothing_by_itself() {
        let mut empty = facts(&[("Deployment/a", MISSING)], 0);
        empty.source = SourceState::Empty;
        assert!(matches!(removal(&empty, "Deployment/a"), Removal::Held(_)));
        assert!(decide(&empty).held.is_some());
    }

    #[test]
    fn a_source_that_cannot_be_read_or_a_lost_store_removes_nothing_whatever_is_confirmed() {
        let mut unavailable = facts(&[("Deployment/a", MISSING)], 5);
        unavailable.source = SourceState::Unavailable("gone");
        assert!(matches!(removal(&unavailable, "Deployment/a"), Removal::Held(_)));
        assert_eq!(decide(&unavailable).held, None);
        let mut lost = facts(&[("Deployment/a", MISSING)], 5);
        lost.is_restricted = true;
        assert!(matches!(removal(&lost, "Deployment/a"), Removal::Held(_)));
    }

    #[test]
    fn what_is_protected_stays_and_does_not_hold_the_others() {
        let protected = Candidate { is_protected: true, ..MISSING };
        let facts =
            facts(&[("Deployment/a", protected), ("Volume/b", Candidate { delete_volumes: true, ..MISSING })], 5);
        assert!(matches!(removal(&facts, "Deployment/a"), Removal::Held(_)));
        assert_eq!(removal(&facts, "Volume/b"), Removal::Approved { delete_volumes: true });
    }
}
