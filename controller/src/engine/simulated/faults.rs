//! The hook for faults: consulted before and after each call, it decides what goes wrong.

use std::fmt;
use std::time::Duration;

use super::calls::{Call, CallOutcome};

/// What goes wrong, call by call. It must not call the Engine that asks it.
pub trait FaultPlan: Send {
    /// Before the call takes effect.
    fn before(&mut self, call: &Call) -> RequestFault;

    /// After it took effect, or was refused.
    fn after(&mut self, call: &Call, outcome: &CallOutcome) -> ReplyFault;
}

/// What happens to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RequestFault {
    /// Nothing.
    #[default]
    None,
    /// The Engine answers with an error and does nothing.
    Fail {
        /// The HTTP status.
        status: u16,
        /// The text.
        text: String,
    },
    /// There is no connection; the caller knows that nothing was done.
    Unreachable,
    /// The connection breaks and nothing is done; the caller does not know which.
    DropRequest,
    /// The connection breaks at once, and the call takes effect this much later.
    ApplyLate(Duration),
    /// From now on every call on the same container waits until it is released, then all take effect in order.
    HangObject,
}

/// What happens to a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReplyFault {
    /// Nothing.
    #[default]
    None,
    /// It is lost: the call took effect and the caller does not know.
    DropReply,
    /// It comes this much later.
    Delay(Duration),
}

/// A plan made of one closure for requests; replies are left alone.
pub(super) struct RequestFaults<F>(pub(super) F);

impl<F: FnMut(&Call) -> RequestFault + Send> FaultPlan for RequestFaults<F> {
    fn before(&mut self, call: &Call) -> RequestFault {
        (self.0)(call)
    }

    fn after(&mut self, _call: &Call, _outcome: &CallOutcome) -> ReplyFault {
        ReplyFault::None
    }
}

impl fmt::Debug for dyn FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultPlan")
    }
}
