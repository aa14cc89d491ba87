//! The desired state: from the files of a reading to the objects that are wanted. Pure but for the loader's parsing.
//!
//! A file that cannot be read or parsed freezes its own objects at their last good version. An object that clashes with another
//! is frozen too, by itself. Nothing ever goes because something else is broken.

use std::collections::{BTreeMap, BTreeSet};

use crds_schema::crosscheck::crosscheck;
use crds_schema::yaml::{Loader, ManifestFile};
use crds_schema::{AnyObject, Diagnostic, Kind, ObjectKey, Severity, SourceLocation, Span};
use serde_json::Value as Json;

use crate::source::Reading;

/// The name of the source that is a directory, in the store.
pub const DIRECTORY_SOURCE: &str = "directory";

/// Remembers what was good, reading after reading.
#[derive(Debug, Default)]
pub struct DesiredState {
    /// What each file said when it was last good.
    good_files: BTreeMap<String, GoodText>,
    /// What each object said when it was last accepted.
    accepted: BTreeMap<ObjectKey, AnyObject>,
}

/// What a file said when it was last good.
#[derive(Debug, Clone, PartialEq)]
struct GoodText {
    /// The bytes, to see at a glance that nothing changed; empty for what came from the store.
    bytes: Vec<u8>,
    objects: Vec<AnyObject>,
    warnings: Vec<Diagnostic>,
}

/// What a reading comes to.
#[derive(Debug, Default)]
pub struct Merged {
    /// Every object that is wanted.
    pub wanted: BTreeMap<ObjectKey, AnyObject>,
    /// Every fault of every file.
    pub diagnostics: Vec<Diagnostic>,
    /// Files that are good and say something else than before, with what they say.
    pub changed_files: Vec<(String, Vec<AnyObject>)>,
    /// Files that are gone.
    pub gone_files: Vec<String>,
    /// Files whose present content could not be taken: nobody knows which objects it means to hold.
    pub broken_files: Vec<String>,
    /// Objects that clash with others and were never accepted: there, but not wanted.
    pub refused: BTreeSet<ObjectKey>,
}

impl DesiredState {
    /// Puts back what a file said before a restart.
    pub fn restore_file(&mut self, name: &str, manifests: &[Json]) {
        let objects: Vec<AnyObject> = manifests.iter().filter_map(|json| object_from_json(json, name)).collect();
        self.good_files.insert(name.to_owned(), GoodText { bytes: Vec::new(), objects, warnings: Vec::new() });
    }

    /// Puts back what an object said when it was last accepted, before a restart. That is not always what its file says: a file
    /// can be good by itself, and what it says clash with another.
    pub fn restore_object(&mut self, key: &ObjectKey, manifest: &Json) {
        let files = self.good_files.iter().filter(|(_, good)| good.objects.iter().any(|object| object.key() == *key));
        let file = files.map(|(name, _)| name.clone()).next().unwrap_or_default();
        if let Some(object) = object_from_json(manifest, &file) {
            self.accepted.insert(key.clone(), object);
        }
    }

    /// Merges a reading that is not a problem as a whole. `check` adds what only the host can tell of an object.
    pub fn merge(
        &mut self,
        loader: &Loader,
        reading: &Reading,
        check: impl Fn(&AnyObject) -> Vec<Diagnostic>,
    ) -> Merged {
        let mut merged = Merged::default();
        let mut found: Vec<AnyObject> = Vec::new();
        let present: BTreeSet<&str> = reading.files.iter().map(|file| file.name.as_str()).collect();
        merged.gone_files = self.good_files.keys().filter(|name| !present.contains(name.as_str())).cloned().collect();
        for name in &merged.gone_files {
            self.good_files.remove(name);
        }
        for file in &reading.files {
            match &file.content {
                Ok(bytes) => self.take_file(loader, (&file.name, &file.directory, bytes), &check, &mut merged),
                Err(problem) => {
                    merged.diagnostics.push(unreadable_file(&file.name, &problem.to_string()));
                    merged.broken_files.push(file.name.clone());
                }
            }
            if let Some(good) = self.good_files.get(&file.name) {
                found.extend(good.objects.iter().cloned());
            }
        }
        self.admit(found, &mut merged);
        merged
    }

    /// Parses a file, unless it says what it said before; a good one replaces its last good version.
    fn take_file(
        &mut self,
        loader: &Loader,
        (name, directory, bytes): (&str, &str, &[u8]),
        check: &impl Fn(&AnyObject) -> Vec<Diagnostic>,
        merged: &mut Merged,
    ) {
        let is_blank = bytes.trim_ascii().is_empty();
        if is_blank {
            // Perhaps it is just being written: what is missing may belong into it, for as long as it is blank. Where it is known what
            // it held, that is an error besides.
            merged.broken_files.push(name.to_owned());
        }
        let before = self.good_files.get(name);
        if let Some(before) = before
            && !before.bytes.is_empty()
            && before.bytes == bytes
        {
            merged.diagnostics.extend(before.warnings.iter().cloned());
            return;
        }
        let file = loader.load(&ManifestFile { name, directory, bytes });
        let mut diagnostics = file.diagnostics;
        diagnostics.extend(file.objects.iter().flat_map(check));
        let held_objects = before.map_or(0, |before| before.objects.len());
        if file.objects.is_empty() && diagnostics.is_empty() && held_objects > 0 {
            diagnostics.push(became_empty(name, held_objects));
        }
        let is_good = !diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        merged.diagnostics.extend(diagnostics.iter().cloned());
        if is_good {
            if before.is_none_or(|before| before.objects != file.objects) {
                merged.changed_files.push((name.to_owned(), file.objects.clone()));
            }
            let good = GoodText { bytes: bytes.to_vec(), objects: file.objects, warnings: diagnostics };
            self.good_files.insert(name.to_owned(), good);
        } else if !is_blank {
            merged.broken_files.push(name.to_owned());
        }
    }

    /// Checks the objects against each other, and accepts those that clash with none.
    fn admit(&mut self, objects: Vec<AnyObject>, merged: &mut Merged) {
        let references: Vec<&AnyObject> = objects.iter().collect();
        let faults = crosscheck(&references);
        let rejected: BTreeSet<String> =
            faults.iter().filter(|fault| fault.severity == Severity::Error).map(|fault| fault.object.clone()).collect();
        merged.diagnostics.extend(faults);
        for object in objects {
            let key = object.key();
            if !rejected.contains(&key.full_name()) && !rejected.contains(&key.to_string()) {
                merged.wanted.insert(key, object);
            } else if let Some(last_good) = self.accepted.get(&key) {
                merged.wanted.insert(key, last_good.clone());
            } else {
                merged.refused.insert(key);
            }
        }
        self.accepted.clone_from(&merged.wanted);
    }
}

/// An object from the manifest that the store kept; `None` where this release cannot read it.
pub fn object_from_json(json: &Json, file: &str) -> Option<AnyObject> {
    let kind = Kind::parse(json.get("kind")?.as_str()?)?;
    let metadata = serde_json::from_value(json.get("metadata")?.clone()).ok()?;
    let spec = kind.spec_from_json(json.get("spec")?.clone()).ok()?;
    Some(AnyObject { metadata, spec, source: SourceLocation { file: file.to_owned(), line: 0 } })
}

fn unreadable_file(name: &str, problem: &str) -> Diagnostic {
    Diagnostic::error("E0124", format!("cannot read the file: {problem}"))
        .hint("its objects stay as they were when it could last be read")
        .span(place(name))
}

fn became_empty(name: &str, objects: usize) -> Diagnostic {
    Diagnostic::error("E0101", format!("the file became empty; its {objects} objects stay as they were"))
        .hint("remove the file to remove its objects")
        .span(place(name))
}

fn place(name: &str) -> Span {
    Span { file: name.to_owned(), line: 1, column: 1, length: 0, snippet: String::new(), label: String::new() }
}

#[cfg(test)]
mod tests {
    use crds_schema::yaml::Loader;

    use super::DesiredState;
    use crate::source::{FileReading, Reading};

    #[test]
    fn a_blank_file_may_hold_what_is_missing_for_as_long_as_it_is_blank() {
        let (mut desired, loader) = (DesiredState::default(), Loader::new());
        let mut broken = |text: &str| {
            let content = Ok(text.as_bytes().to_vec());
            let file = FileReading { name: "a.yaml".to_owned(), directory: "/srv".to_owned(), content };
            let reading = Reading { files: vec![file], problem: None };
            desired.merge(&loader, &reading, |_| Vec::new()).broken_files
        };
        for blank in ["", "", "\n", "\n", " \n"] {
            assert_eq!(broken(blank), ["a.yaml"], "{blank:?}");
        }
        assert!(broken("# nothing yet\n").is_empty());
    }
}
