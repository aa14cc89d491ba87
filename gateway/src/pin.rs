//! Pins: what a definition was when it was approved, and what has become of it since. Tools have one, prompts, and a server as a whole: its
//! instructions.

mod book;
mod desk;
mod difference;
mod pinned;
mod review;

pub use book::{Doubt, DoubtKind, PinBook};
pub use desk::{Approval, Desk, DoubtNote};
pub use difference::{differences, visible};
pub use pinned::{INSTRUCTIONS, prompt_key};
pub use review::Review;

use sha2::{Digest, Sha256};

use crate::wire::strict::read_strictly;

/// The hash of a tool's definition: everything that a model may be told of it, whatever the order of its fields. `_meta` is the
/// programs' own and not part of it.
pub fn hash_of(definition: &str) -> String {
    let text = read_strictly(definition).map(|mut value| {
        if let Some(fields) = value.as_object_mut() {
            fields.remove("_meta");
        }
        // Objects are written in the order of their keys.
        value.to_string()
    });
    // What cannot be read, or can be read in two ways, is the same only where each of its letters is.
    format!("{:x}", Sha256::digest(text.as_deref().unwrap_or(definition)))
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

    #[test]
    fn what_cannot_be_read_or_can_be_read_in_two_ways_is_not_taken_for_anything_else() {
        let good = r#"{"name":"a","description":"adds"}"#;
        let twice = r#"{"name":"a","description":"steals","description":"adds"}"#;
        assert_ne!(hash_of(good), hash_of(twice));
        let half = |text: &str| format!(r#"{{"name":"a","description":"{text} \ud800"}}"#);
        assert_ne!(hash_of(&half("adds")), hash_of(&half("steals")));
        let deep = |text: &str| format!("{}\"{text}\"{}", "[".repeat(200), "]".repeat(200));
        assert_ne!(hash_of(&deep("adds")), hash_of(&deep("steals")));
    }
}
