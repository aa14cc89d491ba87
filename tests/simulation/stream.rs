//! The event stream on its way to a process: events are lost, repeated, swapped, delayed; the stream falls silent or ends.

use std::collections::VecDeque;

use controller::engine::{EngineError, EngineEvent, ErrorKind, EventSubject};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};

use super::faults::{EventFault, Faults};
use super::life::Life;

/// What a subscriber receives.
type EventResult = Result<EngineEvent, EngineError>;

struct Faulty {
    inner: BoxStream<'static, EventResult>,
    faults: Faults,
    life: Life,
    /// What comes before anything new.
    waiting: VecDeque<EventResult>,
    is_over: bool,
}

/// The stream with the faults of the run.
pub(crate) fn with_faults(
    inner: BoxStream<'static, EventResult>,
    faults: Faults,
    life: Life,
) -> BoxStream<'static, EventResult> {
    let start = Faulty { inner, faults, life, waiting: VecDeque::new(), is_over: false };
    Box::pin(unfold(start, |mut stream| async move {
        let event = stream.next().await?;
        Some((event, stream))
    }))
}

impl Faulty {
    async fn next(&mut self) -> Option<EventResult> {
        if let Some(event) = self.waiting.pop_front() {
            return Some(event);
        }
        if self.is_over {
            return None;
        }
        loop {
            let event = self.inner.next().await?;
            if self.life.is_dead() {
                std::future::pending::<()>().await;
            }
            match self.faults.of_event() {
                EventFault::None => return Some(event),
                EventFault::Lose => {}
                EventFault::Repeat => {
                    self.waiting.push_back(event.clone());
                    return Some(event);
                }
                EventFault::Reorder => {
                    let next = self.inner.next().await?;
                    self.waiting.push_back(event);
                    return Some(next);
                }
                EventFault::Delay(time) => {
                    tokio::time::sleep(time).await;
                    return Some(event);
                }
                EventFault::Freeze => std::future::pending().await,
                EventFault::Cut => {
                    self.is_over = true;
                    let text = "the connection was closed".to_owned();
                    return Some(Err(EngineError {
                        operation: "follow events".to_owned(),
                        status: None,
                        text,
                        kind: ErrorKind::Unreachable,
                    }));
                }
                EventFault::Untrue => {
                    if let Ok(told) = &event
                        && told.subject == EventSubject::Container
                    {
                        let untrue = EngineEvent { action: "die".to_owned(), exit_code: Some(1), ..told.clone() };
                        self.waiting.push_back(Ok(untrue));
                    }
                    return Some(event);
                }
                EventFault::Garbage => {
                    self.waiting.push_back(event);
                    return Some(Ok(EngineEvent {
                        subject: EventSubject::Container,
                        id: "\u{202e}garbage".to_owned(),
                        action: "health_status: \u{0}".to_owned(),
                        actor: String::new(),
                        exit_code: Some(i64::MIN),
                    }));
                }
            }
        }
    }
}
