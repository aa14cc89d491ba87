//! Texts of others made harmless for a terminal: no control characters but line ends, nothing that reverses or hides text.

use std::borrow::Cow;

/// The text with every character that could drive a terminal or mislead a reader written as `\u{…}`.
///
/// Inside a JSON string the result is no JSON escape; use [`sanitise_json`] there.
pub(super) fn sanitise(text: &str) -> Cow<'_, str> {
    replace(text, |c| format!("\\u{{{:x}}}", u32::from(c)))
}

/// The same for JSON text, which stays the same JSON.
pub(super) fn sanitise_json(text: &str) -> Cow<'_, str> {
    replace(text, |c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
    })
}

/// The text on one line, for a cell of a table or an event.
pub(super) fn one_line(text: &str) -> String {
    sanitise(&text.replace(['\n', '\t'], " ")).into_owned()
}

fn replace(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            clean.push_str(&escape(c));
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

fn is_harmful(c: char) -> bool {
    let is_control = c.is_control() && c != '\n' && c != '\t';
    let is_hidden = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    );
    is_control || is_hidden
}

#[cfg(test)]
mod tests {
    use super::{one_line, sanitise, sanitise_json};

    #[test]
    fn nothing_that_drives_a_terminal_or_hides_text_comes_through() {
        assert_eq!(sanitise("a\tb\nc é"), "a\tb\nc é");
        let hostile = "\u{1b}]0;x\u{7}\r\u{9b}31m\u{202e}\u{200b}\u{0}\u{e0041}";
        assert_eq!(sanitise(hostile), "\\u{1b}]0;x\\u{7}\\u{d}\\u{9b}31m\\u{202e}\\u{200b}\\u{0}\\u{e0041}");
        assert_eq!(one_line("a\nb\u{8}"), "a b\\u{8}");
    }

    #[test]
    fn sanitised_json_means_the_same() {
        let value = serde_json::json!({ "a": "\u{202e}x\u{9b}\u{e0041}\u{1b}" });
        let text = serde_json::to_string(&value).unwrap();
        let clean = sanitise_json(&text);
        assert!(clean.is_ascii(), "{clean}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
    }
}
