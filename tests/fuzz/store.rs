//! The records of the store, as a failing disk or another release may leave them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use controller::store::Store;
use controller::store::codec;
use controller::store::kv::Kv as _;
use controller::store::memory::MemoryKv;
use controller::store::record::GoodFile;
use crds_schema::ObjectKey;
use serde_json::Value as Json;

/// What records are made of.
pub(super) const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\t",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1e999",
    b"\0",
    b"\xff",
    b"18446744073709551615",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"=",
    b"|",
    b"/",
    b"\"v\":2",
    b"\"v\":4294967295",
    b",\"data\":",
    b",\"record\":",
    b"\"sum\":\"0000000000000000\"",
    b"\"kind\":\"meta\"",
    b"object/",
    b"event/",
    b"generation/",
    b"inventory/",
    b"file/",
    b"tombstone/",
    b"container/",
    b"intent/",
    b"pass/",
    b"archive/",
    b"meta/",
    b"meta/commits",
    b"Deployment/web",
    b"Volume/a/b/c",
    b"intent/18446744073709551615",
    b"{\"endOfExport\":1}",
    b"{\"evenkeelExport\":1,\"commits\":1}",
];

/// Opens a store over what the bytes say, and checks that it is read as far as it can be.
///
/// Each line is a key, a tab, and the value. A value that begins with `=` is the JSON of a record that is whole; any other one is
/// put as it is.
pub(super) fn target(bytes: &[u8]) {
    let kv = MemoryKv::default();
    write_good_records(&kv);
    let mut put: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(tab) = line.iter().position(|byte| *byte == b'\t') else { continue };
        let Ok(key) = std::str::from_utf8(&line[..tab]) else { continue };
        if !key.contains("/good") && kv.get(key).unwrap().is_none() {
            put.insert(key.to_owned(), record(key, &line[tab + 1..]));
        }
    }
    for (key, value) in &put {
        kv.corrupt(key, value);
    }
    let store = Store::over_memory(kv).unwrap();
    read_everything(&store);
    check_damage(&store, &put);
    check_good_records(&store);
    check_that_it_goes_on(&store);
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let whole = value.strip_prefix(b"=").and_then(|json| serde_json::from_slice::<Json>(json).ok());
    whole.map_or_else(|| value.to_vec(), |json| codec::encode(key, &json).unwrap().to_vec())
}

fn good_key() -> ObjectKey {
    "Deployment/good".parse().unwrap()
}

fn good_file() -> GoodFile {
    GoodFile { text_hash: "1".into(), manifests: vec![Json::Null] }
}

fn write_good_records(kv: &MemoryKv) {
    let store = Store::over_memory(kv.clone()).unwrap();
    let mut write = store.write();
    write.put_tombstone(&good_key(), 7);
    write.put_good_file("good.yaml", &good_file());
    write.put_known_container("good", &good_key());
    write.put_meta("good", &"kept");
    write.commit_lazily().unwrap();
}

fn check_good_records(store: &Store) {
    assert_eq!(store.tombstones().unwrap().get(&good_key()), Some(&7));
    assert_eq!(store.good_files().unwrap().get("good.yaml"), Some(&good_file()));
    assert_eq!(store.known_containers().unwrap().get("good"), Some(&good_key()));
    assert_eq!(store.meta::<String>("good").unwrap().as_deref(), Some("kept"));
}

fn read_everything(store: &Store) {
    let read = (
        (store.objects().unwrap(), store.events().unwrap(), store.inventories().unwrap(), store.good_files().unwrap()),
        (store.tombstones().unwrap(), store.known_containers().unwrap(), store.open_intents().unwrap()),
        (store.finished_passes().unwrap(), store.archived_manifests().unwrap(), store.engine_id().unwrap()),
    );
    for record in &read.0.0 {
        assert!(serde_json::to_string(record).is_ok());
    }
    drop(read);
}

/// Whatever stands where it is listed and is no record is reported.
fn check_damage(store: &Store, put: &BTreeMap<String, Vec<u8>>) {
    const LISTED: [&str; 9] =
        ["object/", "event/", "inventory/", "file/", "tombstone/", "container/", "intent/", "pass/", "archive/"];
    let damage = store.damage();
    for (key, value) in put {
        let is_listed = LISTED.iter().any(|prefix| key.starts_with(prefix));
        if is_listed && codec::check(key, value).is_err() {
            assert!(damage.contains_key(key), "`{key}` is damaged and nobody says so");
        }
    }
    for key in damage.keys() {
        assert!(put.contains_key(key), "`{key}` is whole, but reported as damaged");
    }
}

/// New records are numbered after the old ones, and written.
fn check_that_it_goes_on(store: &Store) {
    let mut write = store.write();
    let id = write.begin_pass(&good_key(), vec!["step".into()], 1);
    write.observe_manifest(&"Deployment/next".parse().unwrap(), &Json::Null);
    write.commit_lazily().unwrap();
    let mut write = store.write();
    write.finish_pass(id, vec!["done".into()], 2);
    write.commit_lazily().unwrap();
    let passes = store.finished_passes().unwrap();
    assert!(passes.iter().any(|pass| pass.intent.id == id && pass.finished_ms == 2), "a pass was lost");
    check_good_records(store);
}

#[test]
fn the_target_finds_a_record_that_is_read_over() {
    // Shows that the checks can fail: what is listed and damaged must be reported, so a key that is not listed is not.
    let kv = MemoryKv::default();
    kv.corrupt("tombstone/Deployment/web", b"damaged");
    let store = Store::over_memory(kv).unwrap();
    let put = BTreeMap::from([("tombstone/Deployment/web".to_owned(), b"damaged".to_vec())]);
    let unread = catch_unwind(AssertUnwindSafe(|| check_damage(&store, &put)));
    assert!(unread.is_err(), "nothing was read, so nothing can have been reported");
    read_everything(&store);
    check_damage(&store, &put);
}
