//! The structural check: a document's tree against the shape of its kind. Every fault is found, with its place, and what is
//! sound comes out as JSON.

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::escape::printable;
use crate::later::{instead_of_absent_field, later_field};
use crate::name::Name;
use crate::node::{Entry, Node, Plain, Value};
use crate::shape::{Field, IntegerFormat, Shape, TextFormat, quoted_list};
use crate::source_map::{SourceMap, push_index, push_key};
use crate::source_text::{Place, SourceText};
use crate::suggestion::nearest;
use crate::units::{Bytes, HumanDuration, MilliCpu};

/// The longest value that a message repeats, in characters.
const MAX_ECHO_CHARS: usize = 60;

/// One walk over one object.
pub(crate) struct StructureCheck<'s, 'a> {
    source: &'s SourceText<'a>,
    kind: &'s str,
    path: String,
    pub(crate) map: SourceMap,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl<'s, 'a> StructureCheck<'s, 'a> {
    pub(crate) fn new(source: &'s SourceText<'a>, kind: &'s str) -> Self {
        Self { source, kind, path: String::new(), map: SourceMap::default(), diagnostics: Vec::new() }
    }

    /// Checks the value of a field of the document's root. `owner` is where a missing field is reported.
    pub(crate) fn check_root_field(&mut self, name: &str, owner: Place, shape: &Shape, node: &Node<'_>) -> Json {
        push_key(&mut self.path, name);
        self.map.insert(&self.path, owner);
        let json = self.check(shape, node, owner);
        self.path.clear();
        json
    }

    /// Reports a fault of the field that is being looked at.
    pub(crate) fn report(&mut self, fault: Diagnostic, place: Place) {
        self.diagnostics.push(fault.at(self.path.clone()).span(self.source.span(place)));
    }

    fn check(&mut self, shape: &Shape, node: &Node<'_>, owner: Place) -> Json {
        if matches!(node.value, Value::Refused) {
            return Json::Null;
        }
        match shape {
            Shape::Text(format) => self.check_text(*format, node, false),
            Shape::Integer { minimum, maximum, format } => {
                self.check_integer(shape, *minimum..=*maximum, *format, node)
            }
            Shape::Boolean => self.check_boolean(node),
            Shape::Choice(words) => self.check_choice(words, node),
            Shape::List(items) => self.check_list(items, node),
            Shape::Map { keys, values } => self.check_map(*keys, values, node),
            Shape::Object(fields) => self.check_object(fields, node, owner),
            Shape::OneOf(shapes) => self.check_alternatives(shape, shapes, node, owner),
            Shape::Any => Json::Null,
        }
    }

    fn check_text(&mut self, format: TextFormat, node: &Node<'_>, is_map_value: bool) -> Json {
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Plain(text) => {
                let plain = Plain::of(text);
                if plain == Plain::Null {
                    return self.refuse_type("E0117", "a string", node);
                }
                // What other parsers would take for something else must be quoted where any text is allowed.
                let is_text = plain.is_string() || plain == Plain::BooleanLike && !is_map_value;
                if !is_text && format != TextFormat::Cpu {
                    return self.refuse_unquoted(format, text, node);
                }
                text
            }
            Value::List(_) | Value::Map(_) | Value::Refused => {
                if matches!(node.value, Value::Map(_))
                    && let Some(instead) = later_field(self.kind, &self.path)
                {
                    self.refuse_later("a reference", instead, node.place);
                    return Json::Null;
                }
                return self.refuse_type("E0117", "a string", node);
            }
        };
        if let Some(fault) = check_format(format, text) {
            self.report(fault, node.place);
        }
        Json::String(text.to_string())
    }

    /// A number or boolean where a string is wanted.
    fn refuse_unquoted(&mut self, format: TextFormat, text: &str, node: &Node<'_>) -> Json {
        let shown = printable(text, MAX_ECHO_CHARS);
        let fault = match format {
            TextFormat::Free | TextFormat::Name | TextFormat::Ip | TextFormat::Ipv4 | TextFormat::Cpu => {
                let what = match Plain::of(text) {
                    Plain::Boolean(_) | Plain::BooleanLike => "a boolean",
                    Plain::Integer(_) | Plain::AmbiguousNumber | Plain::Float => "a number",
                    Plain::Null | Plain::Text => "no string",
                };
                let message = format!("expected a string, but without quotes `{shown}` is {what}");
                Diagnostic::error("E0115", message).hint(format!("quote it: `\"{shown}\"`"))
            }
            TextFormat::Duration | TextFormat::Bytes => {
                let is_duration = format == TextFormat::Duration;
                let (code, what, unit) =
                    if is_duration { ("E0230", "duration", "s") } else { ("E0222", "size", "MiB") };
                let fault = Diagnostic::error(code, format!("`{shown}` is no {what}: the unit is missing"));
                if matches!(Plain::of(text), Plain::Integer(number) if number >= 0) {
                    fault.hint(format!("write for example `{shown}{unit}`"))
                } else {
                    fault.hint(format!("write for example `5{unit}`"))
                }
            }
        };
        self.report(fault, node.place);
        Json::Null
    }

    fn check_integer(
        &mut self,
        shape: &Shape,
        range: std::ops::RangeInclusive<i128>,
        format: IntegerFormat,
        node: &Node<'_>,
    ) -> Json {
        let code = match format {
            IntegerFormat::Free => "E0113",
            IntegerFormat::Port => "E0211",
            IntegerFormat::Pids => "E0224",
        };
        let expected = shape.describe();
        let (written, plain) = match &node.value {
            Value::Plain(text) => (text, Plain::of(text)),
            Value::Text(text) => {
                let fault =
                    Diagnostic::error(code, format!("expected {expected}, got the quoted text `{}`", echo(text)));
                let fault =
                    if matches!(Plain::of(text), Plain::Integer(_)) { fault.hint("remove the quotes") } else { fault };
                self.report(fault, node.place);
                return Json::Null;
            }
            Value::List(_) | Value::Map(_) | Value::Refused => return self.refuse_type("E0117", &expected, node),
        };
        let fault = match plain {
            Plain::Integer(number) if range.contains(&number) => {
                if let Ok(number) = i64::try_from(number) {
                    return Json::from(number);
                }
                Diagnostic::error(code, format!("expected {expected}, got `{}`", echo(written)))
            }
            Plain::Null => return self.refuse_type("E0117", &expected, node),
            Plain::AmbiguousNumber => Diagnostic::error("E0116", format!("ambiguous number `{}`", echo(written)))
                .hint("write it as a decimal number, or quote it where text is meant"),
            Plain::Integer(_) | Plain::Float | Plain::Boolean(_) | Plain::BooleanLike | Plain::Text => {
                Diagnostic::error(code, format!("expected {expected}, got `{}`", echo(written)))
            }
        };
        self.report(fault, node.place);
        Json::Null
    }

    fn check_boolean(&mut self, node: &Node<'_>) -> Json {
        let (Value::Plain(text) | Value::Text(text)) = &node.value else {
            return self.refuse_type("E0117", "`true` or `false`", node);
        };
        if let (Value::Plain(_), Plain::Boolean(value)) = (&node.value, Plain::of(text)) {
            return Json::Bool(value);
        }
        if matches!((&node.value, Plain::of(text)), (Value::Plain(_), Plain::Null)) {
            return self.refuse_type("E0117", "`true` or `false`", node);
        }
        let fault = Diagnostic::error("E0114", format!("expected `true` or `false`, got `{}`", echo(text)));
        let meant = match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" | "1" => Some("true"),
            "no" | "off" | "n" | "false" | "0" => Some("false"),
            _ => None,
        };
        let fault = match meant {
            Some(word) => fault.hint(format!("write `{word}`, without quotes")),
            None => fault,
        };
        self.report(fault, node.place);
        Json::Null
    }

    fn check_choice(&mut self, words: &[String], node: &Node<'_>) -> Json {
        let expected = || format!("one of {}", quoted_list(words));
        let (Value::Plain(text) | Value::Text(text)) = &node.value else {
            return self.refuse_type("E0117", &expected(), node);
        };
        if words.iter().any(|word| word == text) {
            return Json::String(text.to_string());
        }
        if let Value::Plain(text) = &node.value {
            match Plain::of(text) {
                Plain::Null => return self.refuse_type("E0117", &expected(), node),
                Plain::Boolean(_) | Plain::BooleanLike => {
                    let message = format!("expected {}, got the boolean `{text}`", expected());
                    self.report(Diagnostic::error("E0114", message), node.place);
                    return Json::Null;
                }
                Plain::Integer(_) | Plain::AmbiguousNumber | Plain::Float | Plain::Text => {}
            }
        }
        if let Some(instead) = later_field(self.kind, &format!("{}={text}", self.path)) {
            self.refuse_later(&format!("the value `{text}`"), instead, node.place);
            return Json::Null;
        }
        let fault = Diagnostic::error("E0126", format!("expected {}, got `{}`", expected(), echo(text)));
        let fault = match nearest(text, words.iter().map(String::as_str)) {
            Some(word) => fault.hint(format!("did you mean `{word}`?")),
            None => fault,
        };
        self.report(fault, node.place);
        Json::Null
    }

    fn check_list(&mut self, items: &Shape, node: &Node<'_>) -> Json {
        let Value::List(nodes) = &node.value else {
            if let Value::Plain(text) | Value::Text(text) = &node.value
                && (matches!(node.value, Value::Text(_)) || Plain::of(text) != Plain::Null)
            {
                let words: Vec<String> =
                    text.split_whitespace().take(8).map(|word| format!("\"{}\"", echo(word))).collect();
                let fault = Diagnostic::error("E0209", format!("expected a list, got {}", node.describe()))
                    .hint(format!("write `[{}]`", words.join(", ")));
                self.report(fault, node.place);
                return Json::Null;
            }
            let code = if matches!(node.value, Value::Map(_)) { "E0209" } else { "E0117" };
            return self.refuse_type(code, "a list", node);
        };
        let mut list = Vec::with_capacity(nodes.len());
        for (index, item) in nodes.iter().enumerate() {
            let length = self.path.len();
            push_index(&mut self.path, index);
            self.map.insert(&self.path, item.place);
            list.push(self.check(items, item, item.place));
            self.path.truncate(length);
        }
        Json::Array(list)
    }

    fn check_map(&mut self, keys: TextFormat, values: &Shape, node: &Node<'_>) -> Json {
        let Value::Map(entries) = &node.value else {
            return self.refuse_type("E0117", "a mapping", node);
        };
        let mut map = Map::new();
        for entry in entries {
            let length = self.path.len();
            push_key(&mut self.path, &entry.key);
            self.map.insert(&self.path, entry.node.place);
            if let Some(fault) = check_format(keys, &entry.key) {
                self.report(fault, entry.key_place);
            }
            let json = if let (Shape::Text(format), false) = (values, matches!(entry.node.value, Value::Refused)) {
                self.check_text(*format, &entry.node, true)
            } else {
                self.check(values, &entry.node, entry.key_place)
            };
            map.insert(entry.key.to_string(), json);
            self.path.truncate(length);
        }
        Json::Object(map)
    }

    fn check_object(&mut self, fields: &[Field], node: &Node<'_>, owner: Place) -> Json {
        let Value::Map(entries) = &node.value else {
            let code = if matches!(&node.value, Value::Plain(text) if Plain::of(text) == Plain::Null) {
                "E0117"
            } else {
                "E0122"
            };
            return self.refuse_type(code, "a mapping", node);
        };
        let mut map = Map::new();
        for entry in entries {
            let length = self.path.len();
            match find_field(fields, &entry.key) {
                Some(field) => {
                    push_key(&mut self.path, &field.name);
                    self.map.insert(&self.path, entry.node.place);
                    let json = self.check(&field.shape, &entry.node, entry.key_place);
                    map.insert(field.name.clone(), json);
                }
                None => self.refuse_field(fields, entry),
            }
            self.path.truncate(length);
        }
        for field in fields {
            if field.is_required && !entries.iter().any(|entry| field.name == entry.key) {
                let fault = Diagnostic::error("E0112", format!("missing field `{}`", field.name));
                let fault = match &field.example {
                    Some(example) => fault.hint(format!("add `{}: {example}`", field.name)),
                    None => fault.hint(format!("add `{}`", field.name)),
                };
                self.report(fault, owner);
            }
        }
        Json::Object(map)
    }

    fn refuse_field(&mut self, fields: &[Field], entry: &Entry<'_>) {
        let length = self.path.len();
        push_key(&mut self.path, &entry.key);
        if let Some(instead) = later_field(self.kind, &self.path) {
            self.refuse_later(&format!("the field `{}`", echo(&entry.key)), instead, entry.key_place);
            return;
        }
        if let Some(instead) = instead_of_absent_field(self.kind, &self.path) {
            let fault = Diagnostic::error("E0111", format!("no field `{}`", echo(&entry.key))).hint(instead);
            self.report(fault, entry.key_place);
            return;
        }
        self.path.truncate(length);
        let fault = unknown_field(&entry.key, fields.iter().map(|field| field.name.as_str()));
        push_key(&mut self.path, &entry.key);
        self.report(fault, entry.key_place);
    }

    fn check_alternatives(&mut self, shape: &Shape, shapes: &[Shape], node: &Node<'_>, owner: Place) -> Json {
        let is_number =
            |text: &str| matches!(Plain::of(text), Plain::Integer(_) | Plain::AmbiguousNumber | Plain::Float);
        let fits = |shape: &&Shape| match &node.value {
            Value::List(_) => matches!(shape, Shape::List(_)),
            Value::Map(_) => matches!(shape, Shape::Map { .. } | Shape::Object(_)),
            Value::Plain(text) if is_number(text) => matches!(shape, Shape::Integer { .. }),
            Value::Plain(_) | Value::Text(_) => matches!(shape, Shape::Text(_) | Shape::Choice(_)),
            Value::Refused => false,
        };
        match shapes.iter().find(fits) {
            Some(fitting) => self.check(fitting, node, owner),
            None => self.refuse_type("E0117", &shape.describe(), node),
        }
    }

    fn refuse_type(&mut self, code: &str, expected: &str, node: &Node<'_>) -> Json {
        let got = node.describe();
        let fault = Diagnostic::error(code, format!("expected {expected}, got {got}"));
        let fault = if got == "null" { fault.hint("write a value, or leave the field out") } else { fault };
        self.report(fault, node.place);
        Json::Null
    }

    fn refuse_later(&mut self, what: &str, instead: &str, place: Place) {
        let fault = Diagnostic::error("E0125", format!("{what} comes in a later release")).hint(instead);
        self.report(fault, place);
    }
}

/// A field that nobody knows, with what was perhaps meant, and what there is.
pub(crate) fn unknown_field<'n>(written: &str, known: impl Iterator<Item = &'n str> + Clone) -> Diagnostic {
    let fault = Diagnostic::error("E0111", format!("unknown field `{}`", echo(written)));
    let fault = match nearest(written, known.clone()) {
        Some(word) => fault.hint(format!("did you mean `{word}`?")),
        None => fault,
    };
    let known: Vec<&str> = known.collect();
    if known.is_empty() { fault } else { fault.hint(format!("known fields: {}", known.join(", "))) }
}

/// Also by the spellings that a spec accepts beside the documented one.
fn find_field<'f>(fields: &'f [Field], key: &str) -> Option<&'f Field> {
    let name = if key == "driverOpts" { "driverOptions" } else { key };
    fields.iter().find(|field| field.name == key).or_else(|| fields.iter().find(|field| field.name == name))
}

fn echo(text: &str) -> String {
    printable(text, MAX_ECHO_CHARS)
}

fn check_format(format: TextFormat, text: &str) -> Option<Diagnostic> {
    let (code, problem) = match format {
        TextFormat::Free => return None,
        TextFormat::Name => ("E0201", text.parse::<Name>().err().map(|error| error.to_string())),
        TextFormat::Duration => ("E0230", text.parse::<HumanDuration>().err().map(|error| error.to_string())),
        TextFormat::Bytes => ("E0222", text.parse::<Bytes>().err().map(|error| error.to_string())),
        TextFormat::Cpu => ("E0223", text.parse::<MilliCpu>().err().map(|error| error.to_string())),
        TextFormat::Ip => {
            ("E0213", text.parse::<std::net::IpAddr>().is_err().then(|| "not a literal IP address".to_owned()))
        }
        TextFormat::Ipv4 => {
            ("E0221", text.parse::<std::net::Ipv4Addr>().is_err().then(|| "not an IPv4 address".to_owned()))
        }
    };
    let problem = problem?;
    Some(Diagnostic::error(code, format!("`{}` is {problem}", echo(text))))
}
