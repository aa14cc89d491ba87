//! A fault in what a user wrote, as plain data: the same for the terminal, the API's error bodies and the tests.

use serde::{Deserialize, Serialize};

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
    /// An error without place or hint.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            severity: Severity::Error,
            message: message.into(),
            field: String::new(),
            object: String::new(),
            hints: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// The same with a hint more.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with a place more.
    #[must_use]
    pub fn span(mut self, span: Span) -> Self {
        self.spans.push(span);
        self
    }
}
