//! A request that has come and is not in the audit yet.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;

use super::request::{is_message, record_of};
use crate::hub::Hub;
use crate::policy::Principal;

/// A message that has come. Dropped before somebody else writes it down, it was cancelled: whoever hangs up before it is understood has asked
/// something all the same.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Absent where it is no message, or somebody else's to write down.
    hub: Option<Arc<Hub>>,
    principal: Option<Principal>,
}

impl Arrival {
    /// It has just come.
    pub(super) fn of(hub: &Arc<Hub>, request: &Request<Incoming>) -> Self {
        Self { hub: is_message(request).then(|| Arc::clone(hub)), principal: None }
    }

    /// It is known whose it is.
    pub(super) fn is_of(&mut self, principal: &Principal) {
        self.principal = Some(principal.clone());
    }

    /// Somebody else writes it down from here on.
    pub(super) fn hand_over(&mut self) {
        self.hub = None;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.audit.write_now(&record_of(&hub, self.principal.as_ref(), "http POST", "cancelled", None));
        }
    }
}
