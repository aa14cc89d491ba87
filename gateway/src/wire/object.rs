//! A JSON object whose fields are edited one at a time; the others stay the text that they were.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of an object in their order, each value as its JSON text.
#[derive(Debug, Clone, Default)]
pub struct RawObject<'text> {
    fields: Vec<(Cow<'text, str>, Cow<'text, str>)>,
}

impl<'text> RawObject<'text> {
    /// Reads the fields; `None` when the text is no JSON object.
    pub fn parse(text: &'text str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The fields of `params`; none where there are no params.
    pub fn of(params: Option<&'text RawValue>) -> Self {
        params.and_then(|params| Self::parse(params.get())).unwrap_or_default()
    }

    /// The JSON text of a field. Of several with one name the last counts, as it does everywhere else.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// The same where it is a part of the text that was read.
    pub(super) fn borrowed(&self, key: &str) -> Option<&'text str> {
        match self.fields.iter().rev().find(|(name, _)| name == key) {
            Some((_, Cow::Borrowed(value))) => Some(value),
            Some((_, Cow::Owned(_))) | None => None,
        }
    }

    /// The value of a field that is a string.
    pub fn get_str(&self, key: &str) -> Option<Cow<'_, str>> {
        read_str(self.get(key)?)
    }

    /// Whether there is such a field.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The names and texts of all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Sets a field to a JSON text, in its place where it is there already.
    pub fn set(&mut self, key: &str, json: impl Into<Cow<'text, str>>) {
        let json = json.into();
        let Some(place) = self.fields.iter().rposition(|(name, _)| name == key) else {
            self.fields.push((Cow::Owned(key.to_owned()), json));
            return;
        };
        if let Some((_, value)) = self.fields.get_mut(place) {
            *value = json;
        }
        // Whoever reads the first of two must not read what this one replaced.
        let mut index = 0;
        self.fields.retain(|(name, _)| {
            let is_kept = name != key || index == place;
            index += 1;
            is_kept
        });
    }

    /// Sets a field to a string.
    pub fn set_str(&mut self, key: &str, value: &str) {
        self.set(key, quote(value));
    }

    /// Takes a field away.
    pub fn remove(&mut self, key: &str) {
        self.fields.retain(|(name, _)| name != key);
    }

    /// Keeps the fields whose names are approved of.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str) -> bool) {
        self.fields.retain(|(name, _)| is_kept(name));
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The JSON text of the whole.
    pub fn to_json(&self) -> String {
        let length: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut writer = Writer::with_capacity(length + 2);
        for (name, value) in &self.fields {
            writer.field(name, value);
        }
        writer.finish().unwrap_or_else(|| "{}".to_owned())
    }
}

/// Writes an object a field at a time.
#[derive(Debug)]
pub struct Writer {
    json: String,
}

impl Writer {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { json: String::with_capacity(bytes) }
    }

    /// Writes a field, whose value is a JSON text.
    pub fn field(&mut self, name: &str, value: &str) {
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        push_quoted(&mut self.json, name);
        self.json.push(':');
        self.json.push_str(value);
    }

    /// Writes a field whose name is ours, and plain.
    pub fn own_field(&mut self, name: &'static str, value: &str) {
        debug_assert!(is_plain(name), "a name of ours needs no escapes");
        self.json.push_str(if self.json.is_empty() { "{\"" } else { ",\"" });
        self.json.push_str(name);
        self.json.push_str("\":");
        self.json.push_str(value);
    }

    /// Writes a field whose name is ours, and plain, and whose value is a number.
    pub fn own_number(&mut self, name: &'static str, number: impl itoa::Integer) {
        self.own_field(name, itoa::Buffer::new().format(number));
    }

    /// Writes a field whose name is ours, and plain, and whose value is a text.
    pub fn own_text(&mut self, name: &'static str, text: &str) {
        self.own_field(name, "");
        push_quoted(&mut self.json, text);
    }

    /// The JSON text of the whole; `None` where it has no fields.
    pub fn finish(mut self) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        self.json.push('}');
        Some(self.json)
    }
}

/// A string as JSON text.
pub fn quote(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    push_quoted(&mut json, text);
    json
}

/// Whether a text stands in JSON as it is. All of it is looked at, whatever is found, so that many bytes are looked at at once.
fn is_plain(text: &str) -> bool {
    text.bytes().filter(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\').count() == 0
}

/// Adds a string as JSON text.
pub fn push_quoted(json: &mut String, text: &str) {
    if is_plain(text) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&serde_json::Value::from(text).to_string());
    }
}

/// The string that a JSON text is, if it is one.
pub fn read_str(json: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'text>(#[serde(borrow)] Cow<'text, str>);
    serde_json::from_str::<Text<'_>>(json).ok().map(|Text(text)| text)
}

impl<'de: 'text, 'text> Deserialize<'de> for RawObject<'text> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = RawObject<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<FieldName<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            fields.push((key.0, Cow::Borrowed(value.get())));
        }
        Ok(RawObject { fields })
    }
}

#[derive(serde::Deserialize)]
struct FieldName<'text>(#[serde(borrow)] Cow<'text, str>);

#[cfg(test)]
mod tests {
    use super::{RawObject, quote, read_str};

    #[test]
    fn what_is_not_edited_stays_as_it_was_written() {
        let text = r#"{"name":"a\u0062","arguments":{ "n": 1.0e2, "x": [ ] },"_meta":{"k":null}}"#;
        let mut object = RawObject::parse(text).unwrap();
        assert_eq!(object.get_str("name").as_deref(), Some("ab"));
        object.set_str("name", "c\"d");
        object.set("extra", "7");
        assert_eq!(
            object.to_json(),
            r#"{"name":"c\"d","arguments":{ "n": 1.0e2, "x": [ ] },"_meta":{"k":null},"extra":7}"#
        );
        object.remove("_meta");
        object.remove("arguments");
        assert_eq!(object.to_json(), r#"{"name":"c\"d","extra":7}"#);
    }

    #[test]
    fn a_field_that_is_written_twice_is_set_once() {
        let mut object = RawObject::parse(r#"{"name":"first","a":1,"name":"last"}"#).unwrap();
        assert_eq!(object.get_str("name").as_deref(), Some("last"));
        object.set_str("name", "new");
        assert_eq!(object.to_json(), r#"{"a":1,"name":"new"}"#);
    }

    #[test]
    fn strings_are_quoted_and_read_alike() {
        for text in ["", "plain", "quo\"te", "back\\slash", "line\nfeed", "é\u{202e}\u{0}"] {
            assert_eq!(read_str(&quote(text)).as_deref(), Some(text));
        }
        assert_eq!(read_str("7"), None);
        assert!(RawObject::parse("[]").is_none());
    }
}
