//! The two databases are twins: the same changes give the same content on both, and a crash leaves a prefix.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::store::kv::{Batch, CommitMode, Durability, Kv, Value};
use crate::store::memory::MemoryKv;
use crate::store::sled::SledKv;

type Content = BTreeMap<String, Vec<u8>>;

fn batches() -> impl Strategy<Value = Vec<(Batch, bool)>> {
    let change = proptest::option::weighted(0.7, vec(any::<u8>(), 0..40));
    let entry = ("(a|b|ab)/[a-c|~é]{0,2}", change.prop_map(|value| value.map(Value::from)));
    vec((vec(entry, 0..6).prop_map(|entries| entries.into_iter().collect()), any::<bool>()), 1..12)
}

fn content(kv: &dyn Kv, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    kv.scan_prefix(prefix, &mut |key, value| found.push((key.to_owned(), value.to_vec()))).unwrap();
    found
}

fn apply(model: &mut Content, batch: &Batch) {
    for (key, change) in batch {
        match change {
            Some(value) => model.insert(key.clone(), value.to_vec()),
            None => model.remove(key),
        };
    }
}

const fn mode(is_durable: bool) -> CommitMode {
    if is_durable { CommitMode::Durable } else { CommitMode::Lazy }
}

/// Commits, and compares everything that can be read with a plain map.
fn check_against_model(kv: &dyn Kv, batches: &[(Batch, bool)]) {
    let mut model = Content::new();
    for (batch, is_durable) in batches {
        kv.commit(batch, mode(*is_durable)).unwrap();
        apply(&mut model, batch);
        for prefix in ["", "a", "a/", "b/", "zz"] {
            let expected: Vec<(String, Vec<u8>)> =
                model.clone().into_iter().filter(|(key, _)| key.starts_with(prefix)).collect();
            assert_eq!(content(kv, prefix), expected);
        }
        for key in batch.keys() {
            assert_eq!(kv.get(key).unwrap().map(|value| value.to_vec()), model.get(key).cloned());
        }
    }
    kv.reopen().unwrap();
    assert_eq!(content(kv, ""), model.into_iter().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_databases_hold_what_was_committed_in_the_order_of_the_keys(batches in batches()) {
        check_against_model(&MemoryKv::default(), &batches);
        let directory = tempfile::tempdir().unwrap();
        check_against_model(&SledKv::open(directory.path(), Durability::Process).unwrap(), &batches);
    }

    #[test]
    fn a_crash_of_the_memory_leaves_every_durable_batch_and_a_prefix_of_the_others(batches in batches(), kept in 0_usize..12) {
        let kv = MemoryKv::default();
        for (batch, is_durable) in &batches {
            kv.commit(batch, mode(*is_durable)).unwrap();
        }
        let durable = batches.iter().rposition(|(_, is_durable)| *is_durable).map_or(0, |last| last + 1);
        prop_assert_eq!(kv.undurable_batches(), batches.len() - durable);
        let mut model = Content::new();
        batches.iter().take(durable + kept).for_each(|(batch, _)| apply(&mut model, batch));
        prop_assert_eq!(content(&kv.crash_keeping(kept), ""), model.into_iter().collect::<Vec<_>>());
    }
}
