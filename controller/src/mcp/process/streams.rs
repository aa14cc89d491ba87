//! How the process of a gateway reaches the standard streams of containers: by way of the controller.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use gateway::hub::Attach;
use gateway::upstream::stdio::Attached;
use tokio::io::BufReader;
use tokio::net::UnixStream;

use super::line::{LINE_BYTES, Lines, write_line};
use super::wire::{Answer, Opening};

/// Asks the controller at a socket for the streams of instances.
#[derive(Debug)]
pub(super) struct SocketAttach(pub(super) PathBuf);

#[async_trait]
impl Attach for SocketAttach {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let (read, mut write) = UnixStream::connect(&self.0).await?.into_split();
        write_line(&mut write, &Opening::Attach(instance.to_owned())).await?;
        let mut lines = Lines::new(BufReader::new(read));
        match lines.next(LINE_BYTES).await? {
            Some(Answer::Attached) => Ok(Attached { input: Box::new(write), output: Box::new(lines.into_reader()) }),
            Some(Answer::Refused(why)) => Err(io::Error::other(why)),
            Some(Answer::Welcome(_)) | None => Err(io::Error::other("the controller is not there")),
        }
    }
}
