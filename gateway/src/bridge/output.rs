//! Standard output: one message a line, each whole and at once, and nothing else.

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// How many messages wait for the client at most: one that does not read slows down what it asked for.
const QUEUE_LENGTH: usize = 64;

/// Where messages for the client go.
#[derive(Debug, Clone)]
pub(super) struct Output {
    tx: mpsc::Sender<String>,
}

impl Output {
    /// An output, and what [`write_messages`] takes from it.
    pub(super) fn new() -> (Self, mpsc::Receiver<String>) {
        let (tx, rx) = mpsc::channel(QUEUE_LENGTH);
        (Self { tx }, rx)
    }

    /// Hands over a message, which is JSON without a line end.
    pub(super) async fn write(&self, message: String) {
        debug_assert!(!message.contains('\n'), "one line");
        // When nobody writes any more the whole bridge is about to end.
        drop(self.tx.send(message).await);
    }
}

/// Writes messages until there are none any more.
///
/// # Errors
/// When the client does not take them.
pub(super) async fn write_messages<W: AsyncWrite + Unpin>(
    mut output: W,
    mut rx: mpsc::Receiver<String>,
) -> std::io::Result<()> {
    while let Some(mut message) = rx.recv().await {
        message.push('\n');
        output.write_all(message.as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}
