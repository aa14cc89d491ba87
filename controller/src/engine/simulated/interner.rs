//! Texts that many containers share, kept once.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Shared texts. What nobody uses any more is dropped when the set has doubled.
#[derive(Debug, Default)]
pub(super) struct Interner {
    texts: BTreeSet<Arc<str>>,
    swept_at: usize,
}

impl Interner {
    pub(super) fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return Arc::clone(shared);
        }
        if self.texts.len() > 2 * self.swept_at.max(512) {
            self.texts.retain(|shared| Arc::strong_count(shared) > 1);
            self.swept_at = self.texts.len();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&shared));
        shared
    }

    pub(super) fn intern_all(&mut self, texts: &[String]) -> Box<[Arc<str>]> {
        texts.iter().map(|text| self.intern(text)).collect()
    }
}
