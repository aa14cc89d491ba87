//! The config file: one `setting: value` a line.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::error::ConfigError;
use super::setting::{Origin, RawSettings, Setting};

/// A config file above this many bytes is not one.
const MAX_CONFIG_FILE_BYTES: u64 = 256 * 1024;

/// A scalar of the file as the text that a flag would have: settings are parsed in one place, wherever they are written.
struct ScalarText(String);

impl<'de> Deserialize<'de> for ScalarText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            serde_json::Value::Bool(value) => value.to_string(),
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                return Err(serde::de::Error::custom("expected a single value"));
            }
        };
        Ok(Self(text))
    }
}

/// Reads a config file over what is set already.
pub(super) fn read_config_file(path: &Path, raw: &mut RawSettings, errors: &mut Vec<ConfigError>) {
    let text = match read_small_file(path) {
        Ok(text) => text,
        Err(source) => return errors.push(ConfigError::Unreadable { path: path.to_owned(), source }),
    };
    let values = match crds_schema::config_file::config_from_yaml::<BTreeMap<String, ScalarText>>(&text) {
        Ok(values) => values,
        Err(text) => return errors.push(ConfigError::Malformed { path: path.to_owned(), text }),
    };
    for (key, ScalarText(text)) in values {
        if let Some(setting) = Setting::ALL.iter().find(|setting| setting.key() == key) {
            raw.set(*setting, text, Origin::File(path.to_owned()));
        } else {
            let similar = similar_key(&key);
            errors.push(ConfigError::UnknownSetting { path: path.to_owned(), key, similar });
        }
    }
}

fn read_small_file(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_CONFIG_FILE_BYTES {
        return Err(io::Error::other("larger than 256KiB"));
    }
    fs::read_to_string(path)
}

/// The setting whose key is the same but for case, `-` and `_`, or of which it is the beginning.
fn similar_key(key: &str) -> Option<&'static str> {
    let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let wanted = plain(key);
    let is_similar = |known: &&str| plain(known) == wanted || (wanted.len() > 3 && plain(known).starts_with(&wanted));
    Setting::ALL.iter().map(|setting| setting.key()).find(is_similar)
}
