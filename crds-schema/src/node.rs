//! A YAML document as a tree that remembers where everything stands, and what a plain scalar means.

use std::borrow::Cow;

use crate::source_text::Place;

/// One value.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) place: Place,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// A scalar without quotes, whose meaning depends on what it looks like.
    Plain(Cow<'a, str>),
    /// A scalar in quotes or a block scalar: always a string.
    Text(Cow<'a, str>),
    /// A sequence.
    List(Vec<Node<'a>>),
    /// A mapping, in the order written, without duplicates.
    Map(Vec<Entry<'a>>),
    /// Something that has been reported already (an alias, a tagged value): not looked at again.
    Refused,
}

/// One field of a mapping.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) key_place: Place,
    pub(crate) node: Node<'a>,
}

/// What a plain scalar means by the core schema of YAML 1.2, and where YAML 1.1 disagrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// `~`, `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// What some parsers take for a boolean: `yes`, `off`, `True`.
    BooleanLike,
    /// A decimal integer without a leading zero or sign of plus.
    Integer(i128),
    /// A number whose value depends on the parser: `022`, `0x50`, `22:22`, `1_000`.
    AmbiguousNumber,
    /// Any other number.
    Float,
    /// Anything else.
    Text,
}

impl Plain {
    /// What the text means.
    pub(crate) fn of(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" => return Self::Boolean(true),
            "false" => return Self::Boolean(false),
            _ => {}
        }
        let first = text.as_bytes()[0];
        if first.is_ascii_alphabetic() || first == b'.' && text.len() > 1 && !text.as_bytes()[1].is_ascii_digit() {
            return Self::of_word(text);
        }
        if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
            return Self::Text;
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if matches!(digits, ".inf" | ".Inf" | ".INF") {
            return Self::Float;
        }
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let is_ambiguous = digits.len() > 1 && digits.starts_with('0');
            return match text.parse() {
                _ if is_ambiguous => Self::AmbiguousNumber,
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Float,
            };
        }
        if is_ambiguous_number(digits) {
            return Self::AmbiguousNumber;
        }
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
            && digits.parse::<f64>().is_ok();
        if is_number { Self::Float } else { Self::Text }
    }

    fn of_word(text: &str) -> Self {
        if text.len() > 5 {
            return Self::Text;
        }
        match text.to_ascii_lowercase().as_str() {
            "yes" | "no" | "on" | "off" | "y" | "n" | "true" | "false" => Self::BooleanLike,
            ".inf" | ".nan" => Self::Float,
            _ => Self::Text,
        }
    }

    /// Whether YAML 1.2 reads it as a string.
    pub(crate) const fn is_string(self) -> bool {
        matches!(self, Self::Text)
    }
}

fn is_ambiguous_number(digits: &str) -> bool {
    let is_hex = digits.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let is_octal = digits.strip_prefix("0o").is_some_and(|octal| octal.bytes().all(|byte| byte.is_ascii_digit()));
    let is_sexagesimal = digits.contains(':')
        && digits.split(':').enumerate().all(|(index, part)| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (index == 0 || part.parse::<u32>().is_ok_and(|number| number < 60) && part.len() <= 2)
        });
    let is_grouped = digits.contains('_')
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    is_hex || is_octal || is_sexagesimal || is_grouped
}

impl Node<'_> {
    /// What the node is, with an article, for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Plain(text) => match Plain::of(text) {
                Plain::Null => "null".to_owned(),
                Plain::Boolean(_) => format!("the boolean `{text}`"),
                Plain::Integer(_) | Plain::AmbiguousNumber | Plain::Float => format!("the number `{text}`"),
                Plain::BooleanLike | Plain::Text => "text".to_owned(),
            },
            Value::Text(_) => "text".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Refused => "something that is not allowed".to_owned(),
        }
    }

    /// The value of a field, when the node is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node),
            Value::Plain(_) | Value::Text(_) | Value::List(_) | Value::Refused => None,
        }
    }

    /// The string that the node is, when it is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Plain(text) if matches!(Plain::of(text), Plain::Text | Plain::BooleanLike) => Some(text),
            Value::Plain(_) | Value::List(_) | Value::Map(_) | Value::Refused => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;

    #[test]
    fn plain_scalars_mean_what_yaml_1_2_says() {
        let cases: [(&str, Plain); 26] = [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("true", Plain::Boolean(true)),
            ("yes", Plain::BooleanLike),
            ("True", Plain::BooleanLike),
            ("no", Plain::BooleanLike),
            ("Norway", Plain::Text),
            ("10", Plain::Integer(10)),
            ("-3", Plain::Integer(-3)),
            ("0", Plain::Integer(0)),
            ("99999999999", Plain::Integer(99_999_999_999)),
            ("022", Plain::AmbiguousNumber),
            ("22:22", Plain::AmbiguousNumber),
            ("0x50", Plain::AmbiguousNumber),
            ("1_000", Plain::AmbiguousNumber),
            ("1.10", Plain::Float),
            ("1e3", Plain::Float),
            (".5", Plain::Float),
            (".nan", Plain::Float),
            ("1.2.3", Plain::Text),
            ("8080:80", Plain::Text),
            ("127.0.0.1:8080", Plain::Text),
            ("1001:1001", Plain::Text),
            ("-", Plain::Text),
            ("10.77.0.0/24", Plain::Text),
            ("500m", Plain::Text),
        ];
        for (text, plain) in cases {
            assert_eq!(Plain::of(text), plain, "{text}");
        }
    }
}
