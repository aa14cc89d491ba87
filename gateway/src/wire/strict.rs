//! JSON that every reader reads alike.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::depth::is_too_deep;

/// The value of a JSON text; `None` where some reader would give up on it, or read something else: it is nested too deep, names one key
/// twice, or holds half a character or a number that is none.
pub fn read_strictly(json: &str) -> Option<Value> {
    if is_too_deep(json) {
        return None;
    }
    serde_json::from_str::<Strict>(json).ok().map(|strict| strict.0)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if fields.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::read_strictly;

    #[test]
    fn what_is_read_is_what_everybody_reads() {
        let text = r#"{"a":[1,-2,2.5,true,null,"\u00e9"],"b":{"a":{}}}"#;
        assert_eq!(read_strictly(text).unwrap(), serde_json::from_str::<serde_json::Value>(text).unwrap());
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        for doubtful in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#, r#""\ud800""#, "1e999", "{", "", &deep] {
            assert_eq!(read_strictly(doubtful), None, "{doubtful}");
        }
    }
}
