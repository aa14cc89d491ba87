//! The tables in `docs/reliability.md`, each between two marks. With `UPDATE_DOCS=1` it is written anew.

use std::fmt::Write as _;
use std::fs;
use std::sync::{Mutex, PoisonError};

use super::catalogue::{Covered, Fault, Section};
use super::sources::root;

/// The catalogue as Markdown.
pub(super) fn table(sections: &[Section]) -> String {
    let all: Vec<&Fault> = sections.iter().flat_map(|section| section.faults).collect();
    let count = |is_counted: fn(&Covered) -> bool| all.iter().filter(|fault| is_counted(&fault.covered)).count();
    let covered = count(|covered| matches!(covered, Covered::By(_)));
    let not_yet = count(|covered| matches!(covered, Covered::NotYet(_)));
    let mut text = format!(
        "Of {} faults, {covered} are covered by tests and {not_yet} wait for a capability that Evenkeel does not have. Generated \
         from `tests/reliability/catalogue`; a test checks that each test that is named is there.\n",
        all.len()
    );
    for section in sections {
        write!(text, "\n### {}\n\n| | Fault | Covered by |\n|---|---|---|\n", section.title).unwrap();
        for fault in section.faults {
            writeln!(text, "| {} | {} | {} |", fault.id, fault.text, coverage(&fault.covered)).unwrap();
        }
    }
    text
}

fn coverage(covered: &Covered) -> String {
    match covered {
        Covered::By(tests) => tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>"),
        Covered::NotYet(capability) => format!("*not yet: {capability}*"),
    }
}

/// Two tests may write at once.
static WRITING: Mutex<()> = Mutex::new(());

/// Fails unless a table stands between the marks of this name, or puts it there.
pub(crate) fn check_part(name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->\n"));
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = root().join("docs/reliability.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&begin).expect("the mark where the table begins");
    let (found, after) = rest.split_once(&end).expect("the mark where the table ends");
    if found == table {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        panic!("docs/reliability.md is stale: run `UPDATE_DOCS=1 cargo test --test it in_the_document_is_fresh`");
    }
}
