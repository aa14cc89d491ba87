//! The controller's own YAML: its config file in, and objects for people out. Here because only this crate knows the YAML library.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a config file. An empty text reads as an empty mapping.
///
/// # Errors
/// The library's message with line and column, on one line, without a snippet.
pub fn config_from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    let text = if is_empty { "{}" } else { text };
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| one_line(&error.to_string()))
}

/// Writes a value as YAML, for output alone.
///
/// # Errors
/// When the value has a shape that YAML cannot hold, such as a map with a map as a key.
pub fn to_yaml<T: Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| one_line(&error.to_string()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{config_from_yaml, to_yaml};

    #[test]
    fn a_config_file_reads_as_a_mapping_and_a_fault_has_its_line() {
        let read = config_from_yaml::<BTreeMap<String, String>>;
        assert_eq!(read("# nothing\n").unwrap(), BTreeMap::new());
        assert_eq!(read("a: b\n").unwrap()["a"], "b");
        assert!(read("a: b\na: c\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn values_come_back_from_the_yaml_they_are_written_as() {
        let value = serde_json::json!({ "a": [1, "yes", { "b": null }], "c": "x: y" });
        let text = to_yaml(&value).unwrap();
        assert_eq!(config_from_yaml::<serde_json::Value>(&text).unwrap(), value);
    }
}
