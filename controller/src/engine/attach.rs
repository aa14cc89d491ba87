//! The standard input and output of a running container, as streams.

use std::fmt;

use planner::observed::{ContainerDetail, ContainerState};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ErrorKind;

/// The standard input and output of a container that [`super::Engine::attach_container`] attached to.
///
/// The two belong together: whoever drops one drops the other, which detaches and leaves the container as it is. The end of the
/// container ends the output.
pub struct AttachedContainer {
    /// Its standard input.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output, from now on. Must be read: a program whose output nobody takes stands still sooner or later.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
}

impl fmt::Debug for AttachedContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedContainer").finish_non_exhaustive()
    }
}

/// Why nobody can attach to a container, by what an inspect told of it; `None` when one can.
///
/// An Engine lets itself be attached to a container that does not run, and is silent until its next start, so that is asked before.
pub(super) fn refuse_attach(found: Option<&ContainerDetail>) -> Option<(ErrorKind, String)> {
    let Some(container) = found else { return Some((ErrorKind::NotFound, "it is not there".to_owned())) };
    if !container.config.open_stdin {
        return Some((ErrorKind::Invalid, "its standard input is not held open".to_owned()));
    }
    let state = container.status.state;
    let is_running = state == ContainerState::Running;
    (!is_running).then(|| (ErrorKind::Internal, format!("it is {}, and does not run", state.as_str())))
}
