//! `evenkeel events`: what happened, oldest first.

use clap::{Args, ValueEnum};
use crds_schema::ObjectKey;

use super::client::{Client, LineStream};
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::get::say_simulated;
use super::global::GlobalArgs;
use super::output::{format_age, now_ms, to_json_text};
use super::sanitise::sanitise_json;
use super::table::Table;
use crate::event::{EventRecord, EventType};
use crate::http::api::{EventLine, List};

#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Only of this object: KIND/NAME or KIND/NAMESPACE/NAME
    #[arg(long = "for", value_name = "KIND/NAME")]
    object: Option<ObjectKey>,
    /// Go on with what happens
    #[arg(short, long)]
    watch: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = EventFormat::Table)]
    output: EventFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EventFormat {
    Table,
    Json,
}

pub(super) async fn run(args: &EventsArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let client = Client::new(global.load_config(&[])?.server);
    let mut query = Vec::new();
    if let Some(object) = &args.object {
        query.push(format!("for={}/{}/{}", object.kind, object.namespace, object.name));
    }
    if args.watch {
        query.push("watch=1".to_owned());
        let mut lines = client.watch(&format!("/api/v1/events?{}", query.join("&"))).await?;
        return watch(args.output, &mut lines, console).await;
    }
    let list: List<EventRecord> = client.get(&format!("/api/v1/events?{}", query.join("&"))).await?;
    say_simulated(list.metadata.engine, console);
    match args.output {
        EventFormat::Table if list.items.is_empty() => console.talk("no events"),
        EventFormat::Table => console.data(&render_events(&list.items, now_ms()))?,
        EventFormat::Json => console.raw_data(&sanitise_json(&to_json_text(&list.items)))?,
    }
    Ok(ExitStatus::Success)
}

async fn watch(format: EventFormat, lines: &mut LineStream, console: &mut Console) -> Result<ExitStatus, CliError> {
    let mut table = new_table();
    let mut first = Vec::new();
    let mut is_synced = false;
    while let Some(line) = lines.next::<EventLine>().await? {
        match line {
            EventLine::Put { event } if format == EventFormat::Json => {
                let text = serde_json::to_string(&event).unwrap_or_default();
                console.raw_data(&sanitise_json(&text))?;
            }
            EventLine::Put { event } if is_synced => console.data(&table.render_more(&[to_row(&event, now_ms())]))?,
            EventLine::Put { event } => first.push(to_row(&event, now_ms())),
            EventLine::Synced => {
                is_synced = true;
                if format == EventFormat::Table {
                    console.data(&table.render(&first))?;
                }
            }
        }
    }
    console.talk("the controller ended the watch");
    Ok(ExitStatus::Success)
}

/// A table of events at a time.
pub(super) fn render_events(events: &[EventRecord], now_ms: i64) -> String {
    new_table().render(&events.iter().map(|event| to_row(event, now_ms)).collect::<Vec<_>>())
}

fn new_table() -> Table {
    Table::new(["LAST SEEN", "TYPE", "REASON", "OBJECT", "COUNT", "MESSAGE"].map(str::to_owned).to_vec())
}

fn to_row(event: &EventRecord, now_ms: i64) -> Vec<String> {
    let event_type = match event.event_type {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    };
    vec![
        format_age(now_ms.saturating_sub(event.last_ms)),
        event_type.to_owned(),
        event.reason.clone(),
        event.object.as_ref().map_or_else(|| "controller".to_owned(), ToString::to_string),
        event.count.to_string(),
        event.message.clone(),
    ]
}
