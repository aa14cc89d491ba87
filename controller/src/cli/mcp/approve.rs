//! `evenkeel mcp approve`: what is not approved about tools, and the word that approves it.
//!
//! It goes by the data directory, which only the controller's own user can enter, and not by the gateway: no agent approves its own tools.

use std::fs;
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
    /// The server; without it, show what is not approved
    #[arg(value_name = "SERVER")]
    of_server: Option<String>,
    /// One of its tools, by the server's own name for it; without it, all
    tool: Option<String>,
}

pub(super) async fn run(
    args: &ApproveArgs,
    global: &GlobalArgs,
    console: &mut Console,
) -> Result<ExitStatus, CliError> {
    let directory = global.load_config(&[])?.data_dir.join("mcp");
    let desks = read_desks(&directory)?;
    let Some(server) = &args.of_server else { return show(&desks, console) };
    let is_meant =
        |note: &DoubtNote| note.server == *server && args.tool.as_ref().is_none_or(|tool| note.tool == *tool);
    let meant: Vec<&(Desk, Vec<DoubtNote>)> = desks.iter().filter(|(_, notes)| notes.iter().any(is_meant)).collect();
    if meant.is_empty() {
        console.talk("nothing of that is waiting to be approved");
        return Ok(ExitStatus::Differences);
    }
    let approval = Approval { server: server.clone(), tool: args.tool.clone() };
    let mut files = Vec::new();
    for (desk, notes) in meant {
        for note in notes.iter().filter(|note| is_meant(note)) {
            console.data(&format!("{}\n", describe(note)))?;
        }
        files.push(desk.approve(&approval).map_err(|error| failed(&directory, error))?);
    }
    if are_taken(&files).await {
        console.talk("approved");
        return Ok(ExitStatus::Success);
    }
    console.talk("the gateway has not taken it in yet: it will when it runs");
    Ok(ExitStatus::Differences)
}

/// The desks of all gateways, with what is on them.
fn read_desks(directory: &Path) -> Result<Vec<(Desk, Vec<DoubtNote>)>, CliError> {
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, error))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let read = |folder: &PathBuf| {
        let desk = Desk::in_directory(folder);
        let notes = desk.doubts().map_err(|error| failed(folder, error))?;
        Ok((desk, notes))
    };
    folders.iter().map(read).collect()
}

fn show(desks: &[(Desk, Vec<DoubtNote>)], console: &mut Console) -> Result<ExitStatus, CliError> {
    let notes: Vec<&DoubtNote> = desks.iter().flat_map(|(_, notes)| notes).collect();
    if notes.is_empty() {
        console.talk("everything is approved");
        return Ok(ExitStatus::Success);
    }
    let headings = ["SERVER", "TOOL", "WHAT", "SHOWN"];
    let row = |note: &&DoubtNote| {
        let what = if note.changes.is_empty() { "new" } else { "changed" };
        let shown = if note.is_hidden { "no" } else { "yes" };
        vec![note.server.clone(), note.tool.clone(), what.to_owned(), shown.to_owned()]
    };
    let rows: Vec<Vec<String>> = notes.iter().map(row).collect();
    console.data(&Table::new(headings.map(str::to_owned).to_vec()).render(&rows))?;
    for note in notes.iter().filter(|note| !note.changes.is_empty()) {
        console.data(&format!("\n{}\n", describe(note)))?;
    }
    console.talk("to approve: evenkeel mcp approve SERVER [TOOL]; `evenkeel mcp inspect TOOL` shows all that a tool says of itself");
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

async fn are_taken(files: &[PathBuf]) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if files.iter().all(|file| !file.exists()) {
            return true;
        }
        sleep(Duration::from_millis(50)).await;
    }
    false
}

fn failed(path: &Path, error: std::io::Error) -> CliError {
    CliError::Failed {
        context: format!("cannot read or write `{}`", path.display()),
        source: error.into(),
        hint: "name the controller's directory with `--data-dir`, as the user that it runs as".into(),
    }
}
