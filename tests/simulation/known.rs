//! What the controller was told to want, and when: every version that was read, by object.

use std::collections::{BTreeMap, BTreeSet};

use crds_schema::{Kind, ObjectKey};

use super::wanted::{App, Spec};

/// How long a pass that was planned by an older version may still make calls.
const PASS_MS: u64 = 90_000;

/// Every version of every object that was read.
#[derive(Debug, Default)]
pub(crate) struct Known {
    now_ms: u64,
    versions: BTreeMap<ObjectKey, Vec<Version>>,
}

#[derive(Debug)]
struct Version {
    /// Nothing: it was in no manifest.
    spec: Option<Spec>,
    since_ms: u64,
}

impl Known {
    /// It is now so late.
    pub(crate) fn advance(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// These are wanted now, and nothing else.
    pub(crate) fn take(&mut self, now: Vec<(ObjectKey, Spec)>) {
        let now: BTreeMap<ObjectKey, Spec> = now.into_iter().collect();
        let keys: BTreeSet<ObjectKey> = self.versions.keys().chain(now.keys()).cloned().collect();
        for key in keys {
            let spec = now.get(&key).cloned();
            let versions = self.versions.entry(key).or_default();
            if versions.last().map(|last| &last.spec) != Some(&spec) {
                versions.push(Version { spec, since_ms: self.now_ms });
            }
        }
    }

    /// The versions of a deployment that a call may follow which was sent then. None: in no manifest.
    pub(crate) fn during(&self, key: &ObjectKey, sent_ms: u64) -> Vec<Option<App>> {
        self.specs_during(key, sent_ms).into_iter().map(|spec| spec.and_then(Spec::app).cloned()).collect()
    }

    /// Every version of a deployment that was read before a call was sent, the first one first.
    pub(crate) fn before(&self, key: &ObjectKey, sent_ms: u64) -> Vec<&App> {
        let versions = self.versions.get(key).into_iter().flatten();
        let read = versions.filter(|version| version.since_ms <= sent_ms);
        read.filter_map(|version| version.spec.as_ref().and_then(Spec::app)).collect()
    }

    fn specs_during(&self, key: &ObjectKey, sent_ms: u64) -> Vec<Option<&Spec>> {
        let Some(versions) = self.versions.get(key) else { return Vec::new() };
        let ends = versions.iter().skip(1).map(|next| next.since_ms).chain([u64::MAX]);
        let from_ms = sent_ms.saturating_sub(PASS_MS);
        let overlaps = |(version, end_ms): &(&Version, u64)| version.since_ms <= sent_ms && *end_ms >= from_ms;
        versions.iter().zip(ends).filter(overlaps).map(|(version, _)| version.spec.as_ref()).collect()
    }

    /// Whether one version of a deployment has this image and another this environment, and none has both.
    pub(crate) fn is_mixture(&self, key: &ObjectKey, image: &str, env: &[String]) -> bool {
        let versions = self.versions.get(key).into_iter().flatten();
        let apps: Vec<&App> = versions.filter_map(|version| version.spec.as_ref().and_then(Spec::app)).collect();
        let has_env = |app: &&App| env.contains(&format!("VERSION={}", app.version));
        let has_image = |app: &&App| app.image == image;
        apps.iter().any(has_env) && apps.iter().any(has_image) && !apps.iter().any(|app| has_env(app) && has_image(app))
    }

    /// How many objects there ever were.
    pub(crate) fn objects_ever(&self) -> usize {
        self.versions.len()
    }

    /// Whether an object ever changed.
    pub(crate) fn was_changed(&self, key: &ObjectKey) -> bool {
        self.versions.get(key).is_some_and(|versions| versions.len() > 1)
    }

    /// Whether an object was in no manifest at some time.
    pub(crate) fn was_ever_missing(&self, key: &ObjectKey) -> bool {
        self.versions.get(key).is_some_and(|versions| versions.iter().any(|version| version.spec.is_none()))
    }

    /// How many objects are wanted.
    pub(crate) fn present(&self) -> usize {
        self.versions.values().filter(|versions| versions.last().is_some_and(|last| last.spec.is_some())).count()
    }

    /// The objects that were wanted and are no longer.
    pub(crate) fn missing(&self) -> BTreeSet<ObjectKey> {
        let is_missing =
            |(_, versions): &(&ObjectKey, &Vec<Version>)| versions.last().is_some_and(|last| last.spec.is_none());
        self.versions.iter().filter(is_missing).map(|(key, _)| key.clone()).collect()
    }

    /// The object of a volume by its name in the Engine.
    pub(crate) fn volume_named(&self, engine_name: &str) -> Option<&ObjectKey> {
        self.versions.keys().find(|key| key.kind == Kind::Volume && key.engine_name() == engine_name)
    }

    /// Whether a volume, by its name in the Engine, may be removed by a call that was sent then: its object is gone, and said so before.
    pub(crate) fn allows_volume_removal(&self, engine_name: &str, sent_ms: u64) -> bool {
        let Some(key) = self.volume_named(engine_name) else { return false };
        let is_gone = self.specs_during(key, sent_ms).iter().any(Option::is_none);
        let mut had_said = self.versions[key].iter().rev().filter(|version| version.since_ms <= sent_ms);
        let last_said = had_said.find_map(|version| version.spec.as_ref());
        is_gone && matches!(last_said, Some(Spec::Volume { is_deleted: true }))
    }
}
