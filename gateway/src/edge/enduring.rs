//! Work that goes on when nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Work that whoever waits for it does himself, and that becomes a task when he stops waiting: most never needs one.
pub(super) struct Enduring {
    /// Absent once it is done.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Enduring {
    /// Has not begun yet.
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)) }
    }
}

impl Future for Enduring {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl Drop for Enduring {
    fn drop(&mut self) {
        // What has panicked cannot go on.
        if let Some(work) = self.work.take()
            && !std::thread::panicking()
            && let Ok(runtime) = Handle::try_current()
        {
            // Owned by nobody: it ends by itself, as whatever it waits for does.
            drop(runtime.spawn(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::Enduring;

    #[tokio::test]
    async fn what_is_dropped_goes_on_and_what_is_done_is_not_done_again() {
        let (tell, told) = oneshot::channel();
        let (tell_done, done) = oneshot::channel();
        let mut work = Enduring::new(async move { tell_done.send(told.await.unwrap()).unwrap() });
        tokio::select! {
            biased;
            () = &mut work => panic!("it waits"),
            () = std::future::ready(()) => {}
        }
        drop(work);
        tell.send(7).unwrap();
        assert_eq!(done.await.unwrap(), 7);
        let mut work = Enduring::new(async {});
        (&mut work).await;
        (&mut work).await;
    }
}
