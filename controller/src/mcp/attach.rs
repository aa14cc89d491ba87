//! How hubs reach the standard streams of containers: by the Engine, or where nothing is real by a server of our own.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use gateway::hub::Attach;
use gateway::upstream::stdio::Attached;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, duplex, split};

use super::sample::{SampleEra, SampleServer};
use crate::engine::Engine;

/// Attaches to containers of an Engine, by full id.
#[derive(Debug)]
pub(super) struct EngineAttach(pub(super) Arc<dyn Engine>);

#[async_trait]
impl Attach for EngineAttach {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let attached = self.0.attach_container(instance).await;
        // The hub says itself that it could not attach.
        let attached = attached.map_err(|error| io::Error::other(error.text))?;
        Ok(Attached { input: attached.input, output: attached.output })
    }
}

/// How much of either direction may be under way with a server that is not real, in bytes.
const PIPE_BYTES: usize = 64 * 1024;

/// In place of a simulated container the [`SampleServer`] answers, whatever its image.
#[derive(Debug)]
pub(super) struct SampleAttach;

#[async_trait]
impl Attach for SampleAttach {
    async fn attach(&self, instance: &str) -> io::Result<Attached> {
        let short: String = instance.chars().take(12).collect();
        let server = SampleServer { era: SampleEra::Both, place: format!("simulated container {short}") };
        let (ours, theirs) = duplex(PIPE_BYTES);
        // Owned by nobody on purpose: it ends when the hub drops its side.
        tokio::spawn(async move {
            let (input, mut output) = split(theirs);
            let mut lines = BufReader::new(input).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some(answer) = server.answer(&line) else { continue };
                if output.write_all(format!("{}\n", answer.text).as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let (output, input) = split(ours);
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}
