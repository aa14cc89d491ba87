//! What every record of the audit must have.

use controller::store::kv::Value;
use serde_json::Value as Json;

/// A2: what is wrong with the record of a pass that is about to begin.
pub(crate) fn fault_of_intent(record: &Value) -> Option<String> {
    let Ok(record) = serde_json::from_slice::<Json>(record) else { return Some("is no record".to_owned()) };
    let steps = steps_of(&record);
    if steps.is_empty() {
        return Some("names no step".to_owned());
    }
    let causeless = |step: &&String| step.split_once(": ").is_none_or(|(_, cause)| cause.trim().is_empty());
    if let Some(step) = steps.iter().find(causeless) {
        return Some(format!("has a step without a cause: {step}"));
    }
    let is_raw = |character: char| {
        character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    steps.iter().find(|step| step.contains(is_raw)).map(|step| format!("has raw control characters: {step:?}"))
}

/// The record as a store writes it that thinks little of causes.
pub(crate) fn without_cause(record: &Value) -> Value {
    let Ok(mut json) = serde_json::from_slice::<Json>(record) else { return record.clone() };
    let steps: Vec<Json> = steps_of(&json)
        .into_iter()
        .map(|step| Json::String(step.split_once(": ").map_or(step.clone(), |(what, _)| what.to_owned())))
        .collect();
    json["data"]["steps"] = Json::Array(steps);
    json.to_string().into_bytes().into()
}

fn steps_of(record: &Json) -> Vec<String> {
    let steps = record["data"]["steps"].as_array().cloned().unwrap_or_default();
    steps.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}
