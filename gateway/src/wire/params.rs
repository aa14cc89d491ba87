//! The params of a message, read once on their way.

use super::envelope::ClientMessage;
use super::object::RawObject;

/// The params of a message, and what their `_meta` holds.
#[derive(Debug, Clone, Default)]
pub struct Params<'text> {
    /// The JSON text that they were read from: theirs, or of a client's the whole message.
    pub source: &'text str,
    /// Whether there are any, be they empty.
    pub are_given: bool,
    /// The fields.
    pub fields: RawObject<'text>,
    /// The fields of `_meta`; none where it is absent, or no object.
    pub meta: RawObject<'text>,
}

impl<'text> Params<'text> {
    /// Takes them out of a client's message. `text`: the message.
    pub fn take(message: &mut ClientMessage<'text>, text: &'text str) -> Self {
        Self::of(message.take_params(), text)
    }

    /// Reads them from their text.
    pub fn read_text(text: &'text str) -> Self {
        Self::of(RawObject::parse(text), text)
    }

    /// Reads them from the text of a client's message.
    pub fn read_message(text: &'text str) -> Self {
        ClientMessage::parse_with_params(text).map(|mut message| Self::take(&mut message, text)).unwrap_or_default()
    }

    fn of(fields: Option<RawObject<'text>>, source: &'text str) -> Self {
        let are_given = fields.is_some();
        let fields = fields.unwrap_or_default();
        let meta = fields.borrowed("_meta").and_then(RawObject::parse).unwrap_or_default();
        Self { source, are_given, fields, meta }
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn params_and_meta_are_read_and_what_is_missing_is_empty() {
        let params = Params::read_text(r#"{"name":"a","_meta":{"k":[1]}}"#);
        assert_eq!((params.fields.get("name"), params.meta.get("k")), (Some("\"a\""), Some("[1]")));
        assert_eq!(params.source.len(), 30);
        assert!(Params::read_text(r#"{"_meta":7}"#).meta.is_empty() && Params::read_text("{}").fields.is_empty());
        let message = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"a","_meta":{"k":[1]}}}"#;
        let params = Params::read_message(message);
        assert_eq!((params.fields.get("name"), params.meta.get("k")), (Some("\"a\""), Some("[1]")));
        assert_eq!(params.source, message);
        assert!(Params::read_message("").fields.is_empty() && Params::read_text("").source.is_empty());
    }
}
