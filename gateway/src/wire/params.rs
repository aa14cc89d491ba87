//! The params of a message, read once on their way.

use serde_json::value::RawValue;

use super::object::RawObject;

/// The params of a message, and what their `_meta` holds.
#[derive(Debug, Clone, Default)]
pub struct Params<'text> {
    /// The JSON text; empty where there are none.
    pub text: &'text str,
    /// The fields.
    pub fields: RawObject<'text>,
    /// The fields of `_meta`; none where it is absent, or no object.
    pub meta: RawObject<'text>,
}

impl<'text> Params<'text> {
    /// Reads them.
    pub fn read(params: Option<&'text RawValue>) -> Self {
        let fields = RawObject::of(params);
        let meta = fields.borrowed("_meta").and_then(RawObject::parse).unwrap_or_default();
        Self { text: params.map_or("", RawValue::get), fields, meta }
    }

    /// Reads them from their text.
    pub fn read_text(text: &'text str) -> Self {
        Self::read(serde_json::from_str(text).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn params_and_meta_are_read_and_what_is_missing_is_empty() {
        let params = Params::read_text(r#"{"name":"a","_meta":{"k":[1]}}"#);
        assert_eq!((params.fields.get("name"), params.meta.get("k")), (Some("\"a\""), Some("[1]")));
        assert_eq!(params.text.len(), 30);
        assert!(Params::read_text(r#"{"_meta":7}"#).meta.is_empty() && Params::read_text("{}").fields.is_empty());
        assert!(Params::read(None).fields.is_empty() && Params::read_text("").text.is_empty());
    }
}
