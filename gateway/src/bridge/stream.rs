//! The stream of what the gateway says outside of any request, held open for as long as the session.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::remote::Content;
use super::reply::Reply;
use super::session::{OpenSession, Parts, Told};

/// A stream that lasted for so long was a good one: the next is tried at once.
const GOOD_TIME: Duration = Duration::from_secs(5);

/// Forwards what comes until the session is lost, or the gateway offers no such stream.
pub(super) async fn hold_stream(parts: Arc<Parts>, open: Arc<OpenSession>, tell: mpsc::Sender<Told>) {
    let mut backoff = Backoff::endless();
    loop {
        let begun = Instant::now();
        if let Ok(arrived) = parts.remote.listen(&open.session).await {
            match arrived.content {
                Content::Stream(mut stream) => {
                    while let Ok(Some(message)) = stream.next().await {
                        if Reply::read(&message).is_some() {
                            parts.output.write(message).await;
                        }
                    }
                }
                Content::Whole(_) if arrived.status == StatusCode::NOT_FOUND => {
                    // The keeper is gone only when the bridge ends.
                    drop(tell.send(Told::Lost { generation: open.generation }).await);
                    return;
                }
                Content::Whole(_) if arrived.status.is_server_error() => {}
                Content::Whole(_) => return,
            }
        }
        if begun.elapsed() > GOOD_TIME {
            backoff = Backoff::endless();
        }
        backoff.wait().await;
    }
}
