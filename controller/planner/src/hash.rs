//! The hash of a template: its identity in names and labels.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The version of what is hashed. A higher one never recreates anything by itself: templates are compared before hashes are.
pub const HASH_VERSION: u32 = 1;

/// A template as canonical JSON: keys in the order of the type, default values left out.
pub fn canonical_json<T: Serialize>(template: &T) -> String {
    serde_json::to_string(template).unwrap_or_default()
}

/// `VERSION:` and 16 hex digits of the SHA-256 of the canonical JSON.
pub fn hash_template(canonical: &str) -> String {
    let digest = Sha256::digest(canonical.as_bytes());
    format!("{HASH_VERSION}:{}", to_hex(&digest[..8]))
}

/// The part of a hash that names carry: its first 8 hex digits.
pub fn short_hash(hash: &str) -> &str {
    let digits = hash.split_once(':').map_or(hash, |(_, digits)| digits);
    digits.get(..8).unwrap_or(digits)
}

/// Lower-case hex digits.
pub fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
