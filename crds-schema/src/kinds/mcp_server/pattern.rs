//! Patterns of names, and names of tools.

use crate::diagnostic::Diagnostic;
use crate::grammar::echo;

/// The longest name of a tool that the protocol allows, and so the longest pattern, in characters.
const MAX_PATTERN_CHARS: usize = 128;
/// The longest name of a tool that every client takes.
const MAX_CLIENT_NAME_CHARS: usize = 64;

/// The faults of a list of patterns.
pub(crate) fn check_patterns(path: &str, patterns: &[String], faults: &mut Vec<Diagnostic>) {
    for (index, pattern) in patterns.iter().enumerate() {
        if let Some(problem) = pattern_fault(pattern) {
            let fault = Diagnostic::error("E0245", format!("`{}` is not a pattern: {problem}", echo(pattern)));
            let hint = "write a name, in which `*` stands for any text and `?` for one character";
            faults.push(fault.hint(hint).at(format!("{path}[{index}]")));
        }
    }
}

/// Why a text is not a pattern.
fn pattern_fault(pattern: &str) -> Option<&'static str> {
    // Other tools give these a meaning that they do not have here.
    let is_foreign = |c: char| "[]{}!^$|()\\+".contains(c);
    match pattern {
        "" => Some("it is empty"),
        _ if pattern.chars().count() > MAX_PATTERN_CHARS => Some("it is longer than 128 characters"),
        _ if pattern.chars().any(|c| c.is_whitespace() || c.is_control()) => Some("it contains white space"),
        _ if pattern.chars().any(is_foreign) => Some("only `*` and `?` have a meaning of their own"),
        _ => None,
    }
}

/// Why a text cannot be the own name of a tool.
pub(super) fn tool_name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        _ if name.chars().count() > MAX_PATTERN_CHARS => Some("it is longer than 128 characters"),
        _ if name.chars().any(|c| c.is_whitespace() || c.is_control()) => Some("it contains white space"),
        _ if name.contains(['*', '?']) => Some("a pattern cannot be renamed"),
        _ => None,
    }
}

/// Whether every client takes a text as the name of a tool: some refuse what the protocol allows.
pub(super) fn is_client_name(name: &str) -> bool {
    (1..=MAX_CLIENT_NAME_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
