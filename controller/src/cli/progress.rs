//! Progress of `run --once` and the demo: what is being done and what is waited for, on stderr.
//!
//! In a terminal one live line an object that is not ready yet; elsewhere a plain line whenever something about an object changes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crds_schema::ObjectKey;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;

use super::output::{ObjectTables, TableShape, status_word};
use super::sanitise::one_line;
use crate::board::Board;
use crate::config::ProgressMode;
use crate::status::ObjectRecord;

/// No more live lines than this; the head counts the rest.
const MAX_LIVE_LINES: usize = 12;

/// How often the live display's wheels turn.
const TICK: Duration = Duration::from_millis(120);

/// Shows progress until `stop` turns true. Returns at once where it is off.
pub async fn show_progress(board: Arc<Board>, mode: ProgressMode, mut stop: watch::Receiver<bool>) {
    let mut display = match mode {
        ProgressMode::Off => return,
        ProgressMode::Auto if io::stderr().is_terminal() => Display::Live(LiveDisplay::new()),
        ProgressMode::Auto | ProgressMode::Plain => Display::Plain(BTreeMap::new()),
    };
    let mut revision = board.subscribe();
    loop {
        revision.mark_unchanged();
        display.update(&board);
        // Both arms only wait for a value to change, which is cancel-safe.
        tokio::select! {
            changed = revision.changed() => if changed.is_err() { break },
            _ = stop.wait_for(|is_over| *is_over) => break,
        }
    }
    display.update(&board);
    display.end();
}

/// The table of everything, as `run --once` and the demo print it when they are done; a first line says when nothing of it is real.
pub fn final_table(board: &Board, now_ms: i64) -> String {
    let objects = board.objects();
    let objects: Vec<&ObjectRecord> = objects.iter().map(AsRef::as_ref).collect();
    let with_namespace = objects.iter().any(|object| object.key.namespace.as_str() != "default");
    let mut tables = ObjectTables::new(TableShape { with_namespace, with_kind: true, is_wide: false });
    let head = if board.controller().is_simulated { "simulated engine\n" } else { "" };
    format!("{head}{}", tables.render(&objects, now_ms))
}

enum Display {
    Plain(BTreeMap<ObjectKey, String>),
    Live(LiveDisplay),
}

impl Display {
    fn update(&mut self, board: &Board) {
        let objects = board.objects();
        match self {
            Self::Plain(shown) => {
                for line in news(shown, &objects) {
                    drop(writeln!(io::stderr(), "{line}"));
                }
            }
            Self::Live(live) => live.update(&objects),
        }
    }

    fn end(self) {
        match self {
            Self::Plain(_) => {}
            Self::Live(live) => live.end(),
        }
    }
}

/// What is to be said about one object.
fn describe(object: &ObjectRecord) -> String {
    let status = &object.status;
    if status.is_ready() {
        return "Ready".to_owned();
    }
    let word = status_word(object);
    let text = match (&status.last_error, status.waiting.as_slice()) {
        (Some(error), _) => format!("{word}: {error}"),
        (None, []) => word,
        (None, waiting) => format!("{word}, waiting: {}", waiting.join(", ")),
    };
    one_line(&text)
}

/// The lines that differ from what was shown, which is brought up to date.
fn news(shown: &mut BTreeMap<ObjectKey, String>, objects: &[Arc<ObjectRecord>]) -> Vec<String> {
    let mut lines = Vec::new();
    for object in objects {
        let text = describe(object);
        if shown.get(&object.key) != Some(&text) {
            lines.push(format!("{}: {text}", object.key));
            shown.insert(object.key.clone(), text);
        }
    }
    let gone: Vec<ObjectKey> =
        shown.keys().filter(|key| !objects.iter().any(|object| object.key == **key)).cloned().collect();
    for key in gone {
        shown.remove(&key);
        lines.push(format!("{key}: gone"));
    }
    lines
}

struct LiveDisplay {
    display: MultiProgress,
    head: ProgressBar,
    lines: BTreeMap<ObjectKey, ProgressBar>,
}

impl LiveDisplay {
    fn new() -> Self {
        let display = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let head = display.add(new_line());
        Self { display, head, lines: BTreeMap::new() }
    }

    fn update(&mut self, objects: &[Arc<ObjectRecord>]) {
        let ready = objects.iter().filter(|object| object.status.is_ready()).count();
        self.head.set_message(format!("{ready} of {} ready", objects.len()));
        let pending: Vec<&Arc<ObjectRecord>> =
            objects.iter().filter(|object| !object.status.is_ready()).take(MAX_LIVE_LINES).collect();
        let display = &self.display;
        self.lines.retain(|key, line| {
            let is_pending = pending.iter().any(|object| object.key == *key);
            if !is_pending {
                line.finish_and_clear();
                display.remove(line);
            }
            is_pending
        });
        for object in pending {
            let line = self.lines.entry(object.key.clone()).or_insert_with(|| display.add(new_line()));
            line.set_message(format!("{}: {}", object.key, describe(object)));
        }
    }

    fn end(self) {
        for line in self.lines.into_values() {
            line.finish_and_clear();
        }
        self.head.finish_and_clear();
        // Only the terminal itself could fail here, and then there is nobody to tell.
        drop(self.display.clear());
    }
}

fn new_line() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let line = ProgressBar::new_spinner().with_style(style);
    line.enable_steady_tick(TICK);
    line
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::{final_table, news};
    use crate::board::Board;
    use crate::cli::output::tests::record;

    #[test]
    fn a_plain_line_is_said_once() {
        let mut shown = BTreeMap::new();
        let mut web = record("Deployment/web", "Progressing", &[]);
        web.status.waiting = vec!["Network/back (not created yet)".into()];
        let lines = news(&mut shown, &[Arc::new(web.clone())]);
        assert_eq!(lines, ["Deployment/web: Progressing, waiting: Network/back (not created yet)"]);
        assert!(news(&mut shown, &[Arc::new(web)]).is_empty());
        let ready = Arc::new(record("Deployment/web", "Converged", &[]));
        assert_eq!(news(&mut shown, &[ready]), ["Deployment/web: Ready"]);
        assert_eq!(news(&mut shown, &[]), ["Deployment/web: gone"]);
    }

    #[test]
    fn the_last_table_says_when_nothing_of_it_is_real() {
        let board = Board::default();
        board.put_object(record("Network/back", "Converged", &[]));
        assert_eq!(final_table(&board, 0), "NAME           STATUS   AGE\nnetwork/back   Ready    0s\n");
        board.update_controller(|controller| controller.is_simulated = true);
        assert!(final_table(&board, 0).starts_with("simulated engine\n"));
    }
}
