//! The events of a sequence.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::task::JoinHandle;

use super::names::Names;
use crate::engine::{EngineError, EngineEvent, EventSubject};

/// Listens to an Engine's events until it is asked for them.
#[derive(Debug)]
pub(super) struct EventRecorder {
    heard: Arc<Mutex<Vec<EngineEvent>>>,
    task: JoinHandle<()>,
}

impl EventRecorder {
    pub(super) fn listen(mut events: BoxStream<'static, Result<EngineEvent, EngineError>>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let Ok(event) = event {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        Self { heard, task }
    }

    /// The events so far of the sequence's own things, one line a thing. The checks of health are left out: their number depends
    /// on time alone.
    pub(super) fn heard(&self, names: &Names) -> String {
        let mut lines: BTreeMap<(EventSubject, String), Vec<String>> = BTreeMap::new();
        for event in self.heard.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let action = names.tidy(&event.action);
            let (thing, word) = match event.subject {
                EventSubject::Container => {
                    let Some(symbol) = names.symbol_of(&event.id) else { continue };
                    if event.action.starts_with("exec_") {
                        continue;
                    }
                    let code = event.exit_code.map(|code| format!("({code})")).unwrap_or_default();
                    (symbol.to_owned(), format!("{action}{code}"))
                }
                EventSubject::Network => {
                    let Some(symbol) = names.symbol_of(&event.id) else { continue };
                    let actor = names.symbol_of(&event.actor).map(|actor| format!("({actor})")).unwrap_or_default();
                    (symbol.to_owned(), format!("{action}{actor}"))
                }
                EventSubject::Volume => {
                    // Anonymous volumes of sequences that run at the same time cannot be told from ours.
                    let Some(symbol) = event.id.strip_prefix(&names.prefix) else { continue };
                    (symbol.to_owned(), action)
                }
                EventSubject::Image => continue,
            };
            lines.entry((event.subject, thing)).or_default().push(word);
        }
        let line = |((_, thing), words): (&(EventSubject, String), &Vec<String>)| {
            format!("events of {thing}: {}\n", without_repeats(words).join(", "))
        };
        lines.iter().map(line).collect()
    }
}

impl Drop for EventRecorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A pair of events that repeats the pair before it is left out: how often a crash loop goes round depends on time alone.
fn without_repeats(words: &[String]) -> Vec<&str> {
    let mut told: Vec<&str> = Vec::new();
    for word in words {
        told.push(word);
        if let [.., first, second, third, fourth] = told.as_slice()
            && (first, second) == (third, fourth)
            && first != second
        {
            told.truncate(told.len() - 2);
        }
    }
    told
}
