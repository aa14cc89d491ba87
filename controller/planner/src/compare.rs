//! Which fields of two templates differ, with both values as users write them.

use crds_schema::open_secret::without_secrets;
use crds_schema::units::{Bytes, MilliCpu};
use serde_json::Value;

use crate::observed::Limits;
use crate::plan::FieldChange;

/// The longest value that a plan shows.
const MAX_SHOWN_CHARS: usize = 60;

/// The fields in which two templates differ, by their canonical JSON. Empty when they mean the same, whatever their hashes: a field
/// that an older release did not write has its default.
///
/// `None` when the old one cannot be read.
pub(crate) fn changed_fields<T>(old_template: &str, new_template: &str) -> Option<Vec<FieldChange>>
where
    T: serde::de::DeserializeOwned + serde::Serialize + PartialEq,
{
    let old: T = serde_json::from_str(old_template).ok()?;
    let new: T = serde_json::from_str(new_template).ok()?;
    if old == new {
        return Some(Vec::new());
    }
    let (old, new) = (serde_json::to_value(old).ok()?, serde_json::to_value(new).ok()?);
    let mut fields = Vec::new();
    collect_changes("", &old, &new, &mut fields);
    Some(fields)
}

fn collect_changes(path: &str, old: &Value, new: &Value, fields: &mut Vec<FieldChange>) {
    if old == new {
        return;
    }
    let (Value::Object(old_map), Value::Object(new_map)) = (old, new) else {
        fields.push(FieldChange { field: path.to_owned(), old: show(path, old), new: show(path, new) });
        return;
    };
    let mut names: Vec<&String> = old_map.keys().chain(new_map.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let child = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let old_value = old_map.get(name).unwrap_or(&Value::Null);
        let new_value = new_map.get(name).unwrap_or(&Value::Null);
        match (old_value, new_value) {
            // A whole map that comes or goes is told key by key.
            (Value::Null, Value::Object(_)) => {
                collect_changes(&child, &Value::Object(serde_json::Map::new()), new_value, fields);
            }
            (Value::Object(_), Value::Null) => {
                collect_changes(&child, old_value, &Value::Object(serde_json::Map::new()), fields);
            }
            _ => collect_changes(&child, old_value, new_value, fields),
        }
    }
}

/// The value of a field for people; what of it is a secret is not shown.
fn show(path: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let text = without_secrets(path.strip_prefix("env.").unwrap_or_default(), &text);
    if text.chars().count() <= MAX_SHOWN_CHARS {
        return text;
    }
    let cut: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    format!("{cut}…")
}

/// How the limits of a container differ from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitChanges {
    /// The fields that differ.
    pub(crate) fields: Vec<FieldChange>,
    /// Whether the Engine can change them while the container lives: it reads 0 as "leave it", so it cannot take a limit away.
    pub(crate) is_live: bool,
}

/// Compares limits. A swap limit that the kernel does not enforce is reported as -1 and is no difference.
pub(crate) fn changed_limits(observed: &Limits, wanted: &Limits) -> LimitChanges {
    let mut changes = LimitChanges { fields: Vec::new(), is_live: true };
    if observed == wanted {
        return changes;
    }
    let mut note = |field: &str, old: String, new: String, is_live: bool| {
        changes.fields.push(FieldChange { field: field.to_owned(), old, new });
        changes.is_live &= is_live;
    };
    if observed.nano_cpus != wanted.nano_cpus {
        note("resources.cpu", show_cpu(observed.nano_cpus), show_cpu(wanted.nano_cpus), wanted.nano_cpus != 0);
    }
    if observed.memory != wanted.memory {
        note("resources.memory", show_bytes(observed.memory), show_bytes(wanted.memory), wanted.memory != 0);
    }
    let is_swap_unenforced = observed.memory_swap == -1;
    if observed.memory_swap != wanted.memory_swap && wanted.memory != 0 && !is_swap_unenforced {
        note("resources.memorySwap", show_bytes(observed.memory_swap), show_bytes(wanted.memory_swap), true);
    }
    let (observed_pids, wanted_pids) = (observed.pids.max(0), wanted.pids.max(0));
    if observed_pids != wanted_pids {
        note("resources.pids", show_count(observed_pids), show_count(wanted_pids), wanted_pids != 0);
    }
    if observed.restart != wanted.restart {
        note("restart", observed.restart.clone(), wanted.restart.clone(), true);
    }
    changes
}

fn show_bytes(bytes: i64) -> String {
    u64::try_from(bytes).ok().filter(|bytes| *bytes != 0).map(|bytes| Bytes(bytes).to_string()).unwrap_or_default()
}

fn show_cpu(nano_cpus: i64) -> String {
    let millis = u32::try_from(nano_cpus / 1_000_000).unwrap_or(0);
    if millis == 0 { String::new() } else { MilliCpu(millis).to_string() }
}

fn show_count(count: i64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use crds_schema::primitive::ContainerSpec;

    use super::changed_fields;

    #[test]
    fn a_plan_tells_that_a_secret_has_changed_and_not_from_what_to_what() {
        let old = r#"{"env":{"API_KEY":"one","URL":"pg://a:one@db","GREETING":"hello"},"args":["pg://a:one@db"]}"#;
        let new = r#"{"env":{"API_KEY":"two","URL":"pg://a:two@db","GREETING":"ahoy"},"args":["pg://a:two@db"]}"#;
        let fields = changed_fields::<ContainerSpec>(old, new).unwrap();
        let lines: Vec<String> =
            fields.iter().map(|change| format!("{}: {} -> {}", change.field, change.old, change.new)).collect();
        let args = r#"["pg://a:[secret]@db"]"#;
        let expected = [
            format!("args: {args} -> {args}"),
            "env.API_KEY: [secret] -> [secret]".to_owned(),
            "env.GREETING: hello -> ahoy".to_owned(),
            "env.URL: pg://a:[secret]@db -> pg://a:[secret]@db".to_owned(),
        ];
        assert_eq!(lines, expected);
    }
}
