//! Values that must go nowhere but to whom they are for: what servers elsewhere are sent to let the gateway in.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::wire::object::quote;

/// A shorter value would be found in what has nothing to do with it.
const LEAST_BYTES: usize = 8;
/// What stands in place of one.
const INSTEAD: &str = "[secret]";

/// The values, in each way that they are looked for: as they are, within JSON, in base64 by themselves, and percent-encoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    needles: Vec<String>,
}

impl Secrets {
    /// These values, but for those of fewer than eight bytes.
    pub fn new<'values>(values: impl IntoIterator<Item = &'values str>) -> Self {
        let mut needles = BTreeSet::new();
        for value in values.into_iter().filter(|value| value.len() >= LEAST_BYTES) {
            needles.insert(value.to_owned());
            needles.insert(quote(value).trim_matches('"').to_owned());
            needles.insert(STANDARD_NO_PAD.encode(value));
            needles.insert(URL_SAFE_NO_PAD.encode(value));
            needles.insert(percent_encoded(value));
        }
        let mut needles: Vec<String> = needles.into_iter().collect();
        // The longest first: what holds another one is hidden whole.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Self { needles }
    }

    /// Whether a text holds one.
    pub fn is_in(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.as_str()))
    }

    /// A text without them. What stands instead is plain within JSON as well.
    pub fn hide(&self, text: String) -> String {
        if !self.is_in(&text) {
            return text;
        }
        self.needles.iter().fold(text, |text, needle| text.replace(needle.as_str(), INSTEAD))
    }
}

/// As RFC 3986 has it: everything but letters, digits, `-`, `.`, `_` and `~` as `%` and two digits.
fn percent_encoded(value: &str) -> String {
    let one = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    value.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::Secrets;

    #[test]
    fn a_secret_is_found_and_hidden_in_each_of_its_spellings() {
        let secrets = Secrets::new(["pa\"ss/word+1", "short"]);
        for text in [
            "pa\"ss/word+1",
            r#"{"text":"it is pa\"ss/word+1!"}"#,
            "cGEic3Mvd29yZCsx",
            "https://a/?k=pa%22ss%2Fword%2B1",
        ] {
            assert!(secrets.is_in(text), "{text}");
            let hidden = secrets.hide(text.to_owned());
            assert!(hidden.contains("[secret]") && !secrets.is_in(&hidden), "{hidden}");
        }
        assert_eq!(secrets.hide("short and sweet".to_owned()), "short and sweet");
    }
}
