//! Manifests: the text of a file to objects and faults. It never stops at the first fault, and never reads anything else.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::{Diagnostic, Span};
use crate::document::{Document, parse_documents};
use crate::escape::printable;
use crate::kinds::Kind;
use crate::later::is_later_kind;
use crate::node::{Entry, Node, Plain, Value};
use crate::object::{API_VERSION, AnyObject, Metadata, ObjectKey, SourceLocation};
use crate::shape::{Shape, quoted_list};
use crate::source_map::SourceMap;
use crate::source_text::{Place, SourceText};
use crate::structure::{StructureCheck, unknown_field};
use crate::suggestion::nearest;

/// The most faults that are listed for one file.
const MAX_FAULTS_OF_A_FILE: usize = 100;

/// One manifest file, as it was read.
#[derive(Debug, Clone, Copy)]
pub struct ManifestFile<'a> {
    /// The name that is shown to users and kept in [`SourceLocation::file`].
    pub name: &'a str,
    /// The absolute directory that relative host paths are resolved against, without looking at the disk. When it is empty,
    /// relative host paths are refused.
    pub directory: &'a str,
    /// What the file holds.
    pub bytes: &'a [u8],
}

/// What one file says.
#[derive(Debug, Clone, Default)]
pub struct LoadedFile {
    /// The objects without an error, in the order written.
    pub objects: Vec<AnyObject>,
    /// Where the fields of each of `objects` are written, in the same order.
    pub source_maps: Vec<SourceMap>,
    /// Every object whose kind and name could be read, whether it is sound or not: what the file still speaks for.
    pub declared: Vec<ObjectKey>,
    /// Every document could be read as far as its kind and name. Otherwise an object that the file once had and that is not in
    /// `declared` may still be in it, and must not be taken for removed.
    pub is_complete: bool,
    /// What is wrong, by line.
    pub diagnostics: Vec<Diagnostic>,
    /// The lines with a warning of a secret: no fault shows them.
    secret_lines: BTreeSet<u32>,
}

/// Reads manifests. Build it once: it holds the compiled schema of every kind.
#[derive(Debug)]
pub struct Loader {
    metadata: Shape,
    specs: BTreeMap<Kind, Shape>,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads one file with a [`Loader`] of its own. To read many, build one `Loader`.
pub fn load(file: &ManifestFile<'_>) -> LoadedFile {
    Loader::new().load(file)
}

/// The manifest of an object as YAML.
///
/// # Errors
/// Never for the JSON of an object; the error of the YAML writer otherwise, as text.
pub fn to_yaml(json: &serde_json::Value) -> Result<String, String> {
    serde_saphyr::to_string(json).map_err(|error| error.to_string())
}

impl Loader {
    /// Compiles the schemas.
    pub fn new() -> Self {
        let compile = |kind: &Kind| (*kind, Shape::compile(kind.spec_schema().as_value()));
        Self {
            metadata: Shape::compile(schemars::schema_for!(Metadata).as_value()),
            specs: Kind::ALL.iter().map(compile).collect(),
        }
    }

    /// Reads one file.
    ///
    /// # Flow
    /// Bytes (size, encoding, characters), then YAML (syntax, and what Evenkeel refuses of it), then for each document its
    /// header, its structure against the schema of its kind, and, where that is sound, the meaning of its fields.
    ///
    /// # Guarantees
    /// Each object of the answer has no error. Faults are ordered by line; each has a code, a place, and where it can be
    /// told, the object and the field. At most 100 are listed. A character that is not allowed, and a limit that is exceeded,
    /// refuse the whole file.
    pub fn load(&self, file: &ManifestFile<'_>) -> LoadedFile {
        let mut loaded = LoadedFile::default();
        let (source, faults) = match SourceText::decode(file.name, file.bytes) {
            Ok(decoded) => decoded,
            Err(fault) => {
                loaded.diagnostics.push(fault);
                return loaded;
            }
        };
        let is_whole_file_refused = !faults.is_empty();
        loaded.diagnostics = faults;
        loaded.is_complete = true;
        for document in parse_documents(&source) {
            self.load_document(&source, file.directory, document, &mut loaded);
        }
        if is_whole_file_refused || loaded.diagnostics.iter().any(is_limit) {
            loaded.is_complete &= !loaded.diagnostics.iter().any(is_limit);
            loaded.objects.clear();
            loaded.source_maps.clear();
        }
        let warned = loaded.diagnostics.iter().filter(|fault| fault.code == "E0250").flat_map(|fault| &fault.spans);
        loaded.secret_lines = warned.map(|span| span.line).collect();
        finish_diagnostics(&mut loaded.diagnostics);
        for span in loaded.diagnostics.iter_mut().flat_map(|fault| &mut fault.spans) {
            hide_secrets(span, &source, &loaded.secret_lines);
        }
        loaded
    }

    fn load_document(
        &self,
        source: &SourceText<'_>,
        directory: &str,
        mut document: Document<'_>,
        loaded: &mut LoadedFile,
    ) {
        let header = read_header(&document.root);
        let mut diagnostics = std::mem::take(&mut document.diagnostics);
        loaded.is_complete &= header.key.is_some();
        loaded.declared.extend(header.key.clone());
        let object = if document.is_broken || matches!(document.root.value, Value::Refused) {
            None
        } else {
            self.check_document(source, directory, &document.root, &header, &mut diagnostics)
        };
        let has_error = diagnostics.iter().any(Diagnostic::is_error);
        for diagnostic in &mut diagnostics {
            if let (true, Some(key)) = (diagnostic.object.is_empty(), &header.key) {
                diagnostic.object = key.full_name();
            }
        }
        loaded.diagnostics.append(&mut diagnostics);
        if let (Some((object, map)), false) = (object, has_error) {
            loaded.objects.push(object);
            loaded.source_maps.push(map);
        }
    }

    fn check_document(
        &self,
        source: &SourceText<'_>,
        directory: &str,
        root: &Node<'_>,
        header: &Header,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<(AnyObject, SourceMap)> {
        let Value::Map(entries) = &root.value else {
            let fault = Diagnostic::error("E0122", format!("expected a mapping, got {}", root.describe()))
                .hint("begin with `apiVersion`, `kind`, `metadata` and `spec`; separate objects with `---`");
            diagnostics.push(fault.span(source.span(root.place)));
            return None;
        };
        let first = entries.first().map_or(root.place, |entry| entry.key_place);
        check_api_version(source, root, first, diagnostics);
        let Some(kind) = header.kind else {
            diagnostics.push(refuse_kind(source, root, first));
            return None;
        };
        let mut check = StructureCheck::new(source, kind.as_str());
        check.map.insert("", first);
        check_root_fields(source, entries, diagnostics);
        let metadata = check_part(&mut check, entries, "metadata", first, &self.metadata);
        let spec = self.specs.get(&kind).map(|shape| check_part(&mut check, entries, "spec", first, shape));
        let map = std::mem::take(&mut check.map);
        diagnostics.append(&mut check.diagnostics);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return None;
        }
        let location = SourceLocation { file: source.file.to_owned(), line: first.line };
        let parsed = serde_json::from_value(metadata)
            .and_then(|metadata| Ok((metadata, kind.spec_from_json(spec.unwrap_or_default())?)));
        let (metadata, spec) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                // The structural check knows less than the type: say what the type says.
                let fault = Diagnostic::error("E0126", format!("not accepted: {error}"));
                diagnostics.push(fault.span(source.span(first)));
                return None;
            }
        };
        let mut object = AnyObject { metadata, spec, source: location };
        object.spec.resolve_host_paths(directory);
        for mut fault in object.validate() {
            let place = map.find(&fault.field).unwrap_or(first);
            fault.spans.insert(0, source.span(place));
            diagnostics.push(fault);
        }
        Some((object, map))
    }
}

impl LoadedFile {
    /// Puts the exact place into a fault that another check found in one of this file's objects, such as
    /// [`crate::crosscheck`], which knows objects only. `false` when the fault is about no object of this file.
    pub fn locate(&self, diagnostic: &mut Diagnostic, bytes: &[u8]) -> bool {
        let Some(key) = diagnostic.object_key() else { return false };
        let first_span = diagnostic.spans.first();
        // Of two objects with one key, the one whose place the fault gives.
        let is_meant = |object: &AnyObject| {
            object.key() == key
                && first_span.is_none_or(|span| span.file != object.source.file || span.line == object.source.line)
        };
        let Some(index) = self.objects.iter().position(is_meant) else { return false };
        let Some(place) = self.source_maps.get(index).and_then(|map| map.find(&diagnostic.field)) else { return false };
        let Ok((source, _)) = SourceText::decode(&self.objects[index].source.file, bytes) else { return false };
        let mut span = source.span(place);
        hide_secrets(&mut span, &source, &self.secret_lines);
        match diagnostic.spans.first_mut() {
            Some(first) if first.file == span.file => *first = span,
            Some(_) | None => diagnostic.spans.insert(0, span),
        }
        true
    }
}

/// Takes out the line where it holds a secret, whatever the fault is about. What cannot be read as an object gets no warning of its secrets,
/// and its lines are looked at as they are.
fn hide_secrets(span: &mut Span, source: &SourceText<'_>, secret_lines: &BTreeSet<u32>) {
    if secret_lines.contains(&span.line) || source.has_secret(span.line) {
        span.snippet.clear();
    }
}

/// What the head of a document says, as far as it can be read.
struct Header {
    kind: Option<Kind>,
    key: Option<ObjectKey>,
}

fn read_header(root: &Node<'_>) -> Header {
    let kind = root.get("kind").and_then(Node::as_str).and_then(exact_kind);
    let metadata = root.get("metadata");
    let name = metadata.and_then(|metadata| metadata.get("name")).and_then(Node::as_str);
    let namespace = metadata.and_then(|metadata| metadata.get("namespace")).and_then(Node::as_str);
    let key = kind.zip(name).and_then(|(kind, name)| {
        Some(ObjectKey { kind, namespace: namespace.unwrap_or("default").parse().ok()?, name: name.parse().ok()? })
    });
    Header { kind, key }
}

fn exact_kind(text: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.as_str() == text)
}

fn check_api_version(source: &SourceText<'_>, root: &Node<'_>, first: Place, diagnostics: &mut Vec<Diagnostic>) {
    let fault = match root.get("apiVersion") {
        Some(node) if node.as_str() == Some(API_VERSION) => return,
        Some(node) => {
            let shown = scalar_text(node).map_or_else(|| node.describe(), |text| format!("`{}`", printable(text, 60)));
            Diagnostic::error("E0121", format!("unsupported apiVersion {shown}"))
                .at("apiVersion")
                .span(source.span(node.place))
        }
        None => Diagnostic::error("E0121", "missing `apiVersion`").at("apiVersion").span(source.span(first)),
    };
    diagnostics.push(fault.hint(format!("write `apiVersion: {API_VERSION}`")));
}

fn refuse_kind(source: &SourceText<'_>, root: &Node<'_>, first: Place) -> Diagnostic {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let supported = format!("supported kinds: {}", quoted_list(&kinds));
    let Some(node) = root.get("kind") else {
        return Diagnostic::error("E0121", "missing `kind`").at("kind").hint(supported).span(source.span(first));
    };
    let place = source.span(node.place);
    let Some(written) = scalar_text(node) else {
        let message = format!("expected a kind, got {}", node.describe());
        return Diagnostic::error("E0121", message).at("kind").hint(supported).span(place);
    };
    let shown = printable(written, 60);
    if is_later_kind(written) {
        let message = format!("the kind `{shown}` comes in a later release");
        return Diagnostic::error("E0125", message).at("kind").hint(supported).span(place);
    }
    let fault = Diagnostic::error("E0121", format!("unsupported kind `{shown}`")).at("kind").span(place);
    match nearest(written, kinds.iter().copied()) {
        Some(kind) => fault.hint(format!("did you mean `{kind}`?")).hint(supported),
        None => fault.hint(supported),
    }
}

fn scalar_text<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Plain(text) if Plain::of(text) == Plain::Null => None,
        Value::Plain(text) | Value::Text(text) => Some(text),
        Value::List(_) | Value::Map(_) | Value::Refused => None,
    }
}

fn check_root_fields(source: &SourceText<'_>, entries: &[Entry<'_>], diagnostics: &mut Vec<Diagnostic>) {
    const KNOWN: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
    for entry in entries.iter().filter(|entry| !KNOWN.contains(&entry.key.as_ref())) {
        let fault = if entry.key == "status" {
            Diagnostic::error("E0111", "unknown field `status`").hint("remove it: status is written by Evenkeel")
        } else {
            unknown_field(&entry.key, KNOWN.iter().copied())
        };
        diagnostics.push(fault.at(entry.key.to_string()).span(source.span(entry.key_place)));
    }
}

/// Checks `metadata` or `spec`; left out, it is an empty mapping, so that what is missing in it is said.
fn check_part(
    check: &mut StructureCheck<'_, '_>,
    entries: &[Entry<'_>],
    name: &str,
    first: Place,
    shape: &Shape,
) -> serde_json::Value {
    if let Some(entry) = entries.iter().find(|entry| entry.key == name) {
        return check.check_root_field(name, entry.key_place, shape, &entry.node);
    }
    let needs_fields = matches!(shape, Shape::Object(fields) if fields.iter().any(|field| field.is_required));
    if needs_fields {
        check.report(
            Diagnostic::error("E0112", format!("missing field `{name}`")).hint(format!("add `{name}:`")),
            first,
        );
    }
    serde_json::json!({})
}

/// Whether the fault ended the reading of the file, so that what comes after it is not known.
fn is_limit(diagnostic: &Diagnostic) -> bool {
    matches!(diagnostic.code.as_str(), "E0107" | "E0109")
}

fn finish_diagnostics(diagnostics: &mut Vec<Diagnostic>) {
    let place = |diagnostic: &Diagnostic| diagnostic.spans.first().map_or((0, 0), |span| (span.line, span.column));
    diagnostics.sort_by_key(place);
    let surplus = diagnostics.len().saturating_sub(MAX_FAULTS_OF_A_FILE);
    if surplus > 0 {
        diagnostics.sort_by_key(|diagnostic| !is_limit(diagnostic));
        diagnostics.truncate(MAX_FAULTS_OF_A_FILE);
        if let Some(last) = diagnostics.last_mut() {
            last.hints.push(format!("{surplus} further faults of this file are not listed"));
        }
    }
}
