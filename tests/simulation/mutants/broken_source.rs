//! A directory of manifests as a broken controller reads it; the oracle knows what it really says.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value as Json;

use super::Mutant;

/// What becomes of what is read.
#[derive(Debug, Default)]
pub(crate) struct Distortion {
    mutant: Option<Mutant>,
    /// Each file as it was first read.
    first: Mutex<BTreeMap<String, String>>,
}

impl Distortion {
    /// What a mutant does to it.
    pub(crate) fn of(mutant: Option<Mutant>) -> Self {
        Self { mutant, ..Self::default() }
    }

    /// Whether the directory is read also where nothing is heard of it.
    pub(crate) fn is_polling(&self) -> bool {
        self.mutant != Some(Mutant::NeverPolls)
    }

    /// The text of a file.
    pub(crate) fn of_text(&self, name: &str, text: String) -> String {
        match self.mutant {
            Some(Mutant::ForgetsDependencies) => change(&text, |manifest| {
                if let Some(spec) = manifest["spec"].as_object_mut() {
                    spec.remove("dependsOn");
                }
            }),
            Some(Mutant::ForgetsDeadlines) => change(&text, |manifest| {
                if let Some(spec) = manifest["spec"].as_object_mut() {
                    spec.remove("strategy");
                }
            }),
            Some(Mutant::MixesVersions) => {
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                let first = first.entry(name.to_owned()).or_insert_with(|| text.clone());
                let image = serde_json::from_str::<Json>(first).unwrap_or_default()["spec"]["image"].clone();
                change(&text, |manifest| manifest["spec"]["image"] = image)
            }
            _ => text,
        }
    }
}

fn change(text: &str, change: impl FnOnce(&mut Json)) -> String {
    let Ok(mut manifest) = serde_json::from_str::<Json>(text) else { return text.to_owned() };
    change(&mut manifest);
    manifest.to_string()
}
