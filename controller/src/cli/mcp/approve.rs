//! `evenkeel mcp approve`: which definitions are not approved, and the word that approves it.
//!
//! It goes by the data directory, which only the controller's own user can enter, and not by the gateway: no agent approves its own tools.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use gateway::pin::{Approval, Desk, DoubtNote};
use tokio::time::{Instant, sleep};

use crate::cli::console::{Console, ExitStatus};
use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;
use crate::cli::table::Table;

/// How long a gateway has to take an approval in.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(in crate::cli) struct ApproveArgs {
    /// The server, as NAMESPACE/SERVER outside of `default`; without it, show what is not approved
    #[arg(value_name = "SERVER")]
    of_server: Option<String>,
    /// One of its tools, by the server's own name for it, or `prompts/NAME`, or `server/instructions`; without it, all
    tool: Option<String>,
}

/// What one gateway has put out, and the namespace that it is of.
struct Waiting {
    namespace: String,
    desk: Desk,
    notes: Vec<DoubtNote>,
}

pub(super) async fn run(
    args: &ApproveArgs,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let directory = global.load_config(&[])?.data_dir.join("mcp");
    let waiting = read_waiting(&directory)?;
    let Some(server) = &args.of_server else { return show(&waiting, console) };
    let (namespace, server) = server.split_once('/').unwrap_or(("default", server));
    let is_meant = |note: &DoubtNote| note.server == server && args.tool.as_ref().is_none_or(|tool| note.tool == *tool);
    let mut laid = Vec::new();
    for Waiting { desk, notes, .. } in waiting.iter().filter(|waiting| waiting.namespace == namespace) {
        let meant: Vec<&DoubtNote> = notes.iter().filter(|note| is_meant(note)).collect();
        for note in &meant {
            console.data(&format!("{}\n", describe(note)))?;
        }
        if !meant.is_empty() {
            // By their hashes: what is approved is what was shown, and not what the server makes of it meanwhile.
            let definitions = meant.iter().map(|note| (note.tool.clone(), note.hash.clone())).collect();
            let approval = Approval { server: server.to_owned(), definitions };
            desk.approve(&approval).map_err(|error| failed(&directory, error))?;
            laid.push((desk, meant));
        }
    }
    if laid.is_empty() {
        console.talk("nothing of that is waiting to be approved");
        return Ok(ExitStatus::Differences);
    }
    if are_approved(&laid).await {
        console.talk("approved");
        return Ok(ExitStatus::Success);
    }
    console.talk("the gateway has not approved all of it: it does not run, or the definitions have changed since");
    Ok(ExitStatus::Differences)
}

/// What every gateway has put out; nothing where there never was one.
fn read_waiting(directory: &Path) -> Result<Vec<Waiting>, CliError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(directory, error)),
    };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let read = |folder: &PathBuf| {
        let desk = Desk::in_directory(folder);
        let notes = desk.doubts().map_err(|error| failed(folder, error))?;
        // The folder of a gateway is called `NAMESPACE_NAME`.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let namespace = name.split('_').next().unwrap_or_default().to_owned();
        Ok(Waiting { namespace, desk, notes })
    };
    folders.iter().map(read).collect()
}

fn show(waiting: &[Waiting], console: &mut Console) -> Result<ExitStatus, CliError> {
    let notes: Vec<(&str, &DoubtNote)> =
        waiting.iter().flat_map(|one| one.notes.iter().map(|note| (one.namespace.as_str(), note))).collect();
    if notes.is_empty() {
        console.talk("everything is approved");
        return Ok(ExitStatus::Success);
    }
    let headings = ["SERVER", "TOOL", "WHAT", "SHOWN"];
    let row = |(namespace, note): &(&str, &DoubtNote)| {
        let server = if *namespace == "default" { note.server.clone() } else { format!("{namespace}/{}", note.server) };
        let what = match (note.is_new, note.is_removed) {
            (true, _) => "new",
            (false, true) => "removed",
            (false, false) => "changed",
        };
        let shown = match (note.is_waiting, note.is_removed, note.is_hidden) {
            (true, ..) => "the update waits",
            (false, true, _) | (false, false, true) => "no",
            (false, false, false) => "yes",
        };
        vec![server, note.tool.clone(), what.to_owned(), shown.to_owned()]
    };
    let rows: Vec<Vec<String>> = notes.iter().map(row).collect();
    console.data(&Table::new(headings.map(str::to_owned).to_vec()).render(&rows))?;
    for (_, note) in notes.iter().filter(|(_, note)| !note.changes.is_empty()) {
        console.data(&format!("\n{}\n", describe(note)))?;
    }
    console.talk("to approve: evenkeel mcp approve [NAMESPACE/]SERVER [TOOL]; `evenkeel mcp inspect TOOL` shows all that a tool which is not hidden says of itself");
    Ok(ExitStatus::Differences)
}

fn describe(note: &DoubtNote) -> String {
    let mut text = format!("{}/{}", gateway::pin::visible(&note.server), gateway::pin::visible(&note.tool));
    for change in &note.changes {
        text.push_str("\n  ");
        text.push_str(change);
    }
    text
}

/// Whether what was approved is not waiting any more, within a while.
async fn are_approved(laid: &[(&Desk, Vec<&DoubtNote>)]) -> bool {
    let begun = Instant::now();
    let is_done = |(desk, meant): &(&Desk, Vec<&DoubtNote>)| {
        desk.doubts().is_ok_and(|now| meant.iter().all(|note| !now.contains(note)))
    };
    while begun.elapsed() < PATIENCE {
        if laid.iter().all(is_done) {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
    false
}

fn failed(path: &Path, error: io::Error) -> CliError {
    CliError::Failed {
        context: format!("cannot read or write `{}`", path.display()),
        source: error.into(),
        hint: "name the controller's directory with `--data-dir`, as the user that it runs as".into(),
    }
}
