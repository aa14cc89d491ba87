//! Supervision: a loop that panics is begun anew, and the others go on.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::core::Core;
use crate::event::NewEvent;

/// How long after a panic a loop is begun anew: it must not become a fast one.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a loop until it ends by itself. A panic is a fault of ours: it is caught, counted and told, and the loop begun anew. What it
/// shares with others was left whole, since every change under a lock is made in one step.
pub(crate) async fn supervise<F, L>(name: &'static str, core: Arc<Core>, mut begin: F)
where
    F: FnMut() -> L + Send,
    L: Future<Output = ()> + Send,
{
    loop {
        // Making the loop may panic as well as running it.
        let running = AssertUnwindSafe(async { begin().await }).catch_unwind();
        if running.await.is_ok() {
            return;
        }
        core.metrics.panics_caught.inc();
        let message = format!("the {name} loop panicked and was begun anew; this is a fault of Evenkeel");
        tracing::error!(loop_name = name, "a loop panicked and is begun anew");
        core.record(NewEvent::controller_warning("InternalError", message));
        tokio::time::sleep(PAUSE).await;
    }
}
