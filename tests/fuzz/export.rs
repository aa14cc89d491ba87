//! An export of the store, read back where the store is lost.

use controller::store::recovery::{Recovery, StoreConfig, open};

/// Rebuilds a store from an export of these bytes, beside one that is good and older.
pub(super) fn target(bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let exports = directory.path().join("exports");
    std::fs::create_dir(&exports).unwrap();
    let good = "{\"evenkeelExport\":1,\"commits\":1}\n{\"endOfExport\":0}\n";
    std::fs::write(exports.join("export-00000000000000000001.jsonl"), good).unwrap();
    std::fs::write(exports.join("export-00000000000000000002.jsonl"), bytes).unwrap();
    let opened = open(&StoreConfig::new(directory.path())).unwrap();
    assert!(matches!(opened.recovery, Recovery::Rebuilt { from_export: true, .. }), "{:?}", opened.recovery);
    let store = opened.store;
    drop((store.objects().unwrap(), store.events().unwrap(), store.tombstones().unwrap(), store.good_files().unwrap()));
    // What an export holds was checked when it was read.
    let damaged = |error: &&_| matches!(error, controller::store::codec::CodecError::Damaged { .. });
    assert_eq!(store.damage().values().find(damaged), None);
}
