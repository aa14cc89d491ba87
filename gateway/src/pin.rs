//! Pins: what a tool's definition was when it was approved, and what has become of it since.

mod book;
mod desk;
mod difference;

pub use book::{Doubt, DoubtKind, PinBook};
pub use desk::{Approval, Desk, DoubtNote};
pub use difference::{differences, visible};

use sha2::{Digest, Sha256};

/// The hash of a tool's definition: everything that a model may be told of it, whatever the order of its fields. `_meta` is the
/// programs' own and not part of it.
pub fn hash_of(definition: &str) -> String {
    let mut value: serde_json::Value = serde_json::from_str(definition).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("_meta");
    }
    // Objects are written in the order of their keys.
    format!("{:x}", Sha256::digest(value.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::hash_of;

    #[test]
    fn the_order_of_fields_is_no_change_and_everything_else_is() {
        let hash = hash_of(r#"{"name":"a","description":"d","inputSchema":{"type":"object","properties":{}}}"#);
        assert_eq!(
            hash,
            hash_of(
                r#"{"inputSchema":{"properties":{},"type":"object"}, "description":"d","name":"a","_meta":{"n":1}}"#
            )
        );
        for changed in [
            r#"{"name":"a","description":"d ","inputSchema":{"type":"object","properties":{}}}"#,
            r#"{"name":"a","description":"d","inputSchema":{"type":"object","properties":{"x":{}}}}"#,
            r#"{"name":"a","title":"t","description":"d","inputSchema":{"type":"object","properties":{}}}"#,
        ] {
            assert_ne!(hash, hash_of(changed), "{changed}");
        }
    }
}
