//! `evenkeel describe`: everything about one object, on one page.

use clap::Args;
use crds_schema::{Condition, ConditionStatus};
use serde_json::Value;

use super::client::Client;
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::events::render_events;
use super::get::{ObjectArgs, say_simulated};
use super::global::GlobalArgs;
use super::output::{format_age, now_ms, status_word, to_yaml_text};
use super::sanitise::one_line;
use super::table::Table;
use crate::event::EventRecord;
use crate::http::api::List;
use crate::status::ObjectRecord;

/// How many events the page shows.
const EVENT_LIMIT: usize = 20;

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    #[command(flatten)]
    object: ObjectArgs,
}

pub(super) async fn run(
    args: &DescribeArgs,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let key = args.object.key()?;
    let client = Client::new(global.load_config(&[])?.server);
    let path = key.full_name();
    let object: ObjectRecord = client.get(&format!("/api/v1/objects/{path}")).await?;
    let events: List<EventRecord> = client.get(&format!("/api/v1/events?for={path}&limit={EVENT_LIMIT}")).await?;
    say_simulated(events.metadata.engine, console);
    console.data(&render(&object, &events.items, now_ms())?)?;
    Ok(ExitStatus::Success)
}

/// The page at a time.
fn render(object: &ObjectRecord, events: &[EventRecord], now_ms: i64) -> Result<String, CliError> {
    let mut page = render_head(object, now_ms);
    let conditions: Vec<Vec<String>> =
        object.status.conditions.iter().map(|condition| condition_row(condition, now_ms)).collect();
    add_table(&mut page, "Conditions", &["TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"], &conditions);
    let primitives: Vec<Vec<String>> = object
        .status
        .primitives
        .iter()
        .map(|primitive| {
            let id = primitive.id.chars().take(12).collect();
            vec![primitive.subject.clone(), primitive.state.clone(), id, primitive.detail.clone()]
        })
        .collect();
    add_table(&mut page, "Primitives", &["SUBJECT", "STATE", "ID", "DETAIL"], &primitives);
    page.push_str("\nEvents:\n");
    page.push_str(&indent(&if events.is_empty() { "none\n".to_owned() } else { render_events(events, now_ms) }));
    page.push_str("\nSpec:\n");
    page.push_str(&indent(&to_yaml_text(object.manifest.get("spec").unwrap_or(&Value::Null))?));
    if let Some(rolled_back) = &object.rolled_back {
        page.push_str("\nSpec in force:\n");
        page.push_str(&indent(&to_yaml_text(rolled_back.manifest.get("spec").unwrap_or(&Value::Null))?));
    }
    Ok(page)
}

fn render_head(object: &ObjectRecord, now_ms: i64) -> String {
    let status = &object.status;
    let mut page = String::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            let label = format!("{name}:");
            page.push_str(&[format!("{label:<13}"), one_line(&value), "\n".to_owned()].concat());
        }
    };
    let source = &object.source;
    add("Name", object.key.name.to_string());
    add("Namespace", object.key.namespace.to_string());
    add("Kind", object.key.kind.to_string());
    add("Labels", list_pairs(object.manifest.pointer("/metadata/labels")));
    add("Annotations", list_pairs(object.manifest.pointer("/metadata/annotations")));
    add("Source", if source.line == 0 { source.file.clone() } else { format!("{}:{}", source.file, source.line) });
    add("Age", format_age(now_ms.saturating_sub(object.created_ms)));
    add("Generation", format!("{} (observed {})", status.generation, status.observed_generation));
    add("Status", status_word(object));
    for waiting in &status.waiting {
        add("Waiting for", waiting.clone());
    }
    if let Some(rolled_back) = &object.rolled_back {
        add("Rolled back", format!("{} ago", format_age(now_ms.saturating_sub(rolled_back.since_ms))));
    }
    add("Last error", status.last_error.clone().unwrap_or_default());
    let retry = |due_ms: i64| match due_ms.saturating_sub(now_ms) {
        ..=0 => "now".to_owned(),
        wait_ms => format!("in {}", format_age(wait_ms)),
    };
    add("Next retry", status.next_retry_ms.map(retry).unwrap_or_default());
    page
}

fn list_pairs(pairs: Option<&Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = pairs.and_then(Value::as_object).into_iter().flatten();
    pairs.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(", ")
}

fn condition_row(condition: &Condition, now_ms: i64) -> Vec<String> {
    let status = match condition.status {
        ConditionStatus::True => "True",
        ConditionStatus::False => "False",
        ConditionStatus::Unknown => "Unknown",
    };
    vec![
        format!("{:?}", condition.condition_type),
        status.to_owned(),
        condition.reason.clone(),
        format_age(now_ms.saturating_sub(condition.since_ms)),
        condition.message.clone(),
    ]
}

fn add_table(page: &mut String, title: &str, headings: &[&str], rows: &[Vec<String>]) {
    page.extend(["\n", title, ":\n"]);
    let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let text = if rows.is_empty() { "none\n".to_owned() } else { Table::new(headings).render(rows) };
    page.push_str(&indent(&text));
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::render;
    use crate::cli::output::tests::record;
    use crate::event::{EventRecord, EventType};
    use crate::status::PrimitiveStatus;

    #[test]
    fn the_page_tells_what_is_wanted_what_is_and_what_happened() {
        let mut web = record("Deployment/web", "ImagePullFailed", &[]);
        web.manifest["metadata"]["labels"] = serde_json::json!({ "team": "web\u{1b}" });
        web.manifest["spec"] = serde_json::json!({ "image": "nginx:9" });
        web.status.waiting = vec!["the next try after a failure".into()];
        web.status.last_error = Some("cannot pull image `nginx:9`: not found".into());
        web.status.next_retry_ms = Some(100_000);
        web.status.primitives = vec![PrimitiveStatus {
            subject: "container/web-7f9c4d21-0".into(),
            id: "0123456789abcdef".into(),
            state: "running".into(),
            detail: String::new(),
        }];
        let event = EventRecord {
            sequence: 1,
            object: Some(web.key.clone()),
            event_type: EventType::Warning,
            reason: "ImagePullFailed".into(),
            message: "not found".into(),
            count: 3,
            first_ms: 0,
            last_ms: 80_000,
        };
        expect![[r"
            Name:        web
            Namespace:   default
            Kind:        Deployment
            Labels:      team=web\u{1b}
            Source:      web.yaml:4
            Age:         90s
            Generation:  1 (observed 0)
            Status:      ImagePullFailed
            Waiting for: the next try after a failure
            Last error:  cannot pull image `nginx:9`: not found
            Next retry:  in 10s

            Conditions:
              TYPE    STATUS   REASON            SINCE   MESSAGE
              Ready   False    ImagePullFailed   90s     a message

            Primitives:
              SUBJECT                    STATE     ID             DETAIL
              container/web-7f9c4d21-0   running   0123456789ab

            Events:
              LAST SEEN   TYPE      REASON            OBJECT           COUNT   MESSAGE
              10s         Warning   ImagePullFailed   Deployment/web   3       not found

            Spec:
              image: nginx:9
        "]]
        .assert_eq(&render(&web, &[event], 90_000).unwrap());
    }
}
