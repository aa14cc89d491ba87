//! The text of a file as trees, one a document: the only file that knows the YAML parser.
//!
//! It reads events rather than values, so that what Evenkeel refuses (anchors, aliases, tags, merge keys, duplicate keys) is
//! refused before anything is expanded, and every fault is known with its place. Memory is bounded by the size of the file.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Node, Plain, Value};
use crate::source_map::{push_index, push_key};
use crate::source_text::{MAX_FAULTS_OF_A_SORT, Place, SourceText, saturating};

/// The deepest nesting.
const MAX_DEPTH: usize = 32;
/// The most values and keys of one document.
const MAX_NODES: usize = 10_000;
/// The most documents of one file.
const MAX_DOCUMENTS: usize = 1_000;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// The tree; what could be read of it, when the document is broken.
    pub(crate) root: Node<'a>,
    /// Its syntax is broken, so that parts of the tree are missing.
    pub(crate) is_broken: bool,
    /// What is wrong with it as YAML.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Reads every document that has content. After a fault of syntax it goes on with the next document; after a limit is
/// exceeded it stops, and says so in the last document.
pub(crate) fn parse_documents<'a>(source: &SourceText<'a>) -> Vec<Document<'a>> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH * 2,
        block_nesting_limit: MAX_DEPTH * 2,
    };
    let mut parser = Parser::new_from_str_with_options(source.text, options);
    let mut builder = Builder::new(source);
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if !builder.take(event, &span) {
                    break;
                }
            }
            Some(Err(error)) => {
                builder.fail(&error);
                if builder.is_full() || !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    builder.documents
}

/// Builds trees from events.
struct Builder<'s, 'a> {
    source: &'s SourceText<'a>,
    documents: Vec<Document<'a>>,
    stack: Vec<Frame<'a>>,
    root: Option<Node<'a>>,
    diagnostics: Vec<Diagnostic>,
    node_count: usize,
    alias_faults: usize,
}

/// A collection that is still open.
enum Frame<'a> {
    List { place: Place, is_refused: bool, items: Vec<Node<'a>> },
    Map { place: Place, is_refused: bool, entries: Vec<Entry<'a>>, key: Option<Key<'a>> },
}

/// A key that waits for its value.
enum Key<'a> {
    Good(Cow<'a, str>, Place),
    /// It has been reported; its value is dropped.
    Refused,
}

impl<'s, 'a> Builder<'s, 'a> {
    const fn new(source: &'s SourceText<'a>) -> Self {
        Self {
            source,
            documents: Vec::new(),
            stack: Vec::new(),
            root: None,
            diagnostics: Vec::new(),
            node_count: 0,
            alias_faults: 0,
        }
    }

    /// Takes one event; `false` when a limit is exceeded and the rest must not be read.
    fn take(&mut self, event: Event<'a>, span: &Span) -> bool {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, _, tag) => {
                self.node_count += 1;
                let value = match (tag, style) {
                    (Some(_), _) => self.refuse_tag(span, place),
                    // The parser writes `~` where nothing is written.
                    (None, ScalarStyle::Plain) if span.start.index() == span.end.index() => Value::Plain("".into()),
                    (None, ScalarStyle::Plain) => Value::Plain(text),
                    (None, _) => self.text_value(text, place),
                };
                self.attach(Node { value, place });
            }
            Event::SequenceStart(_, _, tag) => {
                self.node_count += 1;
                let is_refused = tag.is_some();
                if is_refused {
                    self.refuse_tag(span, place);
                }
                self.stack.push(Frame::List { place, is_refused, items: Vec::new() });
            }
            Event::MappingStart(_, _, tag) => {
                self.node_count += 1;
                let is_refused = tag.is_some();
                if is_refused {
                    self.refuse_tag(span, place);
                }
                self.stack.push(Frame::Map { place, is_refused, entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.node_count += 1;
                self.refuse_alias("aliases", place);
                self.attach(Node { value: Value::Refused, place });
            }
            Event::Anchor(..) => self.refuse_alias("anchors", place),
            Event::DocumentEnd => return self.finish_document(false),
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::Comment(..) => {}
            // The parser may learn more events: what is not understood is not accepted.
            _ => self.report(Diagnostic::error("E0100", "not valid YAML: unexpected syntax"), place),
        }
        self.check_limits(place)
    }

    fn check_limits(&mut self, place: Place) -> bool {
        let fault = if self.stack.len() > MAX_DEPTH {
            too_deep()
        } else if self.node_count > MAX_NODES {
            Diagnostic::error("E0109", format!("more than {MAX_NODES} values in one document"))
                .hint("split the object, or move data into files")
        } else {
            return true;
        };
        self.report(fault, place);
        self.finish_document(true);
        false
    }

    /// A string; a NUL that an escape wrote is refused, because nothing behind us can hold it.
    fn text_value(&mut self, text: Cow<'a, str>, place: Place) -> Value<'a> {
        if text.contains('\0') {
            let fault = Diagnostic::error("E0104", "control character U+0000").hint("no value may contain a NUL");
            self.report(fault, place);
            return Value::Refused;
        }
        Value::Text(text)
    }

    fn refuse_tag(&mut self, span: &Span, place: Place) -> Value<'a> {
        let place = span.tag_start().map_or(place, |start| Place {
            line: saturating(start.line()),
            column: saturating(start.col() + 1),
            length: 0,
        });
        self.report(Diagnostic::error("E0118", "YAML tags are not allowed").hint("write the value without `!`"), place);
        Value::Refused
    }

    fn refuse_alias(&mut self, what: &str, place: Place) {
        self.alias_faults += 1;
        if self.alias_faults <= MAX_FAULTS_OF_A_SORT {
            let fault = Diagnostic::error("E0106", format!("YAML {what} are not allowed")).hint("write the value out");
            self.report(fault, place);
        } else if let Some(last) = self.diagnostics.last_mut()
            && last.hints.len() == 1
            && last.code == "E0106"
        {
            last.hints.push("further anchors and aliases of this file are not listed".to_owned());
        }
    }

    /// Hands a complete node to the collection that it stands in.
    fn attach(&mut self, node: Node<'a>) {
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                Some(Key::Good(key, key_place)) => entries.push(Entry { key, key_place, node }),
                Some(Key::Refused) => {}
                None => {
                    let accepted = self.accept_key(node);
                    if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
                        *key = Some(accepted);
                    }
                }
            },
        }
    }

    fn accept_key(&mut self, node: Node<'a>) -> Key<'a> {
        let place = node.place;
        let not_a_string = |what: String| {
            Diagnostic::error("E0120", format!("keys must be strings, not {what}")).hint("quote the key")
        };
        let fault = match node.value {
            Value::Plain(text) if text == "<<" => {
                Diagnostic::error("E0119", "merge keys are not allowed").hint("write the fields out")
            }
            Value::Plain(text) => match Plain::of(&text) {
                Plain::Text | Plain::BooleanLike => return Key::Good(text, place),
                Plain::Null => not_a_string("null".to_owned()),
                Plain::Boolean(_) => not_a_string(format!("the boolean `{text}`")),
                Plain::Integer(_) | Plain::AmbiguousNumber | Plain::Float => {
                    not_a_string(format!("the number `{text}`"))
                }
            },
            Value::Text(text) => return Key::Good(text, place),
            Value::List(_) => not_a_string("a list".to_owned()),
            Value::Map(_) => not_a_string("a mapping".to_owned()),
            Value::Refused => return Key::Refused,
        };
        self.report(fault, place);
        Key::Refused
    }

    /// Ends the innermost collection.
    fn close(&mut self) {
        let node = match self.stack.pop() {
            None => return,
            Some(Frame::List { place, is_refused, items }) => {
                Node { value: if is_refused { Value::Refused } else { Value::List(items) }, place }
            }
            Some(Frame::Map { place, is_refused, entries, .. }) => {
                let entries = self.without_duplicates(entries);
                Node { value: if is_refused { Value::Refused } else { Value::Map(entries) }, place }
            }
        };
        self.attach(node);
    }

    /// Keeps the first of each key, and reports the others.
    fn without_duplicates(&mut self, entries: Vec<Entry<'a>>) -> Vec<Entry<'a>> {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| entries[*a].key.cmp(&entries[*b].key).then(a.cmp(b)));
        let mut is_repeat = vec![false; entries.len()];
        let mut first = 0;
        for index in 1..order.len() {
            if entries[order[first]].key == entries[order[index]].key {
                is_repeat[order[index]] = true;
                let (earlier, later) = (&entries[order[first]], &entries[order[index]]);
                let line = earlier.key_place.line;
                let message =
                    format!("duplicate key `{}` (first at line {line})", crate::escape::printable(&later.key, 80));
                let related = self.source.labelled_span(earlier.key_place, "first written here");
                self.report(Diagnostic::error("E0110", message).hint("keep one of the two"), later.key_place);
                if let Some(fault) = self.diagnostics.last_mut() {
                    fault.spans.push(related);
                }
            } else {
                first = index;
            }
        }
        let mut repeats = is_repeat.into_iter();
        entries.into_iter().filter(|_| !repeats.next().unwrap_or_default()).collect()
    }

    /// Ends a document; `false` when there are too many of them.
    fn finish_document(&mut self, is_broken: bool) -> bool {
        while !self.stack.is_empty() {
            self.close();
        }
        self.node_count = 0;
        let diagnostics = std::mem::take(&mut self.diagnostics);
        let place = diagnostics.first().and_then(|fault| fault.spans.first());
        let place = place.map_or_else(Place::default, |span| Place { line: span.line, column: span.column, length: 0 });
        let root = match self.root.take() {
            Some(Node { value: Value::Plain(text), .. }) if text.is_empty() && diagnostics.is_empty() => return true,
            Some(root) => root,
            None if diagnostics.is_empty() => return true,
            None => Node { value: Value::Refused, place },
        };
        self.documents.push(Document { root, is_broken, diagnostics });
        if self.documents.len() > MAX_DOCUMENTS {
            let place = self.documents.pop().map(|document| document.root.place).unwrap_or_default();
            let fault = Diagnostic::error("E0109", format!("more than {MAX_DOCUMENTS} objects in one file"))
                .hint("split it into several files");
            self.report(fault, place);
            let root = Node { value: Value::Refused, place };
            let diagnostics = std::mem::take(&mut self.diagnostics);
            self.documents.push(Document { root, is_broken: true, diagnostics });
        }
        !self.is_full()
    }

    const fn is_full(&self) -> bool {
        self.documents.len() > MAX_DOCUMENTS
    }

    /// Ends the document that the parser could not read to its end.
    fn fail(&mut self, error: &ScanError) {
        let marker = error.marker();
        let place = Place { line: saturating(marker.line()), column: saturating(marker.col() + 1), length: 0 };
        self.report(classify(error, self.source, place.line), place);
        self.finish_document(true);
    }

    fn report(&mut self, fault: Diagnostic, place: Place) {
        let path = self.path();
        self.diagnostics.push(fault.at(path).span(self.source.span(place)));
    }

    /// The field path of what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        if self.stack.len() > MAX_DEPTH {
            return path;
        }
        for (depth, frame) in self.stack.iter().enumerate() {
            match frame {
                Frame::List { items, .. } => push_index(&mut path, items.len()),
                Frame::Map { key: Some(Key::Good(key, _)), .. } => push_key(&mut path, key),
                Frame::Map { .. } if depth + 1 == self.stack.len() => {}
                Frame::Map { .. } => return path,
            }
        }
        path
    }

    fn place(&self, span: &Span) -> Place {
        let (start, end) = (&span.start, &span.end);
        let length = if start.line() == end.line() {
            end.col().saturating_sub(start.col())
        } else {
            let line = self.source.line(saturating(start.line()));
            line.trim_end().chars().count().saturating_sub(start.col())
        };
        Place { line: saturating(start.line()), column: saturating(start.col() + 1), length: saturating(length) }
    }
}

fn too_deep() -> Diagnostic {
    Diagnostic::error("E0107", format!("nested deeper than {MAX_DEPTH}")).hint("no object needs more than ten levels")
}

/// The parser's error as one of ours.
fn classify(error: &ScanError, source: &SourceText<'_>, line: u32) -> Diagnostic {
    let kind = error.kind();
    let begins_with_tab = |line: u32| {
        let text = source.line(line);
        text[..text.len() - text.trim_start().len()].contains('\t')
    };
    if matches!(kind, ErrorKind::RecursionLimitExceeded) {
        return too_deep();
    }
    let names_a_tab = matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
    );
    if names_a_tab || begins_with_tab(line) {
        return Diagnostic::error("E0102", "tab not allowed for indentation").hint("indent with spaces");
    }
    if matches!(kind, ErrorKind::DirectiveDisallowed) {
        return Diagnostic::error("E0118", "YAML directives are not allowed")
            .hint("remove the line that begins with `%`");
    }
    if matches!(kind, ErrorKind::UndeclaredTagHandle) {
        return Diagnostic::error("E0118", "YAML tags are not allowed").hint("write the value without `!`");
    }
    let info = error.info();
    let what = if info.is_empty() { "unexpected text".to_owned() } else { info };
    Diagnostic::error("E0100", format!("not valid YAML: {what}"))
        .hint("check the indentation, quotes and brackets of this line and the one before it")
}
