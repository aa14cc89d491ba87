//! How the process of a gateway reaches containers, and has some to itself: by way of the controller.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use gateway::hub::Attach;
use gateway::lease::{Lend, Loan};
use gateway::upstream::stdio::Attached;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::line::{LINE_BYTES, Lines, write_line};
use super::wire::{Answer, Opening};

/// How long the controller may take to answer, which may ask the Engine first.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Asks the controller at a socket.
#[derive(Debug)]
pub(super) struct ByController(pub(super) PathBuf);

/// A connection to the controller, with what it was answered first.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) answer: Answer,
    pub(super) lines: Incoming,
    pub(super) write: OwnedWriteHalf,
}

/// What the controller says after its first answer.
pub(super) type Incoming = Lines<BufReader<OwnedReadHalf>>;

impl ByController {
    /// Connects and asks for one thing.
    ///
    /// # Errors
    /// When nobody answers, or the answer is no.
    pub(super) async fn ask(&self, opening: &Opening) -> io::Result<Asked> {
        let (read, mut write) = UnixStream::connect(&self.0).await?.into_split();
        write_line(&mut write, opening).await?;
        let mut lines = Lines::new(BufReader::new(read));
        match timeout(ANSWER_TIME, lines.next(LINE_BYTES)).await {
            Ok(Ok(Some(Answer::Refused(why)))) => Err(io::Error::other(why)),
            Ok(Ok(Some(answer))) => Ok(Asked { answer, lines, write }),
            Ok(Ok(None)) => Err(not_there()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the controller does not answer")),
        }
    }
}

/// An answer to something else is none.
pub(super) fn not_there() -> io::Error {
    io::Error::other("the controller is not there")
}

#[async_trait]
impl Attach for ByController {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let Asked { answer, lines, write } = self.ask(&Opening::Attach(instance.to_owned())).await?;
        match answer {
            Answer::Attached => Ok(Attached { input: Box::new(write), output: Box::new(lines.into_reader()) }),
            Answer::Welcome(_) | Answer::Lent | Answer::Taken | Answer::Refused(_) => Err(not_there()),
        }
    }
}

#[async_trait]
impl Lend for ByController {
    async fn lend(&self, instance: &str) -> io::Result<Option<Loan>> {
        let asked = self.ask(&Opening::Lend(instance.to_owned())).await?;
        match asked.answer {
            // It is lent for as long as the connection lasts.
            Answer::Lent => Ok(Some(Box::new(asked))),
            Answer::Taken => Ok(None),
            Answer::Welcome(_) | Answer::Attached | Answer::Refused(_) => Err(not_there()),
        }
    }
}
