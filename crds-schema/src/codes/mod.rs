//! Every code that a user can meet, with what `docs/errors/` and `evenkeel explain E0111` say about it.

mod file;
mod meaning;

use std::fmt::Write as _;

use crate::suggestion::nearest;

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode {
    /// Such as `E0111`. A code is never given a second meaning.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// What is wrong, and why it is refused.
    pub explanation: &'static str,
    /// What causes it; empty where no text does.
    pub example: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Every code, in order.
pub fn error_codes() -> impl Iterator<Item = &'static ErrorCode> {
    file::FILE_CODES.iter().chain(meaning::MEANING_CODES)
}

/// What a code means; `None` for one that there is not.
pub fn error_code(code: &str) -> Option<&'static ErrorCode> {
    error_codes().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// The code that was perhaps meant.
pub fn nearest_code(code: &str) -> Option<&'static str> {
    nearest(code, error_codes().map(|entry| entry.code))
}

impl ErrorCode {
    /// The code's page in `docs/errors/`, as Markdown.
    pub fn page(&self) -> String {
        let mut page = format!("# {}: {}\n\n{}\n", self.code, self.title, self.explanation);
        if !self.example.is_empty() {
            page.push_str("\n## Example\n\n```text\n");
            page.push_str(self.example);
            page.push_str("\n```\n");
        }
        page.push_str("\n## What to do\n\n");
        page.push_str(self.remedy);
        page.push('\n');
        page
    }
}

/// The list of all pages, as Markdown.
pub fn index_page() -> String {
    let mut page = String::from(
        "# Errors\n\nEvery fault has a code that never changes its meaning. Codes from E0100 are about files and YAML, from\n\
         E0200 about what a manifest means.\n\n| Code | Meaning |\n|---|---|\n",
    );
    for entry in error_codes() {
        // Writing to a string cannot fail.
        writeln!(page, "| [{0}]({0}.md) | {1} |", entry.code, entry.title).unwrap_or_default();
    }
    page
}
