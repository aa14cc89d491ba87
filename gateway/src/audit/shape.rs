//! The shape of arguments: which fields, of which types and sizes, without a value.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::record::beginning_of;
use crate::wire::object::push_quoted;

/// How deep a shape is told.
const DEPTH_LIMIT: usize = 4;
/// How many fields of one object are told.
const FIELD_LIMIT: usize = 32;
/// How many fields of all objects together are told: a line of the audit must not grow with what somebody sends.
const TOTAL_LIMIT: usize = 200;

/// How many characters of a field's name are told.
const NAME_CHARS: usize = 64;

/// What is written down of arguments, which are JSON text: themselves, or else their shape. It is one line.
pub(crate) fn arguments_of(text: &str, has_values: bool) -> Option<String> {
    if has_values {
        let value: Value = serde_json::from_str(text).ok()?;
        return (!value.is_null()).then(|| value.to_string());
    }
    Some(shape_of(text))
}

/// The shape of a JSON text, as JSON: `{"path":"string(12)","lines":"array(3)"}`; `"?"` for what is no JSON.
fn shape_of(json: &str) -> String {
    let mut shape = Shape { text: String::with_capacity(json.len() / 2), budget: TOTAL_LIMIT };
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = Told { shape: &mut shape, depth: 0 }.deserialize(&mut reader).and_then(|()| reader.end());
    if read.is_ok() { shape.text } else { "\"?\"".to_owned() }
}

/// What has been told.
struct Shape {
    text: String,
    /// How many fields may still be told.
    budget: usize,
}

impl Shape {
    fn say(&mut self, kind: &str, size: Option<usize>) {
        self.text.push('"');
        self.text.push_str(kind);
        if let Some(size) = size {
            self.text.push('(');
            self.text.push_str(itoa::Buffer::new().format(size));
            self.text.push(')');
        }
        self.text.push('"');
    }
}

/// A value that is told of while it is read.
struct Told<'shape> {
    shape: &'shape mut Shape,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Told<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.shape.budget = self.shape.budget.saturating_sub(1);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Told<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.shape.say("null", None);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.shape.say("boolean", None);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.shape.say("number", None);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.shape.say("number", None);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.shape.say("number", None);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.shape.say("string", Some(text.len()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut count = 0_usize;
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        self.shape.say("array", Some(count));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let is_told = self.depth < DEPTH_LIMIT && self.shape.budget > 0;
        let mut count = 0_usize;
        while let Some(Name(name)) = fields.next_key()? {
            if is_told && count < FIELD_LIMIT {
                self.shape.text.push(if count == 0 { '{' } else { ',' });
                push_quoted(&mut self.shape.text, &beginning_of(&name, NAME_CHARS));
                self.shape.text.push(':');
                fields.next_value_seed(Told { shape: &mut *self.shape, depth: self.depth + 1 })?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
            count += 1;
        }
        match (is_told, count) {
            (false, _) => self.shape.say("object", Some(count)),
            (true, 0) => self.shape.text.push_str("{}"),
            (true, 1..=FIELD_LIMIT) => self.shape.text.push('}'),
            (true, _) => {
                self.shape.text.push_str(",\"…\":");
                self.shape.text.push_str(&(count - FIELD_LIMIT).to_string());
                self.shape.text.push('}');
            }
        }
        Ok(())
    }
}

/// A field's name, a part of the text where it is that.
#[derive(serde::Deserialize)]
struct Name<'text>(#[serde(borrow)] Cow<'text, str>);

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::shape_of;

    #[test]
    fn no_value_is_in_a_shape() {
        let shape = shape_of(r#"{"path":"/secret","n":42,"list":["secret"],"o":{"t":"secret"},"b":true,"z":null}"#);
        assert_eq!(
            shape,
            r#"{"path":"string(7)","n":"number","list":"array(1)","o":{"t":"string(6)"},"b":"boolean","z":"null"}"#
        );
        assert_eq!(shape_of(r#"{"a\u0022b":{},"c":-1.5e3}"#), r#"{"a\"b":{},"c":"number"}"#);
        for text in ["nonsense", "", "{\"a\":1", "{} {}"] {
            assert_eq!(shape_of(text), "\"?\"");
        }
    }

    #[test]
    fn what_is_deep_or_wide_is_told_by_its_size() {
        assert_eq!(shape_of(r#"{"a":{"b":{"c":{"d":{"e":1,"f":2}}}}}"#), r#"{"a":{"b":{"c":{"d":"object(2)"}}}}"#);
        let wide: serde_json::Map<String, Value> = (0..40).map(|n| (format!("{n:02}"), Value::Null)).collect();
        let shape: Value = serde_json::from_str(&shape_of(&Value::Object(wide).to_string())).unwrap();
        assert_eq!(shape.as_object().map(serde_json::Map::len), Some(33));
        assert_eq!(shape.get("…"), Some(&Value::from(8)));
    }

    #[test]
    fn a_shape_stays_small_whatever_is_sent() {
        let leaves: serde_json::Map<String, Value> = (0..32).map(|n| (format!("{n:064}"), Value::Null)).collect();
        let mut value = Value::Object(leaves);
        for _ in 0..3 {
            value = Value::Object((0..32).map(|n| (format!("{n:064}"), value.clone())).collect());
        }
        let shape = shape_of(&value.to_string());
        assert!(shape.len() < 200_000);
        assert!(serde_json::from_str::<Value>(&shape).is_ok(), "it is JSON");
    }
}
