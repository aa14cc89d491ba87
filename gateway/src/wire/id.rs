//! Ids of JSON-RPC requests.

use serde_json::value::RawValue;

/// The id of a request, as the JSON text that it came as: it is given back letter for letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// The id that this JSON text is; `None` unless it is a string or an integer, which is all that MCP allows.
    pub fn parse(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        let is_string = text.starts_with('"');
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_string || is_integer).then(|| Self(text.into()))
    }

    /// An id of ours.
    pub fn number(number: u64) -> Self {
        Self(number.to_string().into())
    }

    /// The JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The number that it is, when it is one of ours.
    pub fn as_number(&self) -> Option<u64> {
        self.0.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::Id;

    fn parse(text: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        Id::parse(raw).map(|id| id.as_json().to_owned())
    }

    #[test]
    fn strings_and_integers_are_ids_and_nothing_else_is() {
        for good in ["1", "-7", "\"a\"", "\"\"", "18446744073709551616"] {
            assert_eq!(parse(good).as_deref(), Some(good));
        }
        for bad in ["null", "1.5", "1e3", "true", "[]", "{}"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
