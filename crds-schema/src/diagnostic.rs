//! A fault in what a user wrote, as plain data: the same for the terminal, the API's error bodies and the tests.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::escape::printable;
use crate::object::ObjectKey;

/// How long a message, and a diagnostic written on one line, may be, in characters.
pub const MAX_MESSAGE_CHARS: usize = 500;

/// One fault, with where it is, what was expected and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// The stable code, such as `E0111`; each has a page in `docs/errors/`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower-case, no trailing full stop, at most 500 characters, free of control characters.
    pub message: String,
    /// The path of the field inside its document, such as `spec.replicas`; empty where no field is concerned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// The object it concerns, as `Kind/namespace/name`; empty where the header could not be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// What the user can do about it, most likely first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Where it is; the first is the fault itself, the others are related places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<Span>,
}

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object is refused, and its last good version stays.
    Error,
    /// The object is accepted.
    Warning,
}

/// A place in a manifest file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters are meant; 0 where only the position is known.
    pub length: u32,
    /// The whole line that the span begins in, for the snippet; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub snippet: String,
    /// What this place is, such as `first defined here`; empty for the fault itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

impl Diagnostic {
    /// An error without place or hint. What cannot be shown is escaped, and what is too long is cut.
    pub fn error(code: &str, message: impl AsRef<str>) -> Self {
        Self {
            code: code.to_owned(),
            severity: Severity::Error,
            message: printable(message.as_ref(), MAX_MESSAGE_CHARS),
            field: String::new(),
            object: String::new(),
            hints: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// A warning without place or hint.
    pub fn warning(code: &str, message: impl AsRef<str>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The same with a hint more.
    #[must_use]
    pub fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hints.push(printable(hint.as_ref(), MAX_MESSAGE_CHARS));
        self
    }

    /// The same with a place more.
    #[must_use]
    pub fn span(mut self, span: Span) -> Self {
        self.spans.push(span);
        self
    }

    /// The same, about the field with this path, such as `spec.ports[0].publish`.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }

    /// The same, about this object.
    #[must_use]
    pub fn of(mut self, key: &ObjectKey) -> Self {
        self.object = key.full_name();
        self
    }

    /// Whether it is about this object.
    pub fn is_of(&self, key: &ObjectKey) -> bool {
        self.object == key.full_name()
    }

    /// The same as an error, whatever it was: for commands that see the whole set of files, where a warning about something
    /// that is missing can no longer be cured by a file to come.
    #[must_use]
    pub fn into_error(mut self) -> Self {
        self.severity = Severity::Error;
        self
    }

    /// Whether the object is refused.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The object that it concerns, where there is one.
    pub fn object_key(&self) -> Option<ObjectKey> {
        self.object.parse().ok()
    }

    /// `file:line:column Kind/name field.path: code: problem; hint`, escaped, at most 500 characters.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if let Some(span) = self.spans.first() {
            line.push_str(&span.file);
            if span.line > 0 {
                // Writing to a string cannot fail.
                write!(line, ":{}:{}", span.line, span.column.max(1)).unwrap_or_default();
            }
        }
        let object = self.object_key().map_or_else(|| self.object.clone(), |key| key.to_string());
        for part in [&object, &self.field] {
            if !part.is_empty() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(part);
            }
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&self.code);
        line.push_str(": ");
        line.push_str(&self.message);
        if let Some(hint) = self.hints.first() {
            line.push_str("; ");
            line.push_str(hint);
        }
        printable(&line, MAX_MESSAGE_CHARS)
    }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Span};

    #[test]
    fn one_line_is_escaped_and_short() {
        let span =
            Span { file: "a.yaml".into(), line: 3, column: 5, length: 0, snippet: String::new(), label: String::new() };
        let mut diagnostic = Diagnostic::error("E0111", "unknown field `im\u{1b}agee`").at("spec").span(span);
        diagnostic.object = "Deployment/default/web".into();
        let line = diagnostic.clone().hint("did you mean `image`?").one_line();
        assert_eq!(line, "a.yaml:3:5 Deployment/web spec: E0111: unknown field `im\\u{1b}agee`; did you mean `image`?");
        diagnostic.field = "x".repeat(9_000);
        assert_eq!(diagnostic.one_line().chars().count(), 500);
    }
}
