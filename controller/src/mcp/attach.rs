//! How hubs reach the standard streams of containers: by the Engine.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use gateway::hub::Attach;
use gateway::upstream::stdio::Attached;

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
