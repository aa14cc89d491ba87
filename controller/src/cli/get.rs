//! `evenkeel get`: objects as the running controller knows them.

use std::collections::BTreeSet;

use clap::Args;
use crds_schema::{Kind, Name, ObjectKey};

use super::client::Client;
use super::console::{Console, ExitStatus};
use super::error::CliError;
use super::global::GlobalArgs;
use super::output::{ObjectFormat, ObjectTables, TableShape, now_ms, render_documents, to_manifest};
use super::sanitise::sanitise_json;
use crate::http::api::{ControllerView, EngineName, List, ObjectLine};
use crate::status::ObjectRecord;

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// The kind, or KIND/NAME; every kind when left out
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// The name; every object of the kind when left out
    #[arg(value_name = "NAME", requires = "kind")]
    name: Option<String>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = ObjectFormat::Table)]
    output: ObjectFormat,
    /// Go on with what changes
    #[arg(short, long)]
    watch: bool,
    /// Only this namespace [default: all; with a NAME: default]
    #[arg(short, long, value_name = "NS", conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Show the namespace even where there is only one
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selection {
    kind: Option<Kind>,
    namespace: Option<Name>,
    name: Option<Name>,
}

pub(super) async fn run(args: &GetArgs, global: &GlobalArgs, console: &mut Console) -> Result<ExitStatus, CliError> {
    let selection = Selection::new(args)?;
    let client = Client::new(global.load_config(&[])?.server);
    if args.watch {
        return watch(args, &selection, &client, console).await;
    }
    let list: List<ObjectRecord> = client.get(&selection.target("")).await?;
    say_simulated(list.metadata.engine, console);
    let objects: Vec<&ObjectRecord> = list.items.iter().collect();
    if let (Some(name), true) = (&selection.name, objects.is_empty()) {
        let kind = selection.kind.map_or("", Kind::as_str);
        let namespace =
            selection.namespace.as_ref().map_or("any namespace".to_owned(), |name| format!("namespace `{name}`"));
        return Err(CliError::usage(
            format!("no {kind} `{name}` in {namespace}"),
            "`evenkeel get -A` shows what there is",
        ));
    }
    match args.output {
        ObjectFormat::Table | ObjectFormat::Wide => {
            let mut tables = ObjectTables::new(selection.shape(args, &objects));
            console.data(&tables.render(&objects, now_ms()))?;
            if objects.is_empty() {
                console.talk("no objects");
            }
        }
        ObjectFormat::Json => console.raw_data(&render_documents(&objects, selection.name.is_some(), false)?)?,
        ObjectFormat::Yaml => console.data(&render_documents(&objects, selection.name.is_some(), true)?)?,
    }
    if objects.is_empty() || args.kind.is_none() {
        say_problems(&client, console).await?;
    }
    Ok(ExitStatus::Success)
}

impl Selection {
    fn new(args: &GetArgs) -> Result<Self, CliError> {
        let (kind_text, name_text) = match (args.kind.as_deref(), args.name.as_deref()) {
            (Some(both), None) => {
                both.split_once('/').map_or((Some(both), None), |(kind, name)| (Some(kind), Some(name)))
            }
            (kind, name) => (kind, name),
        };
        let kind = kind_text.filter(|text| *text != "all").map(parse_kind).transpose()?;
        let name = name_text.map(parse_name).transpose()?;
        let namespace = args.namespace.as_deref().map(parse_name).transpose()?;
        let is_in_default = name.is_some() && !args.all_namespaces;
        let namespace = namespace.or_else(|| is_in_default.then(Name::default_namespace));
        Ok(Self { kind, namespace, name })
    }

    fn target(&self, more: &str) -> String {
        let pairs = [
            self.kind.map(|kind| format!("kind={kind}")),
            self.namespace.as_ref().map(|namespace| format!("namespace={namespace}")),
            self.name.as_ref().map(|name| format!("name={name}")),
            (!more.is_empty()).then(|| more.to_owned()),
        ];
        format!("/api/v1/objects?{}", pairs.into_iter().flatten().collect::<Vec<_>>().join("&"))
    }

    fn shape(&self, args: &GetArgs, objects: &[&ObjectRecord]) -> TableShape {
        let namespaces: BTreeSet<&Name> = objects.iter().map(|object| &object.key.namespace).collect();
        let is_mixed = namespaces.len() > 1 || namespaces.iter().any(|namespace| namespace.as_str() != "default");
        TableShape {
            with_namespace: args.all_namespaces || (self.namespace.is_none() && is_mixed),
            with_kind: self.kind.is_none(),
            is_wide: args.output == ObjectFormat::Wide,
        }
    }
}

async fn watch(
    args: &GetArgs,
    selection: &Selection,
    client: &Client,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let view: ControllerView = client.get("/api/v1/controller").await?;
    say_simulated(view.engine, console);
    let mut lines = client.watch(&selection.target("watch=1")).await?;
    let mut first = Vec::new();
    let mut tables = None;
    while let Some(line) = lines.next::<ObjectLine<ObjectRecord>>().await? {
        let is_table = matches!(args.output, ObjectFormat::Table | ObjectFormat::Wide);
        match (line, &mut tables) {
            (ObjectLine::Put { object }, None) if is_table => first.push(object),
            (ObjectLine::Put { object }, Some(tables)) if is_table => {
                let tables: &mut ObjectTables = tables;
                console.data(&tables.render_more(&object, now_ms()))?;
            }
            (ObjectLine::Put { object }, _) => print_document(&object, args.output, console)?,
            (ObjectLine::Gone { key }, _) => console.talk(&format!("{key} is gone")),
            (ObjectLine::Synced, _) if is_table => {
                let objects: Vec<&ObjectRecord> = first.iter().collect();
                let mut new_tables = ObjectTables::new(selection.shape(args, &objects));
                console.data(&new_tables.render(&objects, now_ms()))?;
                tables = Some(new_tables);
            }
            (ObjectLine::Synced, _) => {}
        }
    }
    console.talk("the controller ended the watch");
    Ok(ExitStatus::Success)
}

/// One line of JSON, or one document of YAML.
fn print_document(object: &ObjectRecord, format: ObjectFormat, console: &mut Console) -> Result<(), CliError> {
    if format == ObjectFormat::Yaml {
        let text = render_documents(&[object], true, true)?;
        return console.data(&format!("---\n{text}"));
    }
    console.raw_data(&sanitise_json(&to_manifest(object).to_string()))
}

/// Every table of a simulated engine says so.
pub(super) fn say_simulated(engine: EngineName, console: &mut Console) {
    match engine {
        EngineName::Simulated => console.talk("simulated engine"),
        EngineName::Docker => {}
    }
}

/// What an overview must not hide: manifests that are not in it, and a prune that waits.
async fn say_problems(client: &Client, console: &mut Console) -> Result<(), CliError> {
    let view: ControllerView = client.get("/api/v1/controller").await?;
    if !view.is_engine_reachable {
        console.talk("warning: the engine does not answer; what is shown may be old");
    }
    for problem in view.source_problem.iter().chain(&view.store_recovered) {
        console.talk(&format!("warning: {problem}"));
    }
    for fault in &view.diagnostics {
        let place = fault.spans.first().map(|span| format!("{}:{}: ", span.file, span.line)).unwrap_or_default();
        console.talk(&format!("{place}{} {}", fault.code, fault.message));
    }
    if let Some(held) = &view.prune_held {
        console.talk(&format!("warning: prune is held: {}; see `evenkeel prune`", held.reason));
    }
    Ok(())
}

/// The kind that a user means.
pub(super) fn parse_kind(text: &str) -> Result<Kind, CliError> {
    let known = || Kind::ALL.iter().map(|kind| kind.plural()).collect::<Vec<_>>().join(", ");
    Kind::parse(text).ok_or_else(|| CliError::usage(format!("no kind `{text}`"), format!("the kinds are {}", known())))
}

fn parse_name(text: &str) -> Result<Name, CliError> {
    text.parse()
        .map_err(|error| CliError::usage(format!("`{text}` is {error}"), "`evenkeel get -A` shows what there is"))
}

/// The object that a command is about.
#[derive(Debug, Args)]
pub(super) struct ObjectArgs {
    /// The kind, or KIND/NAME
    #[arg(value_name = "KIND")]
    kind: String,
    /// The name
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The namespace [default: default]
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
}

impl ObjectArgs {
    /// Its key.
    pub(super) fn key(&self) -> Result<ObjectKey, CliError> {
        parse_key(&self.kind, self.name.as_deref(), self.namespace.as_deref())
    }
}

/// An object as a user names it: `KIND NAME`, or `KIND/NAME`, in a namespace.
pub(super) fn parse_key(kind: &str, name: Option<&str>, namespace: Option<&str>) -> Result<ObjectKey, CliError> {
    let (kind, name) = match (kind.split_once('/'), name) {
        (Some((kind, name)), None) => (kind, name),
        (None, Some(name)) => (kind, name),
        (Some(_), Some(_)) | (None, None) => {
            return Err(CliError::usage("no object named", "write `KIND NAME` or `KIND/NAME`"));
        }
    };
    let namespace = namespace.map(parse_name).transpose()?.unwrap_or_else(Name::default_namespace);
    Ok(ObjectKey { kind: parse_kind(kind)?, namespace, name: parse_name(name)? })
}
