//! Objects as tables, JSON or YAML.

use std::collections::BTreeMap;

use clap::ValueEnum;
use crds_schema::{ConditionStatus, ConditionType, Kind};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::CliError;
use super::sanitise::sanitise_json;
use super::table::Table;
use crate::status::{Column, ObjectRecord};

/// The forms in which objects are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectFormat {
    /// What matters, for people
    Table,
    /// More columns
    Wide,
    /// One object, or a `List`
    Json,
    /// The same as YAML
    Yaml,
}

/// Which columns a table has besides those of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableShape {
    /// Whether objects of several namespaces may be in it.
    pub with_namespace: bool,
    /// Whether objects of several kinds are shown, so that each name has its kind before it.
    pub with_kind: bool,
    /// Whether to show the columns that only `-o wide` shows.
    pub is_wide: bool,
}

/// The tables of some objects, one a kind; grows with a watch.
#[derive(Debug)]
pub struct ObjectTables {
    shape: TableShape,
    tables: BTreeMap<Kind, (Vec<String>, Table)>,
}

impl ObjectTables {
    /// No tables yet.
    pub fn new(shape: TableShape) -> Self {
        Self { shape, tables: BTreeMap::new() }
    }

    /// The tables of these objects at a time, in the order of the kinds, an empty line between two.
    pub fn render(&mut self, objects: &[&ObjectRecord], now_ms: i64) -> String {
        let mut by_kind: BTreeMap<Kind, Vec<&ObjectRecord>> = BTreeMap::new();
        for object in objects {
            by_kind.entry(object.key.kind).or_default().push(object);
        }
        let blocks: Vec<String> =
            by_kind.into_iter().map(|(kind, objects)| self.render_kind(kind, &objects, now_ms)).collect();
        blocks.join("\n")
    }

    /// One more row, for an object that changed.
    pub fn render_more(&mut self, object: &ObjectRecord, now_ms: i64) -> String {
        let shape = self.shape;
        match self.tables.get_mut(&object.key.kind) {
            Some((columns, table)) => table.render_more(&[to_row(shape, object, columns, now_ms)]),
            None => self.render_kind(object.key.kind, &[object], now_ms),
        }
    }

    fn render_kind(&mut self, kind: Kind, objects: &[&ObjectRecord], now_ms: i64) -> String {
        let shape = self.shape;
        let columns = list_columns(objects, shape.is_wide);
        let mut headings = vec!["NAME".to_owned()];
        if shape.with_namespace {
            headings.insert(0, "NAMESPACE".to_owned());
        }
        headings.extend(columns.iter().cloned());
        headings.extend(["STATUS".to_owned(), "AGE".to_owned()]);
        let rows: Vec<Vec<String>> = objects.iter().map(|object| to_row(shape, object, &columns, now_ms)).collect();
        let mut table = Table::new(headings);
        let text = table.render(&rows);
        self.tables.insert(kind, (columns, table));
        text
    }
}

/// Every column that one of the objects has, in the order they have them: an object that was not planned yet has none.
fn list_columns(objects: &[&ObjectRecord], is_wide: bool) -> Vec<String> {
    let mut names = Vec::new();
    for column in objects.iter().flat_map(|object| &object.status.columns) {
        if (is_wide || !column.wide) && !names.contains(&column.name) {
            names.push(column.name.clone());
        }
    }
    names
}

fn to_row(shape: TableShape, object: &ObjectRecord, columns: &[String], now_ms: i64) -> Vec<String> {
    let key = &object.key;
    let mut row = Vec::new();
    if shape.with_namespace {
        row.push(key.namespace.to_string());
    }
    let kind = key.kind.as_str().to_ascii_lowercase();
    row.push(if shape.with_kind { format!("{kind}/{}", key.name) } else { key.name.to_string() });
    let value = |name: &String| {
        let has_name = |column: &&Column| column.name == *name;
        object.status.columns.iter().find(has_name).map_or_else(|| "-".to_owned(), |column| column.value.clone())
    };
    row.extend(columns.iter().map(value));
    row.push(status_word(object));
    row.push(format_age(now_ms.saturating_sub(object.created_ms)));
    row
}

/// `Ready`, or the reason why not.
pub fn status_word(object: &ObjectRecord) -> String {
    let status = &object.status;
    let stalled = status.condition(ConditionType::Stalled).filter(|stalled| stalled.status == ConditionStatus::True);
    match (status.condition(ConditionType::Ready), stalled) {
        (Some(ready), _) if ready.status == ConditionStatus::True => "Ready".to_owned(),
        (_, Some(stalled)) => stalled.reason.clone(),
        (Some(ready), None) => ready.reason.clone(),
        (None, None) => "Unknown".to_owned(),
    }
}

/// An age in its two largest units, such as `42s`, `5m12s`, `3h4m` or `12d`, as kubectl writes it; also a duration that users can write.
pub fn format_age(age_ms: i64) -> String {
    let seconds = age_ms.max(0) / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let join = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit}{small}{small_unit}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0 | 1) => format!("{seconds}s"),
        (0, 0, 2..=9) => join(minutes, "m", seconds % 60, "s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, 1..=7, _) => join(hours, "h", minutes % 60, "m"),
        (0, _, _) => format!("{hours}h"),
        (1..=7, _, _) => join(days, "d", hours % 24, "h"),
        (_, _, _) => format!("{days}d"),
    }
}

/// An object in the form of its manifest, with its status.
pub fn to_manifest(object: &ObjectRecord) -> Value {
    let mut manifest = object.manifest.clone();
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("generation".into(), json!(object.status.generation));
        metadata.insert("creationTimestamp".into(), json!(format_time(object.created_ms)));
    }
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("status".into(), serde_json::to_value(&object.status).unwrap_or_default());
    }
    manifest
}

/// Objects as JSON or YAML text: one as itself, several or none as a `List`.
///
/// # Errors
/// When the YAML writer refuses, which it has no reason to.
pub fn render_documents(objects: &[&ObjectRecord], is_one: bool, is_yaml: bool) -> Result<String, CliError> {
    let value = match objects {
        [object] if is_one => to_manifest(object),
        objects => {
            let items: Vec<Value> = objects.iter().map(|object| to_manifest(object)).collect();
            json!({ "apiVersion": "v1", "kind": "List", "items": items })
        }
    };
    if is_yaml { to_yaml_text(&value) } else { Ok(sanitise_json(&to_json_text(&value)).into_owned()) }
}

/// JSON text for people, with a line end.
pub fn to_json_text<T: Serialize>(value: &T) -> String {
    // What is printed is plain data with text keys, which JSON can always hold.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{text}\n")
}

/// YAML text with a line end.
///
/// # Errors
/// When the YAML writer refuses.
pub fn to_yaml_text(value: &Value) -> Result<String, CliError> {
    crds_schema::config_file::to_yaml(value).map_err(|text| CliError::Failed {
        context: "cannot write YAML".into(),
        source: text.into(),
        hint: String::new(),
    })
}

/// A time as RFC 3339, in UTC and whole seconds.
pub fn format_time(ms: i64) -> String {
    let timestamp = jiff::Timestamp::from_second(ms.div_euclid(1_000)).unwrap_or_default();
    timestamp.to_string()
}

/// The time now, in milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
pub(super) mod tests {
    use crds_schema::{Condition, ConditionStatus, ConditionType, ObjectKey, SourceLocation};
    use expect_test::expect;

    use super::{ObjectTables, TableShape, format_age, format_time, render_documents};
    use crate::status::{Column, ObjectRecord, ObjectStatus};

    pub(in crate::cli) fn record(key: &str, reason: &str, columns: &[(&str, &str, bool)]) -> ObjectRecord {
        let key: ObjectKey = key.parse().unwrap();
        let status = if reason == "Converged" { ConditionStatus::True } else { ConditionStatus::False };
        let ready = Condition {
            condition_type: ConditionType::Ready,
            status,
            reason: reason.into(),
            message: "a message".into(),
            observed_generation: 1,
            since_ms: 0,
        };
        let to_column = |(name, value, wide): &(&str, &str, bool)| Column {
            name: (*name).into(),
            value: (*value).into(),
            wide: *wide,
        };
        ObjectRecord {
            manifest: serde_json::json!({
                "apiVersion": "evenkeel.dev/v1",
                "kind": key.kind.as_str(),
                "metadata": { "name": key.name, "namespace": key.namespace },
                "spec": {},
            }),
            key,
            source: SourceLocation { file: "web.yaml".into(), line: 4 },
            created_ms: 0,
            rolled_back: None,
            status: ObjectStatus {
                generation: 1,
                conditions: vec![ready],
                columns: columns.iter().map(to_column).collect(),
                ..ObjectStatus::default()
            },
        }
    }

    #[test]
    fn objects_of_several_kinds_are_a_table_each() {
        let web = record("Deployment/web", "Converged", &[("READY", "2/2", false), ("IMAGE", "nginx", true)]);
        let api =
            record("Deployment/staging/api", "ImagePullFailed", &[("READY", "0/1", false), ("IMAGE", "api", true)]);
        let new = record("Deployment/new", "Pending", &[]);
        let back = record("Network/back", "Converged", &[("DRIVER", "bridge", false)]);
        let objects = [&back, &web, &api, &new];
        let mut tables = ObjectTables::new(TableShape { with_namespace: true, with_kind: true, is_wide: false });
        expect![[r"
            NAMESPACE   NAME           DRIVER   STATUS   AGE
            default     network/back   bridge   Ready    90s

            NAMESPACE   NAME             READY   STATUS            AGE
            default     deployment/web   2/2     Ready             90s
            staging     deployment/api   0/1     ImagePullFailed   90s
            default     deployment/new   -       Pending           90s
        "]]
        .assert_eq(&tables.render(&objects, 90_000));
        expect![[r"
            staging     deployment/api   0/1     ImagePullFailed   10m
        "]]
        .assert_eq(&tables.render_more(&api, 600_000));
        let mut tables = ObjectTables::new(TableShape { with_namespace: false, with_kind: false, is_wide: true });
        expect![[r"
            NAME   READY   IMAGE   STATUS   AGE
            web    2/2     nginx   Ready    90s
        "]]
        .assert_eq(&tables.render(&[&web], 90_000));
    }

    #[test]
    fn ages_have_their_two_largest_units() {
        let cases = [
            (-5, "0s"),
            (119, "119s"),
            (312, "5m12s"),
            (600, "10m"),
            (3_600, "1h"),
            (11_100, "3h5m"),
            (90_000, "1d1h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(format_age(seconds * 1_000), expected);
        }
        assert_eq!(format_age(86_400_000 * 30), "30d");
        assert_eq!(format_time(1_000), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn one_object_is_printed_as_itself_and_several_as_a_list() {
        let web = record("Deployment/web", "Converged", &[]);
        let one = render_documents(&[&web], true, false).unwrap();
        assert!(one.starts_with("{\n  \"apiVersion\": \"evenkeel.dev/v1\",\n  \"kind\": \"Deployment\""), "{one}");
        let many: serde_json::Value = serde_json::from_str(&render_documents(&[&web], false, false).unwrap()).unwrap();
        assert_eq!(many["items"][0]["status"]["conditions"][0]["reason"], "Converged");
        assert!(render_documents(&[&web], true, true).unwrap().contains("kind: Deployment\n"));
    }
}
