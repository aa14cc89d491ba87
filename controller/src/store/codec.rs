//! How a record is written: a JSON envelope with its version, its kind and a checksum over them.
//!
//! `{"v":1,"kind":"object","sum":"0123456789abcdef","data":…}`. The checksum, over version, key and data, is there because the database under us has been
//! seen to return damaged values; it is no defence against a person. A value that turns up
//! under another key is found out too. A record of a newer version is refused as such and never guessed at: see [`CodecError::Newer`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kv::Value;

/// The version of what this release writes, and the newest that it reads.
pub const RECORD_VERSION: u32 = 1;

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not what was written.
    #[error("record `{key}` is damaged: {text}")]
    Damaged {
        /// Its key.
        key: String,
        /// What does not fit.
        text: String,
    },
    /// A newer release wrote it.
    #[error("record `{key}` has version {found}, and this release knows up to {RECORD_VERSION}")]
    Newer {
        /// Its key.
        key: String,
        /// Its version.
        found: u32,
    },
    /// It is whole, but does not mean anything to this release, such as an object of a kind that was dropped.
    #[error("record `{key}` is not understood: {text}")]
    Unfit {
        /// Its key.
        key: String,
        /// What does not fit.
        text: String,
    },
}

impl CodecError {
    /// The key of the record.
    pub fn key(&self) -> &str {
        match self {
            Self::Damaged { key, .. } | Self::Newer { key, .. } | Self::Unfit { key, .. } => key,
        }
    }
}

#[derive(Deserialize)]
struct Header {
    v: u32,
    kind: String,
    sum: String,
}

/// Writes a record for a key.
///
/// # Errors
/// When the data cannot be written as JSON, such as a map whose keys are no texts.
pub fn encode<T: Serialize>(key: &str, data: &T) -> Result<Value, serde_json::Error> {
    Ok(wrap(RECORD_VERSION, key, &serde_json::to_string(data)?))
}

/// The envelope around some data. Its form is the same in every version, so that a newer one can be told from a damaged one.
pub(super) fn wrap(version: u32, key: &str, data: &str) -> Value {
    let sum = checksum(version, key, data);
    format!(r#"{{"v":{version},"kind":"{}","sum":"{sum:016x}","data":{data}}}"#, kind_of(key)).into_bytes().into()
}

/// Reads the record of a key.
///
/// # Errors
/// See [`CodecError`].
pub fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, CodecError> {
    let data = check(key, bytes)?;
    serde_json::from_str(data).map_err(|error| CodecError::Unfit { key: key.to_owned(), text: error.to_string() })
}

/// Checks version, kind and checksum of a key's record, and returns its data as JSON text.
///
/// # Errors
/// [`CodecError::Damaged`] or [`CodecError::Newer`].
pub fn check<'bytes>(key: &str, bytes: &'bytes [u8]) -> Result<&'bytes str, CodecError> {
    let damaged = |text: &str| CodecError::Damaged { key: key.to_owned(), text: text.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
    // The header is ours and holds no quoted text of others, so the first match is the right one.
    let (header, rest) = text.split_once(r#","data":"#).ok_or_else(|| damaged("it has no data"))?;
    let data = rest.strip_suffix('}').ok_or_else(|| damaged("it has no end"))?;
    let header: Header =
        serde_json::from_str(&format!("{header}}}")).map_err(|_| damaged("its header cannot be read"))?;
    if header.kind != kind_of(key) {
        return Err(damaged("it is of another kind than its key"));
    }
    if header.sum != format!("{:016x}", checksum(header.v, key, data)) {
        return Err(damaged("its checksum does not fit"));
    }
    if header.v > RECORD_VERSION {
        return Err(CodecError::Newer { key: key.to_owned(), found: header.v });
    }
    Ok(data)
}

/// The kind of record that a key belongs to: its part before the first `/`.
pub fn kind_of(key: &str) -> &str {
    key.split_once('/').map_or(key, |(kind, _)| kind)
}

/// FNV-1a over the version, the key, a zero and the data: any single changed byte changes it.
fn checksum(version: u32, key: &str, data: &str) -> u64 {
    hash_bytes(version.to_le_bytes().into_iter().chain(key.bytes()).chain([0]).chain(data.bytes()))
}

/// FNV-1a with 64 bits: the same on every machine and in every release.
pub(super) fn hash_bytes(bytes: impl Iterator<Item = u8>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::{CodecError, decode, encode, wrap};

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let data = vec!["a".to_owned(), r#"","data":"#.to_owned()];
        let bytes = encode("meta/x", &data).unwrap();
        assert_eq!(decode::<Vec<String>>("meta/x", &bytes), Ok(data));
    }

    #[test]
    fn every_single_changed_byte_is_found_out() {
        let bytes = encode("meta/x", &vec!["some text", "more of it"]).unwrap();
        for index in 0..bytes.len() {
            for flip in [1_u8, 0x10, 0x80] {
                let mut changed = bytes.to_vec();
                changed[index] ^= flip;
                let read = decode::<Vec<String>>("meta/x", &changed);
                assert!(matches!(read, Err(CodecError::Damaged { .. })), "byte {index} ^ {flip}: {read:?}");
            }
        }
        for length in 0..bytes.len() {
            assert!(decode::<Vec<String>>("meta/x", &bytes[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_value_under_another_key_is_damage() {
        let bytes = encode("meta/x", &1).unwrap();
        assert!(matches!(decode::<u8>("meta/y", &bytes), Err(CodecError::Damaged { .. })));
    }

    #[test]
    fn a_newer_record_is_refused_as_newer_whatever_else_it_holds() {
        let newer = wrap(2, "meta/x", r#"{"new":[1,2]}"#);
        assert_eq!(decode::<u8>("meta/x", &newer), Err(CodecError::Newer { key: "meta/x".into(), found: 2 }));
    }
}
